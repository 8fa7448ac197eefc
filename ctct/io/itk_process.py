"""SimpleITK in a process of its own: ``python -m ctct.io.itk_process FILE LIMIT``.

A damaged header makes SimpleITK end the process it runs in, so that is not ours. What is read goes
to the standard output: a line of JSON, and unless that says why not, the voxels.
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

#: A vector of fewer values is a color or a direction, no cine.
_MIN_PHASES = 5
#: Seconds of a processor that reading may take.
_MAX_S = 120


class RefusedError(Exception):
    """Whole, but no scan that ctct can use; says why."""


def read(path: Path, limit: int) -> tuple[dict[str, Any], memoryview]:
    """What the header of a file says, and its voxels as filed.

    Args:
        path: of ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr``.
        limit: bytes that the voxels may take as filed or as 32-bit numbers.

    Raises:
        RefusedError: it promises more, or is no image of gray values of two to four dimensions.
        RuntimeError: it is damaged. Or the process ends.
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
        raise RefusedError(f"voxels are {kind} of {phases}; convert to one gray value each")
    voxels = math.prod(size) * phases
    width = next((bits // 8 for bits in (8, 16, 64) if f"{bits}-bit" in kind), 4)
    if max(width, 4) * voxels > limit:
        raise RefusedError(
            f"header promises {voxels} voxels; the limit is {limit // max(width, 4)}; split the "
            "file by frames"
        )
    if not _is_sound(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin()):
        raise RefusedError("its axes or its place are no image's; write the file again")
    array = SimpleITK.GetArrayFromImage(reader.Execute())
    space = "NRRD_space"
    header = {
        "shape": array.shape,  # slowest axis first, values of a vector last
        "dtype": array.dtype.str,
        "phases": phases,
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "space": reader.GetMetaData(space) if space in reader.GetMetaDataKeys() else "",
    }
    return header, memoryview(array).cast("B")


def _is_sound(
    direction: Sequence[float], spacing: Sequence[float], origin: Sequence[float]
) -> bool:
    """Whether numbers are possible; with odd ones SimpleITK may look for an inverse for ever."""
    axes = np.reshape(direction, (len(spacing), len(spacing)))
    possible = np.isfinite([*direction, *spacing, *origin]).all() and np.abs(axes).max() < 1.01
    return bool(possible and abs(np.linalg.det(axes)) > 0.1 and max(map(abs, origin)) < 1e6)


def answer(path: Path, limit: int, out: BinaryIO) -> None:
    """Write what was read of a file, or why it was not."""
    try:
        header, voxels = read(path, limit)
    except RefusedError as why:
        header, voxels = {"refused": str(why)}, memoryview(b"")
    out.write(json.dumps(header).encode() + b"\n")
    out.write(voxels)
    out.flush()


def main() -> None:
    """Read the file named on the command line, with so much memory and time and no more."""
    path, limit = Path(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(ImportError, ValueError):
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (3 * limit, 3 * limit))
        resource.setrlimit(resource.RLIMIT_CPU, (_MAX_S, _MAX_S))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what SimpleITK prints must not come between
    answer(path, limit, out)


if __name__ == "__main__":
    main()
