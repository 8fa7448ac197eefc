"""Which cases of a folder of results were corrected, by files of their own or in place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ctct.correction.dicom_references import match_references
from ctct.correction.edited_files import EditedFile, find_edited
from ctct.dicom_results.formats import folder_of
from ctct.io.dicom.segmentation import SEG
from ctct.prediction.case_record import CaseRecord, read_record, record_names, sort_frames
from ctct.prediction.quality_record import output_path
from ctct.prediction.run_manifest import read_manifests

#: The folder below the results that holds the corrected maps.
EDITED = "edited"


def find_corrections(
    results: Path, patients: Mapping[str, str], edited: Path | None = None
) -> tuple[dict[str, list[EditedFile]], dict[Path, str]]:
    """The corrected files of each case.

    Args:
        results: folder that ``ctct predict`` wrote.
        patients: name of each case to that of its patient.
        edited: folder of corrected label maps; that in the results where left out, if it exists.

    Returns:
        Case to files; and for each file that belongs to no case, the reason.

    Raises:
        InputError: there is no such folder, or no file in it.
    """
    folder = edited or results / EDITED
    if edited is None and not folder.is_dir():
        return {}, {}
    files, problems = find_edited(folder, patients, _scans_of_frames(results, patients))
    found = match_references(problems, results / folder_of(SEG), patients)
    for path, (case, file) in found.items():
        files.setdefault(case, []).append(file)
        del problems[path]
    return files, problems


def _scans_of_frames(results: Path, patients: Mapping[str, str]) -> dict[str, list[str]]:
    """Name of a patient to the scans that are a frame each, in order of the cycle."""
    scans: dict[str, list[CaseRecord]] = {}
    for case, patient in patients.items():
        if patient != case and (record := read_record(results, case)):
            scans.setdefault(patient, []).append(record)
    return {
        patient: [record.case for record in sort_frames(records)]
        for patient, records in scans.items()
        if all(len(record.volumes_ml) == 1 for record in records)
    }


def has_corrections(folder: Path) -> bool:
    """Whether a folder holds results of ``ctct predict`` with a corrected label map."""
    if not folder.is_dir() or not read_manifests(folder):
        return False
    return (folder / EDITED).is_dir() or any(
        is_edited_in_place(folder, name) for name in record_names(folder)
    )


def is_edited_in_place(folder: Path, case: str) -> bool:
    """Whether the label map in the results is not the one that ctct wrote."""
    record, path = read_record(folder, case), output_path(folder, case)
    return bool(record and record.is_measured and path.exists() and not record.was_written_to(path))
