from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

#: Writes an array as a NIfTI file and returns its path.
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """``save(array, name=..., affine=..., image_class=..., **fields)``; fields go to the header.

    Pixels are 1.4 mm along a row of the file's first axis, 1.2 mm along its second, slices 10 mm.
    """

    def write(
        array: npt.ArrayLike,
        name: str = "scan.nii.gz",
        affine: npt.NDArray[np.float64] | None = None,
        image_class: type[nib.Nifti1Image] = nib.Nifti1Image,
        **fields: object,
    ) -> Path:
        array = np.asarray(array)
        affine = np.diag([1.4, 1.2, 10.0, 1.0]) if affine is None else affine
        image = image_class(array, affine, dtype=array.dtype)
        image.header.set_xyzt_units("mm", "msec")
        for field, value in fields.items():
            image.header[field] = value
        path = tmp_path / name
        nib.save(image, path)
        return path

    return write
