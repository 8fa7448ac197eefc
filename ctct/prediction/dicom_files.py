"""The DICOM objects of one case, in a folder of results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ctct.cases.case import Case
from ctct.dicom_results.formats import ALIASES, FORMATS, folder_of, missing_packages
from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io import segment_nrrd
from ctct.io.dicom.segmentation import SEG
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.prediction.segment_files import SEG_NRRD
from ctct.storage import prepare_folder, write_atomic

log = logging.getLogger(__name__)

NIFTI = "nifti"
#: Folders of DICOM objects below that of the results.
FOLDERS = tuple(folder_of(name) for name in FORMATS)


def parse_formats(names: Sequence[str]) -> tuple[str, ...]:
    """The kinds of DICOM objects among the formats that are asked for, each once.

    Raises:
        ConfigError: a format is unknown.
        RuntimeUnavailableError: one needs a package that is not installed.
    """
    known = dict.fromkeys(ALIASES.get(name, name) for name in names)
    if unknown := [name for name in known if name not in (NIFTI, *FORMATS, SEG_NRRD)]:
        choices = ", ".join((NIFTI, *FORMATS, SEG_NRRD))
        raise ConfigError(f"--format {', '.join(unknown)}: choose from {choices}")
    if SEG_NRRD in known and not segment_nrrd.is_available():
        raise RuntimeUnavailableError(f"--format seg-nrrd needs pynrrd; {how_to_install('itk')}")
    formats = tuple(name for name in FORMATS if name in known)
    if formats and (missing := missing_packages(formats)):
        raise RuntimeUnavailableError(
            f"--format {','.join(formats)} needs {' and '.join(missing)}; "
            f"{how_to_install('dicom-results')}"
        )
    return formats


def check_any_dicom(cases: Sequence[Case], formats: Sequence[str]) -> None:
    """Check that DICOM objects that are asked for can be made of some case.

    Raises:
        ConfigError: none of the scans is DICOM.
    """
    if formats and cases and not any(case.series for case in cases):
        scans = f"{cases[0].path} is not" if len(cases) == 1 else "none of the scans is"
        raise ConfigError(
            f"--format {','.join(formats)}: {scans} DICOM; DICOM objects are made of DICOM alone"
        )


def write_dicom_results(
    folder: Path,
    case: Case,
    result: CaseResult,
    formats: tuple[str, ...],
    de_identify: bool = False,
    model: str = "",
    remarks: Mapping[str, str] | None = None,
    only_changed: bool = False,
) -> None:
    """Write the DICOM objects of a case, if it is DICOM.

    Args:
        folder: of the results.
        case: the scan.
        result: of the scan.
        formats: as :func:`parse_formats` returns them.
        de_identify: leave the patient's data out of them.
        model: which networks made the labels.
        remarks: see :attr:`ctct.measurement.patient.PatientResult.remarks`.
        only_changed: leave those that are there and hold the same.

    Raises:
        InputError: one cannot be made; then none is written.
        OutputError: a file cannot be written.
    """
    if not formats:
        return
    if case.series is None:
        log.warning("%s: gets no %s, it is not DICOM", case.path, ", ".join(formats))
        return
    from ctct.dicom_results.results import DicomResults  # imports pydicom
    from ctct.io.dicom.instances import read_uid

    patient = replace(join_cases([result], name=case.patient), remarks=remarks or {})
    patient = add_phases(patient, [result], pictures=False)
    results = DicomResults(
        name=case.name,
        series=case.series,
        labels=result.labels,
        patient=patient,
        with_pictures=lambda: add_phases(patient, [result], pictures=True),
        draw_contours=result.draw_contours,
        formats=formats,
        de_identify=de_identify,
        model=model,
    )
    made: list[tuple[Path, bytes]] = []
    for planned in results.plan():
        (first, uid), *_ = planned.uids.items()
        if only_changed and read_uid(folder / first) == uid:
            continue
        contents = zip(planned.uids, planned.encode(), strict=True)
        # The first one is written last: it tells that all are there.
        made += reversed([(folder / name, content) for name, content in contents])
    for path, content in made:
        prepare_folder(path.parent)
        write_atomic(path, content)
    if SEG in formats:
        _remove_surplus(folder, case.name, len(result.labels))


def _remove_surplus(folder: Path, name: str, frames: int) -> None:
    """Remove the segmentations of phases that the case does not have any more."""
    while (path := folder / folder_of(SEG) / f"{name}_{frames + 1:02}.dcm").exists():
        path.unlink()
        frames += 1
