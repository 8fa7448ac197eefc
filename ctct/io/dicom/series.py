"""Which series there are among DICOM images, and which of them is the short-axis cine."""

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
from ctct.io.geometry import EVEN, SAME_SLICE_MM
from ctct.io.patient_info import Info

#: A cine of the short axis has at least so many slices and phases; first-pass perfusion has many
#: phases of three or four slices, late enhancement one phase of many.
MIN_SLICES, MIN_PHASES = 5, 6

#: From base to apex the heart's long axis points to the left, to the front and down (LPS), in
#: different people and breaths up to so far from this direction.
_LONG_AXIS = np.array([0.65, -0.60, -0.45]) / np.linalg.norm([0.65, -0.60, -0.45])
_MAX_DEGREES = 45.0

_SAME_DIRECTION = 0.01  # of each component of a unit vector


@dataclass(frozen=True)
class Series:
    """Images of equal matrix, pixels, orientation and kind, of one series or joined from several.

    Attributes:
        images: in no order.
        left_out: images of the same series that have another geometry.
    """

    images: tuple[Image, ...]
    left_out: int = 0

    @property
    def first(self) -> Image:
        """An image that speaks for all."""
        return self.images[0]

    @cached_property
    def uids(self) -> tuple[str, ...]:
        """SeriesInstanceUID of each series the images come from."""
        return tuple(dict.fromkeys(image.series for image in self.images))

    @property
    def digest(self) -> str:
        """What stands for the UIDs in files: they may lead to a patient."""
        return hashlib.sha256(" ".join(sorted(self.uids)).encode()).hexdigest()[:16]

    @cached_property
    def path(self) -> Path:
        """The zip, or the folder, that the files lie in."""
        if self.first.file.member:
            return self.first.file.path
        folders = {image.file.path.parent for image in self.images}
        if len(folders) == 1:
            return folders.pop()
        return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))

    @cached_property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector at right angles to the slices (LPS)."""
        axes = np.reshape(self.first.orientation or (1, 0, 0, 0, 1, 0), (2, 3))
        normal = np.cross(*axes)
        return np.asarray(normal / np.linalg.norm(normal), np.float64)

    @cached_property
    def slices(self) -> list[list[Image]]:
        """The images of each place, places in the order of the normal; empty without places."""
        if self.first.missing:
            return []
        placed = [(float(self.normal @ np.array(i.position)), i) for i in self.images]
        placed.sort(key=lambda one: one[0])
        found: list[list[Image]] = []
        last = -np.inf
        for place, image in placed:
            if place - last > SAME_SLICE_MM:
                found.append([])
            found[-1].append(image)
            last = place
        return found

    @cached_property
    def places_mm(self) -> list[float]:
        """Where each slice lies along the normal."""
        return [float(self.normal @ np.array(one[0].position)) for one in self.slices]

    @cached_property
    def phases(self) -> int:
        """Images of a slice: of most slices, the higher number of two that are as frequent."""
        counts = Counter(len(one) for one in self.slices)
        return max(counts, key=lambda n: (counts[n], n), default=0)

    @cached_property
    def info(self) -> Info:
        """The patient's body, and the median heart rate of all slices."""
        info = self.first.info
        rates = [rate for image in self.images if (rate := image.info.heart_rate_bpm)]
        return Info(
            height_cm=info.height_cm,
            weight_kg=info.weight_kg,
            sex=info.sex,
            heart_rate_bpm=median(rates) if rates else None,
        )


def find_series(images: Iterable[Image]) -> list[Series]:
    """Group images by series and geometry; slices that were filed as a series each are joined."""
    by_series: dict[tuple[object, ...], list[Image]] = defaultdict(list)
    for image in images:
        by_series[*study_of(image), image.series].append(image)
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for (*study, _), members in by_series.items():
        parts: dict[tuple[object, ...], list[Image]] = defaultdict(list)
        directions: list[tuple[float, ...]] = []
        for image in members:
            parts[_geometry(image, directions)].append(image)
        for part in parts.values():
            alike = sum(len(p) for p in parts.values() if p[0].kind == part[0].kind)
            groups[tuple(study)].append(Series(tuple(part), alike - len(part)))
    found = [one for group in groups.values() for one in _joined(group)]
    return sorted(found, key=lambda s: (str(s.path), s.first.study, s.first.number, s.uids))


