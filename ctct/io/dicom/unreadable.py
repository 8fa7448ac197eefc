"""Files that seem to belong to a series and cannot be read, as after an interrupted copy."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath

from ctct.io.dicom.files import DicomFile
from ctct.io.dicom.series import Series, study_key

log = logging.getLogger(__name__)

#: Endings that programs give to files that they have not copied to the end.
_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")


def assign_unreadable(
    all_series: Sequence[Series], damaged: Iterable[DicomFile], others: Iterable[DicomFile]
) -> list[Series]:
    """The series with the names of the files beside them that cannot be read.

    A file belongs to the series in its folder, or else to those in the folders below it or beside
    it if they are of one study.

    Args:
        all_series: the series.
        damaged: DICOM files that cannot be read.
        others: files that are not DICOM. They count if their names are like those of the images.
    """
    places = [{image.file.place for image in series.images} for series in all_series]
    endings = [{_ending(image.file) for image in series.images} for series in all_series]
    found: dict[int, list[str]] = defaultdict(list)
    count: Counter[PurePath] = Counter()
    is_damaged = dict.fromkeys(others, False) | dict.fromkeys(damaged, True)
    neighbors: dict[PurePath, list[int]] = {}
    for file, damage in is_damaged.items():
        if file.place not in neighbors:
            neighbors[file.place] = _neighbors(file, all_series, places)
        beside = neighbors[file.place]
        if damage or any(_is_like_an_image(file, endings[n]) for n in beside):
            for n in beside:
                found[n].append(str(file.path.joinpath(file.member)))
            count[file.path if file.member else file.place] += 1
    for path, number in count.items():
        log.warning("%s: %d files cannot be read as DICOM; skipped", path, number)
    return [
        replace(series, unreadable=tuple(found[n])) if found[n] else series
        for n, series in enumerate(all_series)
    ]


def _neighbors(
    file: DicomFile, all_series: Sequence[Series], places: Sequence[set[PurePath]]
) -> list[int]:
    """Indices of the series that a file may belong to."""
    if here := [n for n, folders in enumerate(places) if file.place in folders]:
        return here
    roots = [file.place]
    if not file.member or file.place != file.path:  # beside a zip lie other patients
        roots.append(file.place.parent)
    for root in roots:
        near = [n for n, folders in enumerate(places) if any(root in f.parents for f in folders)]
        if len({study_key(all_series[n].first) for n in near}) == 1:
            return near
    return []


def _ending(file: DicomFile) -> str:
    """The ending of a name, "" for names that end in a number, such as UIDs."""
    suffix = PurePath(file.member or file.path).suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def _is_like_an_image(file: DicomFile, endings: set[str]) -> bool:
    """Whether the name of a file is like those of images with ``endings``."""
    path = PurePath(file.member or file.path)
    if path.suffix.lower() in _UNFINISHED:
        path = path.with_suffix("")
    ending = _ending(DicomFile(file.path.with_name(path.name)))
    return ending in endings and (ending != "" or any(map(str.isdigit, path.name)))
