"""Reading a scan of any format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.nifti_slices import read_slices
from ctct.cases.other_formats import explain_format, explain_formats
from ctct.cases.read_apart import DEADLINE_S, read_apart
from ctct.errors import InputError
from ctct.io.dicom.files import is_dicom, is_zip, zip_members
from ctct.io.dicom.read import read_series
from ctct.io.files import ITK_ENDINGS, MAX_BYTES, case_name
from ctct.io.itk_files import read_itk
from ctct.io.nifti import read_nifti
from ctct.io.sequences import note_name
from ctct.io.study import Study


def read_case(case: Case, max_bytes: int = MAX_BYTES, deadline_s: float = DEADLINE_S) -> Study:
    """Read the scan of a case; DICOM, MetaImage and NRRD in another process, which may be killed.

    NIfTI is read here: its header says how much there is to unpack, and nothing else takes time.

    Args:
        case: the scan.
        max_bytes: a larger scan, as stored or as 32-bit numbers, is refused before it is unpacked.
        deadline_s: seconds that the other process may take.

    Raises:
        InputError: the scan is missing, damaged or not one that ctct can use, or it takes longer.
    """
    is_itk = case.path.name.lower().endswith(ITK_ENDINGS)
    if case.slices or not (case.series or is_itk or is_zip(case.path) or is_dicom(case.path)):
        return read_here(case, max_bytes)
    return read_apart(
        case.path, read_here, case, max_bytes, deadline_s=deadline_s, max_bytes=max_bytes
    )


def read_here(case: Case, max_bytes: int = MAX_BYTES) -> Study:
    """Read the scan of a case in this process, which a damaged file may crash or keep busy.

    Args:
        case: the scan.
        max_bytes: a larger scan, as stored or as 32-bit numbers, is refused before it is unpacked.

    Raises:
        InputError: the scan is missing, damaged or not one that ctct can use.
    """
    if case.series:
        return read_series(case.series, case.name, max_bytes)
    if case.slices:
        study = read_slices(case.slices, case.name)
    elif kind := explain_format(case.path):
        raise InputError(kind)
    elif case.path.is_dir():
        formats = explain_formats(sorted(case.path.iterdir()))
        reason = f"{case.path}: its files cannot be read as DICOM; copy them again"
        raise InputError(" | ".join(formats) or reason)
    elif is_zip(case.path) or is_dicom(case.path):
        if is_zip(case.path):
            zip_members(case.path)  # raises what is wrong with the zip
        raise InputError(
            f"{case.path}: its files cannot be read as DICOM, or not in time; copy them again"
        )
    else:
        read = read_itk if case.path.name.lower().endswith(ITK_ENDINGS) else read_nifti
        study = read(case.path, max_bytes)
    return replace(study, notes=(*study.notes, *note_name(case_name(case.path))))


def find_case(path: str | Path, series: str | None = None) -> Case:
    """The only scan in ``path``; see :func:`read_study`."""
    path = Path(path)
    if not (path.is_dir() or is_zip(path) or is_dicom(path)):
        if series:
            raise InputError(f"{path}: not DICOM, so it has no series {series}; leave out the UID")
        return Case(path, case_name(path))
    cases, _ = discover([path], [series] if series else ())
    if len(cases) > 1:
        names = ", ".join(case.name for case in cases[:5])
        raise InputError(f"{path}: holds {len(cases)} scans ({names} …); give one of them")
    return cases[0]


def read_study(path: str | Path, series: str | None = None) -> Study:
    """Read a short-axis scan: a NIfTI, MetaImage or NRRD file, or DICOM of any kind.

    Args:
        path: a file of two, three or four dimensions; a folder, zip or enhanced file with DICOM of
            one study; or a folder with one NIfTI file per slice.
        series: SeriesInstanceUID to read instead of the series that looks like a short-axis cine.

    Returns:
        A study whose ``voxels`` are (frames, slices, rows, columns).

    Raises:
        InputError: the scan is missing, damaged or not one that ctct can use, or there are several.
        RuntimeUnavailableError: pydicom for DICOM, or SimpleITK for MetaImage and NRRD, is not
            installed.
    """
    return read_case(find_case(path, series))
