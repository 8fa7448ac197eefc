"""Grouping DICOM images to series."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from ctct.io.dicom.header import PLAIN, Image
from ctct.io.dicom.phase_order import MIN_PHASES, has_distinct_phases
from ctct.io.geometry import MAX_GAP_DEVIATION, SAME_SLICE_MM
from ctct.io.patient_info import PatientInfo

#: Smallest number of slices of a short-axis cine. First-pass perfusion has many phases of three or
#: four slices, late enhancement one phase of many slices.
MIN_SLICES = 5

_SAME_DIRECTION = 0.01  # largest difference between components of equal directions


@dataclass(frozen=True)
class Series:
    """Images of equal matrix, spacing, orientation and kind, from one DICOM series or several.

    Attributes:
        images: in any order.
        left_out: number of images of the same DICOM series with another geometry.
        notes: what was irregular when the images were grouped, a sentence each.
    """

    images: tuple[Image, ...]
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Image:
        """The image that represents the series."""
        return self.images[0]

    @cached_property
    def uids(self) -> tuple[str, ...]:
        """SeriesInstanceUID of each DICOM series that the images come from."""
        return tuple(dict.fromkeys(image.series for image in self.images))

    @property
    def digest(self) -> str:
        """A hash of the UIDs, for results: a UID itself could identify a patient."""
        return hashlib.sha256(" ".join(sorted(self.uids)).encode()).hexdigest()[:16]

    @cached_property
    def path(self) -> Path:
        """The zip or the folder that holds the files."""
        if self.first.file.member:
            return self.first.file.path
        folders = {image.file.path.parent for image in self.images}
        if len(folders) == 1:
            return folders.pop()
        return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))

    @cached_property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector perpendicular to the slices (LPS)."""
        axes = np.reshape(self.first.orientation or (1, 0, 0, 0, 1, 0), (2, 3))
        normal = np.cross(*axes)
        return np.asarray(normal / np.linalg.norm(normal), np.float64)

    @cached_property
    def slices(self) -> list[list[Image]]:
        """The images at each position along the normal, in order; empty without positions."""
        if self.first.missing:
            return []
        images = [(float(self.normal @ np.array(i.position)), i) for i in self.images]
        images.sort(key=lambda positioned: positioned[0])
        slices: list[list[Image]] = []
        previous = -np.inf
        for position, image in images:
            if position - previous > SAME_SLICE_MM:
                slices.append([])
            slices[-1].append(image)
            previous = position
        return slices

    @cached_property
    def positions_mm(self) -> list[float]:
        """Position of each slice along the normal."""
        return [float(self.normal @ np.array(images[0].position)) for images in self.slices]

    @cached_property
    def phases(self) -> int:
        """Number of images in most slices; the higher of two numbers that are equally frequent."""
        counts = Counter(len(images) for images in self.slices)
        return max(counts, key=lambda n: (counts[n], n), default=0)

    @cached_property
    def info(self) -> PatientInfo:
        """The patient's size, weight and sex, and the median heart rate of all images."""
        info = self.first.info
        rates = [rate for image in self.images if (rate := image.info.heart_rate_bpm)]
        return PatientInfo(
            height_cm=info.height_cm,
            weight_kg=info.weight_kg,
            sex=info.sex,
            heart_rate_bpm=median(rates) if rates else None,
        )


def find_series(images: Iterable[Image]) -> list[Series]:
    """Group images by DICOM series and geometry, and join the parts of one cine.

    Some scanners store every slice, or every phase, as a DICOM series.
    """
    by_series: dict[tuple[object, ...], list[Image]] = defaultdict(list)
    for image in images:
        by_series[*study_key(image), image.series].append(image)
    studies: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for (*study, _), members in by_series.items():
        by_geometry: dict[tuple[object, ...], list[Image]] = defaultdict(list)
        directions: list[tuple[float, ...]] = []
        for image in members:
            by_geometry[_geometry_key(image, directions)].append(image)
        parts = by_geometry.values()
        for part in parts:
            same_kind = sum(len(p) for p in parts if p[0].kind == part[0].kind)
            studies[tuple(study)].append(Series(tuple(part), same_kind - len(part)))
    joined = [series for study in studies.values() for series in _join_parts(study)]
    return sorted(joined, key=lambda s: (str(s.path), s.first.study, s.first.number, s.uids))


def study_key(image: Image) -> tuple[object, ...]:
    """The zip of an image, if any, and its study: the same study in a folder and a zip are two."""
    return image.file.path if image.file.member else None, image.study


def _geometry_key(image: Image, directions: list[tuple[float, ...]]) -> tuple[object, ...]:
    """Equal for all images of a stack. New orientations are appended to ``directions``."""
    orientation = image.orientation
    if orientation is not None and orientation not in directions:
        for known in directions:
            if max(abs(a - b) for a, b in zip(known, orientation, strict=True)) <= _SAME_DIRECTION:
                orientation = known
                break
        else:
            directions.append(orientation)
    spacing_mm = image.spacing_mm and tuple(round(mm, 3) for mm in image.spacing_mm)
    return image.shape, spacing_mm, orientation, image.kind, image.missing


def _join_parts(study: list[Series]) -> list[Series]:
    """The series of a study, those joined that are parts of one cine."""
    study = _join_phases(study)
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    directions: list[tuple[float, ...]] = []
    for series in study:
        key = _geometry_key(series.first, directions)
        is_separate = series.phases < MIN_PHASES or series.first.kind != PLAIN
        groups[(*key, series.uids if is_separate else None, series.first.modality)].append(series)
    result = []
    for group in groups.values():
        is_stack = _is_evenly_spaced(group)
        parts = group if is_stack else [series for series in group if len(series.slices) == 1]
        joined = _join(parts)
        if len(parts) > 1 and len(joined.slices) >= MIN_SLICES:
            result += [series for series in group if series not in parts] + [joined]
        else:
            result += group
    return result


def _join_phases(study: list[Series]) -> list[Series]:
    """The series of a study, those joined that hold one phase each of the same slices.

    They are joined only if times or phase numbers tell the phases apart: otherwise they may be
    repetitions of one stack.
    """
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    directions: list[tuple[float, ...]] = []
    for series in study:
        is_phase = (
            series.phases == 1 and len(series.slices) >= MIN_SLICES and series.first.kind == PLAIN
        )
        key = None if is_phase else series.uids
        groups[(*_geometry_key(series.first, directions), key, series.first.modality)].append(
            series
        )
    result = []
    for group in groups.values():
        joined = _join(group)
        has_same_slices = len(joined.slices) == max(len(series.slices) for series in group)
        is_cine = (
            len(group) >= MIN_PHASES and has_same_slices and has_distinct_phases(joined.slices)
        )
        result += [joined] if is_cine else group
    return result


def _join(parts: Sequence[Series]) -> Series:
    images = tuple(image for part in parts for image in part.images)
    return Series(images, sum(part.left_out for part in parts))


def _is_evenly_spaced(group: Sequence[Series]) -> bool:
    positions = sorted(position for series in group for position in series.positions_mm)
    gaps = [b - a for a, b in pairwise(positions)]
    return not gaps or (
        min(gaps) > SAME_SLICE_MM
        and max(gaps) - min(gaps) <= MAX_GAP_DEVIATION * float(np.mean(gaps))
    )
