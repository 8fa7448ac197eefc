"""Reading a scan, whatever it was filed as."""

from __future__ import annotations

from pathlib import Path

from ctct.errors import InputError
from ctct.io.dicom import read_series
from ctct.io.dicom_files import is_dicom, is_zip, members
from ctct.io.discover import Case, discover
from ctct.io.nifti import read_nifti
from ctct.io.study import Study


def read_case(case: Case) -> Study:
    """Read the scan of a case.

    Raises:
        InputError: it is missing, damaged or not a scan ctct can use.
    """
    if case.series:
        return read_series(case.series, case.name)
    if is_zip(case.path):
        members(case.path)  # says why there is no series
    return read_nifti(case.path)


def read_study(path: str | Path, series: str | None = None) -> Study:
    """Read a short-axis scan: a NIfTI file, or DICOM in a folder, a zip or an enhanced file.

    Args:
        path: NIfTI of two, three or four dimensions; or where DICOM of one study lies.
        series: SeriesInstanceUID to take in place of what looks like a short-axis cine.

    Returns:
        A study whose ``voxels`` are (frames, slices, rows, columns).

    Raises:
        InputError: it is missing, damaged, not a scan ctct can use, or more than one.
        RuntimeUnavailableError: it is DICOM, and pydicom is not installed.
    """
    path = Path(path)
    if not (path.is_dir() or is_zip(path) or is_dicom(path)):
        return read_nifti(path)
    cases, _ = discover([path], [series] if series else ())
    if len(cases) > 1:
        names = ", ".join(case.name for case in cases[:5])
        raise InputError(f"{path}: holds {len(cases)} scans ({names} …); give one of them")
    return read_case(cases[0])
