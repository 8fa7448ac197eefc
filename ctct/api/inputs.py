"""What :meth:`ctct.Model.segment` accepts: paths, images of other libraries, arrays, studies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ctct.api.arguments import as_path
from ctct.cases.read import read_study
from ctct.errors import InputError
from ctct.io.itk_files import study_from_sitk
from ctct.io.nifti import study_from_nibabel
from ctct.io.study import Study

_EXPECTED = (
    "give the path of a scan, a nibabel or SimpleITK image, a ctct.Study, or an array with "
    "spacing_mm; for several scans, use segment_many"
)


def as_study(
    source: object,
    spacing_mm: Sequence[float] | None = None,
    name: str | None = None,
    series: str | None = None,
) -> Study:
    """Turn whatever holds a scan into a study.

    Args:
        source: the path of a NIfTI, MHA or NRRD file, of a DICOM folder or zip; a nibabel or
            SimpleITK image; an array of 2 to 4 dimensions; or a study, which is returned as it is.
        spacing_mm: voxel size of an array, see :meth:`ctct.Study.from_array`; for arrays only.
        name: name of the study in results; the file's name, or "study", where left out.
        series: SeriesInstanceUID to take from a DICOM folder or zip.

    Raises:
        InputError: the source is of another type, or cannot be used.
        RuntimeUnavailableError: a library that reads this kind of file is not installed.
    """
    if name is not None and not isinstance(name, str):
        raise InputError(f"name is {name!r}; give a text")
    if isinstance(source, str | os.PathLike):
        path = as_path(source, "the scan")
        _refuse_spacing(spacing_mm, f"{path}: the file itself")
        try:
            study = read_study(path, series)
        except OSError as error:  # a name longer than the file system allows
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        return study if name is None else study.renamed(name)
    if series is not None:
        raise InputError("series is for a DICOM folder or zip; give its path")
    if isinstance(source, Study):
        _refuse_spacing(spacing_mm, "a ctct.Study")
        return source if name is None else source.renamed(name)
    packages = {base.__module__.split(".")[0] for base in type(source).__mro__}
    if "nibabel" in packages:
        _refuse_spacing(spacing_mm, "a nibabel image")
        return study_from_nibabel(source, name or "study")
    if "SimpleITK" in packages:
        _refuse_spacing(spacing_mm, "a SimpleITK image")
        return study_from_sitk(source, name or "study")
    if isinstance(source, str | bytes | Sequence) or not hasattr(source, "__array__"):
        received = f"an empty {type(source).__name__}" if source == [] else type(source).__name__
        raise InputError(f"cannot segment {received}; {_EXPECTED}")
    return Study.from_array(_to_numpy(source), spacing_mm, name or "study")


def _refuse_spacing(spacing_mm: Sequence[float] | None, what: str) -> None:
    if spacing_mm is not None:
        raise InputError(f"{what} holds the voxel size; leave out spacing_mm")


def _to_numpy(array: Any) -> np.ndarray[Any, Any]:
    if isinstance(array, np.ndarray):
        return array
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, for instance
        raise InputError(f"cannot read {type(array).__name__} as an array ({error})") from error