def judge(series: Sequence[Series]) -> list[str]:
    """Why each series is not taken as short-axis cine, "" for the one of each study that is."""
    reasons = [_why_not(one) for one in series]
    studies: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for n, one in enumerate(series):
        if not reasons[n]:
            studies[study_of(one.first)].append(n)
    for candidates in studies.values():
        best = max(
            candidates,
            key=lambda n: (len(series[n].slices), series[n].phases, series[n].first.number),
        )
        for n in candidates:
            if n != best:
                reasons[n] = (
                    f"a short-axis cine, but series {series[best].first.number} is taken, "
                    "which has more slices or phases or is the later one"
                )
    return reasons


def _why_not(series: Series) -> str:
    first = series.first
    if first.modality != "MR":
        return f"modality is {first.modality or 'not given'}, expected MR"
    if first.kind != PLAIN:
        return first.kind
    if first.missing:
        return f"lacks {first.missing}"
    slices, phases = len(series.slices), series.phases
    if slices < MIN_SLICES:
        return f"slices: {slices}, a short-axis cine has at least {MIN_SLICES}"
    if phases < MIN_PHASES:
        return f"phases: {phases}, a cine has at least {MIN_PHASES}"
    cosine = min(abs(float(series.normal @ _LONG_AXIS)), 1.0)
    degrees = np.degrees(np.arccos(cosine))
    if degrees > _MAX_DEGREES:
        return f"lies {degrees:.0f}° from where the short axis of a heart is expected"
    return ""


def study_of(image: Image) -> tuple[object, ...]:
    """A study in one place: the same one in a folder and in a zip counts twice."""
    return image.file.path if image.file.member else None, image.study


def _geometry(image: Image, directions: list[tuple[float, ...]]) -> tuple[object, ...]:
    """What images of a stack have in common; ``directions`` seen so far are added to."""
    turned = image.orientation
    if turned is not None and turned not in directions:
        for known in directions:
            if max(abs(a - b) for a, b in zip(known, turned, strict=True)) <= _SAME_DIRECTION:
                turned = known
                break
        else:
            directions.append(turned)
    spacing_mm = image.spacing_mm and tuple(round(mm, 3) for mm in image.spacing_mm)
    return image.shape, spacing_mm, turned, image.kind, image.missing


def _joined(study: list[Series]) -> list[Series]:
    """The series of a study, those that are parts of one cine joined."""
    study = _phases_joined(study)
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    directions: list[tuple[float, ...]] = []
    for one in study:
        key = _geometry(one.first, directions)
        alone = one.phases < MIN_PHASES or one.first.kind != PLAIN
        groups[(*key, one.uids if alone else None, one.first.modality)].append(one)
    found = []
    for group in groups.values():
        parts = group if _even_together(group) else [one for one in group if len(one.slices) == 1]
        images = tuple(image for one in parts for image in one.images)
        together = Series(images, sum(one.left_out for one in parts))
        if len(parts) > 1 and len(together.slices) >= MIN_SLICES:
            found += [one for one in group if one not in parts] + [together]
        else:
            found += group
    return found


def _phases_joined(study: list[Series]) -> list[Series]:
    """The series of a study, those joined that hold one phase each of the same slices.

    Only where times or numbers tell the phases apart: a stack may have been acquired six times.
    """
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    directions: list[tuple[float, ...]] = []
    for one in study:
        phase = one.phases == 1 and len(one.slices) >= MIN_SLICES and one.first.kind == PLAIN
        key = None if phase else one.uids
        groups[(*_geometry(one.first, directions), key, one.first.modality)].append(one)
    found = []
    for group in groups.values():
        images = tuple(image for one in group for image in one.images)
        together = Series(images, sum(one.left_out for one in group))
        same_slices = len(together.slices) == max(len(one.slices) for one in group)
        told_apart = any(
            all(None not in seen and len(seen) == len(set(seen)) for seen in by_slice)
            for by_slice in (
                [[image.time_ms for image in one] for one in together.slices],
                [[image.phase for image in one] for one in together.slices],
            )
        )
        joined = len(group) >= MIN_PHASES and same_slices and told_apart
        found += [together] if joined else group
    return found


def _even_together(group: Sequence[Series]) -> bool:
    places = sorted(place for one in group for place in one.places_mm)
    gaps = [b - a for a, b in pairwise(places)]
    return not gaps or (
        min(gaps) > SAME_SLICE_MM and max(gaps) - min(gaps) <= EVEN * float(np.mean(gaps))
    )
