"""Files of a series that are missing or cannot be read, as after an interrupted copy."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ctct.io.dicom.files import DicomFile
from ctct.io.dicom.series import Series, study_key

log = logging.getLogger(__name__)

_DICOM_ENDINGS = {".dcm", ".ima"}
#: Endings that programs give to files that they have compressed, or not copied to the end.
_ADDED = (".gz", ".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp")


def assign_unreadable(
    all_series: Sequence[Series],
    damaged: Iterable[DicomFile],
    others: Iterable[DicomFile],
    missing: Mapping[str, Sequence[str]],
) -> tuple[list[Series], list[Path]]:
    """The series with the names of their files that are missing or cannot be read.

    A file belongs to the series in its folder, or else to those in the folders below it or beside
    it if they are of one study.

    Args:
        all_series: the series.
        damaged: DICOM files that cannot be read.
        others: files that are not DICOM. They count if their names are like those of the images,
            or else of DICOM.
        missing: files that a DICOMDIR lists and that are not there, by SeriesInstanceUID.

    Returns:
        The series, and the folders and zips with such files that belong to no series.
    """
    endings = [{_ending(image.file) for image in series.images} for series in all_series]
    found = {
        n: [name for uid in series.uids for name in missing.get(uid, ())]
        for n, series in enumerate(all_series)
    }
    count: Counter[Path] = Counter()
    lost: dict[Path, None] = {}
    is_damaged = dict.fromkeys(others, False) | dict.fromkeys(damaged, True)
    neighbors = _Neighbors(all_series)
    for file, damage in is_damaged.items():
        beside = neighbors(file)
        if damage or any(
            _is_like_an_image(file, names)
            for names in ([endings[n] for n in beside] or [_DICOM_ENDINGS])
        ):
            for n in beside:
                found[n].append(str(file.path.joinpath(file.member)))
            root = file.path if file.member else file.path.parent
            count[root] += 1
            if not beside:
                lost[root] = None
    for path, number in count.items():
        log.warning("%s: %d files cannot be read as DICOM; skipped", path, number)
    return [
        replace(series, unreadable=tuple(found[n])) if found[n] else series
        for n, series in enumerate(all_series)
    ], list(lost)


class _Neighbors:
    """Finds the indices of the series that a file may belong to."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        self._all_series = all_series
        self._here: dict[PurePath, set[int]] = defaultdict(set)
        self._below: dict[PurePath, set[int]] = defaultdict(set)
        for n, series in enumerate(all_series):
            for place in {image.file.place for image in series.images}:
                self._here[place].add(n)
                for folder in place.parents:
                    self._below[folder].add(n)

    def __call__(self, file: DicomFile) -> set[int]:
        if file.place in self._here:
            return self._here[file.place]
        roots = [file.place]
        if not file.member or file.place != file.path:  # beside a zip lie other patients
            roots.append(file.place.parent)
        for root in roots:
            near = self._below.get(root, set())
            if len({study_key(self._all_series[n].first) for n in near}) == 1:
                return near
        return set()


def _ending(file: DicomFile) -> str:
    """The ending of a name, "" for names that end in a number, such as UIDs."""
    suffix = PurePath(file.member or file.path).suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def _is_like_an_image(file: DicomFile, endings: set[str]) -> bool:
    """Whether the name of a file is like those of images with ``endings``."""
    path = PurePath(file.member or file.path)
    if path.suffix.lower() in _ADDED:
        path = path.with_suffix("")
    ending = _ending(DicomFile(file.path.with_name(path.name)))
    return ending in endings and (ending != "" or any(map(str.isdigit, path.name)))
