"""Header and voxels of a MetaImage or NRRD file, by SimpleITK.

A damaged header can crash the process in which SimpleITK runs: call this by
:func:`ctct.child_process.call_apart`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

#: Voxels with fewer components hold a color or a direction, not the phases of a cine.
_MIN_PHASES = 5
_SPACE = "NRRD_space"


def read(path: Path, limit: int) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """The header of a file, and its voxels as stored.

    Args:
        path: a ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file.
        limit: largest size of the voxels in bytes, as stored and as 32-bit numbers.

    Raises:
        InputError: the voxels are larger, or no gray values in two to four dimensions.
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
        raise InputError(f"{path}: image is {len(size)}-D {size}; expected 2 to 4 dimensions")
    if 1 < phases < _MIN_PHASES or "complex" in kind:
        raise InputError(
            f"{path}: voxels are {kind} of {phases}; convert to one gray value per voxel"
        )
    voxels = math.prod(size) * phases
    width = next((bits // 8 for bits in (8, 16, 64) if f"{bits}-bit" in kind), 4)
    if max(width, 4) * voxels > limit:
        raise InputError(
            f"{path}: header promises {voxels} voxels; the limit is {limit // max(width, 4)}; "
            "split the file by frames"
        )
    if not _is_possible(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin()):
        raise InputError(f"{path}: its axes or its position are impossible; write the file again")
    array = SimpleITK.GetArrayFromImage(reader.Execute())
    header = {
        "phases": phases,
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "space": reader.GetMetaData(_SPACE) if _SPACE in reader.GetMetaDataKeys() else "",
    }
    return header, array  # slowest axis first, components of a voxel last


def _is_possible(
    direction: Sequence[float], spacing: Sequence[float], origin: Sequence[float]
) -> bool:
    """Whether an image can have this geometry; SimpleITK may never end inverting others."""
    axes = np.reshape(direction, (len(spacing), len(spacing)))
    unit = np.isfinite([*direction, *spacing, *origin]).all() and np.abs(axes).max() < 1.01
    return bool(unit and abs(np.linalg.det(axes)) > 0.1 and max(map(abs, origin)) < 1e6)
