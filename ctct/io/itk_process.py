"""SimpleITK in a process of its own: ``python -m ctct.io.itk_process FILE LIMIT``.

A damaged header can crash the process in which SimpleITK runs, so it runs in a separate one. That
process writes a line of JSON to its standard output, followed by the voxels. For a file that ctct
cannot use, the JSON holds the reason and no voxels follow.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

#: Voxels with fewer components hold a color or a direction, not the phases of a cine.
_MIN_PHASES = 5
#: Longest processor time that reading may take.
_MAX_S = 120
_SPACE = "NRRD_space"


class RefusedError(Exception):
    """The file is intact, but not a scan that ctct can use; the message says why."""


def read(path: Path, limit: int) -> tuple[dict[str, Any], memoryview]:
    """The header of a file, and its voxels as stored.

    Args:
        path: a ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file.
        limit: largest size of the voxels in bytes, as stored and as 32-bit numbers.

    Raises:
        RefusedError: the voxels are larger, or no gray values in two to four dimensions.
        RuntimeError: the file is damaged; some damage crashes the process instead.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if path.suffix.lower() in (".mha", ".mhd") else "NrrdImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, phases = reader.GetSize(), reader.GetNumberOfComponents()
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    if not 2 <= len(size) <= 4 or (len(size) == 4 and phases > 1) or min(size) < 1:
        raise RefusedError(f"image is {len(size)}-D {size}; expected 2 to 4 dimensions")
    if 1 < phases < _MIN_PHASES or "complex" in kind:
        raise RefusedError(f"voxels are {kind} of {phases}; convert to one gray value per voxel")
    voxels = math.prod(size) * phases
    width = next((bits // 8 for bits in (8, 16, 64) if f"{bits}-bit" in kind), 4)
    if max(width, 4) * voxels > limit:
        raise RefusedError(
            f"header promises {voxels} voxels; the limit is {limit // max(width, 4)}; split the "
            "file by frames"
        )
    if not _is_possible(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin()):
        raise RefusedError("its axes or its position are impossible; write the file again")
    array = SimpleITK.GetArrayFromImage(reader.Execute())
    header = {
        "shape": array.shape,  # slowest axis first, components of a voxel last
        "dtype": array.dtype.str,
        "phases": phases,
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "space": reader.GetMetaData(_SPACE) if _SPACE in reader.GetMetaDataKeys() else "",
    }
    return header, memoryview(array).cast("B")


def _is_possible(
    direction: Sequence[float], spacing: Sequence[float], origin: Sequence[float]
) -> bool:
    """Whether an image can have this geometry; SimpleITK may never end inverting others."""
    axes = np.reshape(direction, (len(spacing), len(spacing)))
    unit = np.isfinite([*direction, *spacing, *origin]).all() and np.abs(axes).max() < 1.01
    return bool(unit and abs(np.linalg.det(axes)) > 0.1 and max(map(abs, origin)) < 1e6)


def write_answer(path: Path, limit: int, out: BinaryIO) -> None:
    """Write the header and voxels of a file, or the reason why it is refused."""
    try:
        header, voxels = read(path, limit)
    except RefusedError as reason:
        header, voxels = {"refused": str(reason)}, memoryview(b"")
    out.write(json.dumps(header).encode() + b"\n")
    out.write(voxels)
    out.flush()


def main() -> None:
    """Read the file named on the command line, under limits on memory and processor time."""
    path, limit = Path(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(ImportError, ValueError):
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (3 * limit, 3 * limit))
        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_S, _MAX_S))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep SimpleITK's own messages out of the output
    write_answer(path, limit, out)


if __name__ == "__main__":
    main()
