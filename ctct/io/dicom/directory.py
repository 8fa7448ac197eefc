"""The images that a DICOMDIR lists (PS3.3, Annex F)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import read_dataset
from ctct.io.dicom.series import Series
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings

log = logging.getLogger(__name__)


def find_missing(files: Iterable[DicomFile]) -> dict[str, list[str]]:
    """Images that a DICOMDIR among ``files`` lists and that are not there, by SeriesInstanceUID.

    A DICOMDIR that lists no file that is there belongs to other folders, and does not count.
    """
    names = {_name(file): file for file in files}
    missing: dict[str, list[str]] = defaultdict(list)
    for directory in names.values():
        if PurePath(_name(directory)).name != "dicomdir":
            continue
        listed = _listed_images(directory)
        lost = [(uid, path) for uid, path in listed if _normalize(path) not in names]
        if len(lost) < len(listed):
            for uid, path in lost:
                missing[uid].append(str(path))
    return missing


def find_without_images(
    dicom: Sequence[DicomFile], all_series: Sequence[Series]
) -> list[DicomFile]:
    """The DICOM files of which there is no image: all if no series is, or lists without files.

    Args:
        dicom: all DICOM files, those that list others included.
        all_series: the series in them.
    """
    if not all_series:
        return list(dicom)
    folders = {image.file.path.parent for series in all_series for image in series.images}
    with_images = {place for folder in folders for place in (folder, *folder.parents)}
    return [
        file
        for file in dicom
        if file.path.name.upper() == "DICOMDIR" and file.path.parent not in with_images
    ]


def _listed_images(directory: DicomFile) -> list[tuple[str, PurePath]]:
    """SeriesInstanceUID and path of each image; empty if the DICOMDIR cannot be read."""
    images, uid = [], ""
    try:
        with Opener() as opener, suppress_pydicom_warnings:
            for record in read_dataset(opener, directory).DirectoryRecordSequence:
                if record.DirectoryRecordType == "SERIES":  # its images follow
                    uid = str(record.SeriesInstanceUID)
                elif record.DirectoryRecordType == "IMAGE":
                    name = record.ReferencedFileID
                    parts = [name] if isinstance(name, str) else list(name)
                    images.append((uid, directory.place.joinpath(*parts)))
    except Exception as error:  # damage can make pydicom raise any exception
        log.debug("%s %s: %s", directory.path, directory.member, error)
        return []
    return images


def _name(file: DicomFile) -> str:
    return _normalize(file.path.joinpath(file.member))


def _normalize(path: PurePath) -> str:
    """The same for all names of a file: copies may be in lower case, or have an ending."""
    return str(path).lower().removesuffix(".dcm")
