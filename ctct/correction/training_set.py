"""Results with corrected label maps as a training set: what ``ctct train`` makes of such a folder.

ED and ES of every case, and each other frame that was corrected. Frames of corrected cases keep
their labels; the others are unlabelled, since a network learns nothing from its own label maps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctct.cases.case import Case
from ctct.correction.automatic import AutomaticResults, read_automatic
from ctct.correction.edited_files import EditedFile
from ctct.correction.find_corrections import find_corrections, has_corrections
from ctct.correction.read_edited import Labels, read_edited
from ctct.datasets.collection import Collection, Volume, to_bytes
from ctct.datasets.pack import write_pack
from ctct.errors import InputError
from ctct.prediction.case_files import read_case_result
from ctct.prediction.case_record import read_record
from ctct.prediction.case_result import CaseResult
from ctct.prediction.quality_record import output_path
from ctct.storage import prepare_folder

log = logging.getLogger(__name__)

LAYOUT = "results"


def read_corrections(results: Path) -> Collection:
    """The training set of a folder of results with corrected label maps.

    Of a corrected case, these frames are labelled: those with a file of their own; where a file
    holds the whole cine, those that it changes, and ED and ES.

    Args:
        results: folder that ``ctct predict`` wrote, with corrections as ``ctct measure`` takes
            them: in ``results/edited``, or in place.

    Raises:
        InputError: it holds no such results; or of fewer than two patients; or a corrected file, or
            its scan, cannot be used. Uncorrected cases whose scan cannot be read are left out.
    """
    automatic = read_automatic(results)
    files, problems = find_corrections(results, automatic.patients)
    for problem in problems.values():
        log.warning("%s", problem)
    volumes: list[Volume] = []
    for case in automatic.cases:
        volumes += _read_case(automatic, case, files.get(case.name, ()))
    labelled = [volume for volume in volumes if volume.labels is not None]
    if (patients := len({volume.patient for volume in labelled})) < 2:
        raise InputError(
            f"{results}: training needs corrected label maps of two patients or more, one of them "
            f"to validate on; found {patients}"
        )
    return Collection(tuple(sorted(volumes, key=lambda v: (v.patient, v.name))), LAYOUT)


def pack_corrections(data: Path, path: Path) -> Path:
    """Write the training set of results with corrections into one file, see :mod:`ctct.datasets`.

    Returns:
        ``path``; or ``data`` where that is any other folder or file.

    Raises:
        InputError: as :func:`read_corrections`.
        OutputError: the file cannot be written.
    """
    if not has_corrections(data):
        return data
    collection = read_corrections(data)
    prepare_folder(path.parent)
    write_pack(collection, path)
    return path


def _read_case(
    automatic: AutomaticResults, case: Case, files: Sequence[EditedFile]
) -> list[Volume]:
    record = read_record(automatic.folder, case.name)
    if record is None:  # removed since
        return []
    is_in_place = not record.was_written_to(output_path(automatic.folder, case.name))
    tables = automatic.tables
    result = read_case_result(
        *(automatic.folder, case, tables.label_order, tables.overrides),
        image=case.path.exists(),
        indicators=record.indicators,
        header=record.header,
    )
    if not result.has_image:
        if files or is_in_place:
            raise InputError(f"{case.path}: the scan of corrected labels is gone; put it back")
        log.warning("%s: its scan is not there or cannot be read; left out", case.name)
        return []
    phases = set(result.measurements.phases.values()) or {0}
    if not (files or is_in_place):
        return _volumes(case, result, result.labels, set(), phases)
    labels = read_edited(case.name, files, result.study, result.labels, tables.label_order)
    corrected = {file.frame for file in files if file.frame is not None}
    if is_in_place or any(file.frame is None for file in files):
        changed = np.flatnonzero((labels != result.labels).any(axis=(1, 2, 3)))
        corrected |= {*phases, *changed.tolist()}
    return _volumes(case, result, labels, corrected, phases | corrected)


def _volumes(
    case: Case, result: CaseResult, labels: Labels, labelled: set[int], frames: set[int]
) -> list[Volume]:
    study = result.study
    digits = len(str(study.frames - 1))
    return [
        Volume(
            case.patient,
            f"{case.name}_t{t:0{digits}}" if study.frames > 1 else case.name,
            to_bytes(study.voxels[t]),
            labels[t] if t in labelled else None,
            study.spacing_mm,
        )
        for t in sorted(frames)
    ]
