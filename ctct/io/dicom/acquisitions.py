"""Which images of a series were acquired together: repeated stacks, and repeated slices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product
from statistics import median
from typing import Any

import numpy as np

from ctct.io.dicom.header import Image
from ctct.io.dicom.phase_order import MIN_PHASES
from ctct.io.dicom.series import MIN_SLICES, Series
from ctct.io.geometry import MAX_GAP_DEVIATION, SAME_SLICE_MM

#: Slices of one stack lie further apart than this fraction of their thickness.
_MIN_GAP = 0.85
#: Below this fraction, slices of two stacks may be mixed.
_DOUBTFUL_GAP = 0.7
#: Assumed where the header does not give the thickness.
_THICKNESS_MM = 6.0
#: Slices nearer than this fraction of the usual gap show the same part of the heart.
_NEAR = 0.5
_MAX_CHOICES = 1024

#: For each image something that differs between acquisitions and sorts in their order.
_Key = Callable[[Series], Mapping[int, Any]]


def split_stacks(series: Series) -> list[Series]:
    """The stacks of a series in order of acquisition; the series itself if it was acquired once.

    Stacks were acquired one after another if they show the same phases of the same part of the
    heart. A slice or two that were acquired again make no stack; they become a series too, if
    there are stacks.
    """
    for key in (_pass, _number, _time, _restart, _rank, _folder, _file):
        values = key(series)
        groups: dict[Any, list[Image]] = defaultdict(list)
        for n, image in enumerate(series.images):
            groups[values.get(n)].append(image)
        large = sum(len(images) >= MIN_SLICES * MIN_PHASES for images in groups.values())
        if None in groups or large < 2:
            continue
        parts = [replace(series, images=tuple(groups[value])) for value in sorted(groups)]
        stacks = [part for part in parts if _is_full(part)]
        if len(stacks) > 1 and all(_is_repeated(a, b) for a, b in combinations(stacks, 2)):
            labels = [f"acquisition {n}" for n in range(1, len(parts) + 1)]
            return [
                replace(part, part=", ".join(filter(None, (series.part, label))))
                for part, label in zip(parts, labels, strict=True)
            ]
    return [series]


def overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the ranges of two lists of numbers have half of the smaller one in common."""
    common = min(max(a), max(b)) - max(min(a), min(b))
    return common >= 0.5 * min(max(a) - min(a), max(b) - min(b))


def cycle_time(image: Image) -> float | None:
    """Time within the cycle, or number of the phase."""
    return image.phase if image.time_ms is None else image.time_ms


def _is_full(series: Series) -> bool:
    return len(series.slices) >= MIN_SLICES and series.phases >= MIN_PHASES


def _is_repeated(a: Series, b: Series) -> bool:
    """Whether two stacks show the same phases of the same part of the heart."""
    if not overlap(a.positions_mm, b.positions_mm) or _make_one_stack(a, b):
        return False
    times = [[cycle_time(image) for image in stack.images] for stack in (a, b)]
    if None in times[0] + times[1]:
        expected = a.first.acquisition.phases
        return a.phases + b.phases > expected if expected else a.phases == b.phases
    return overlap(*times)  # type: ignore[arg-type]  # none is None


def _make_one_stack(a: Series, b: Series) -> bool:
    """Whether the slices of one fill the gaps of the other without overlap."""
    positions = sorted([*a.positions_mm, *b.positions_mm])
    return min(y - x for x, y in pairwise(positions)) >= _MIN_GAP * _thickness_mm(a)


def _thickness_mm(series: Series) -> float:
    return series.first.acquisition.thickness_mm or _THICKNESS_MM


def _order(image: Image) -> tuple[Any, ...]:
    """Sorts images by their acquisition."""
    acquisition = image.acquisition
    return image.number, acquisition.number or 0, acquisition.time, image.instance


def _pass(series: Series) -> Mapping[int, Any]:
    """How often the part of the heart that a slice shows was passed before its acquisition.

    It was if a slice acquired earlier, in the same series or another one, overlaps the slice.
    """
    slices: dict[tuple[str, int], list[Image]] = defaultdict(list)
    for z, images in enumerate(series.slices):
        for image in images:
            slices[image.series, z].append(image)
    gap_mm = max(SAME_SLICE_MM, _MIN_GAP * _thickness_mm(series))
    number, passed, passes = 0, list[float](), dict[int, int]()
    for images in sorted(slices.values(), key=lambda images: min(map(_order, images))):
        position = _position(series, images)
        if any(abs(position - other) < gap_mm for other in passed):
            number, passed = number + 1, []
        passed.append(position)
        passes |= {id(image): number for image in images}
    return {n: passes.get(id(image)) for n, image in enumerate(series.images)}


def _number(series: Series) -> Mapping[int, Any]:
    return {n: image.acquisition.number for n, image in enumerate(series.images)}


def _time(series: Series) -> Mapping[int, Any]:
    return {n: image.acquisition.time or None for n, image in enumerate(series.images)}


def _restart(series: Series) -> Mapping[int, Any]:
    """How often the time in the cycle began again at the slice, in order of acquisition."""
    numbers = {id(image): n for n, image in enumerate(series.images)}
    restarts: dict[int, int] = {}
    for images in series.slices:
        last, count = -math.inf, 0
        for image in sorted(images, key=_order):
            time = cycle_time(image)
            if time is None:
                return {}
            count += time <= last
            last = time
            restarts[numbers[id(image)]] = count
    return restarts


def _rank(series: Series) -> Mapping[int, Any]:
    """The rank within the slice, divided by the number of phases in the header."""
    phases = series.first.acquisition.phases
    if not phases or any(len(images) % phases for images in series.slices):
        return {}
    numbers = {id(image): n for n, image in enumerate(series.images)}
    return {
        numbers[id(image)]: rank // phases
        for images in series.slices
        for rank, image in enumerate(sorted(images, key=_order))
    }


def _folder(series: Series) -> Mapping[int, Any]:
    return {n: str(image.file.place) for n, image in enumerate(series.images)}


def _file(series: Series) -> Mapping[int, Any]:
    return {n: (str(i.file.path), i.file.member) for n, i in enumerate(series.images)}


def repeats_slices(series: Series, stack: Series) -> bool:
    """Whether a series acquires some slices of a stack again, by the same protocol."""
    protocols = {(s.first.description, s.phases) for s in (series, stack)}
    near_mm = _NEAR * float(np.median(np.diff(stack.positions_mm)))
    return (
        len(protocols) == 1
        and stack.first.description != ""
        and all(
            min(abs(position - other) for other in stack.positions_mm) < near_mm
            for position in series.positions_mm
        )
    )


def drop_repeated_slices(series: Series) -> tuple[Series, tuple[str, ...]]:
    """The series with each slice once, and notes on those that were acquired again.

    Of two acquisitions of a slice, the last complete one is kept. One that lies too far from its
    place in a regular stack is not.
    """
    notes = []
    slices = [_last_acquisition(images, series.phases) for images in series.slices]
    dropped = len(series.images) - sum(map(len, slices))
    if dropped and slices:
        notes.append(f"images that were there twice: {dropped}; the later ones are used")
        series = replace(series, images=tuple(image for images in slices for image in images))
    repeated = [group for group in _near_slices(series) if len(group) > 1]
    if repeated:
        far_mm = max(
            _position(series, group[-1]) - _position(series, group[0]) for group in repeated
        )
        kept = _choose_slices(series)
        if kept:
            notes.append(
                f"slices that were acquired again, up to {far_mm:.1f} mm away: {len(repeated)}; "
                "one of each is used"
            )
            series = replace(series, images=kept)
    gaps = np.diff(series.positions_mm)
    thick_mm = series.first.acquisition.thickness_mm or 0.0
    if len(gaps) and np.median(gaps) < _DOUBTFUL_GAP * thick_mm:
        notes.append(
            f"slices {thick_mm:g} mm thick lie {np.median(gaps):.1f} mm apart, as if two stacks "
            "were mixed"
        )
    return series, tuple(notes)


def _last_acquisition(images: list[Image], phases: int) -> list[Image]:
    """The last complete acquisition of a slice; all images if it was acquired once."""
    if len(images) <= phases:
        return images
    slice_series = Series(tuple(images))
    for key in (_series_number, _number, _time, _restart):
        values = key(slice_series)
        groups: dict[Any, list[Image]] = defaultdict(list)
        for n, image in enumerate(images):
            groups[values.get(n)].append(image)
        complete = [value for value in groups if len(groups[value]) == phases]
        if None not in groups and len(groups) > 1 and complete and phases > 1:
            return groups[max(complete)]
    return images


def _series_number(series: Series) -> Mapping[int, Any]:
    return {n: (image.number, image.series) for n, image in enumerate(series.images)}


def _near_slices(series: Series) -> list[list[list[Image]]]:
    """The slices of a series, those together that lie close to each other."""
    gaps = [b - a for a, b in pairwise(series.positions_mm)]
    if len(gaps) < MIN_SLICES - 1:
        return [[images] for images in series.slices]
    near_mm = _NEAR * median(gaps)
    groups = [[series.slices[0]]]
    for gap, images in zip(gaps, series.slices[1:], strict=True):
        if gap < near_mm:
            groups[-1].append(images)
        else:
            groups.append([images])
    return groups


def _choose_slices(series: Series) -> tuple[Image, ...]:
    """The images of a stack with one slice for each place; none if that cannot be chosen.

    Slices that are repeated get the place of the one that makes the stack most regular.
    """
    choices = [
        [images for images in group if len(images) == series.phases] if len(group) > 1 else group
        for group in _near_slices(series)
    ]
    if not 0 < math.prod(map(len, choices)) <= _MAX_CHOICES:
        return ()

    def unevenness(stack: Sequence[list[Image]]) -> float:
        steps = np.diff([_position(series, images) for images in stack])
        return float(np.abs(steps / steps.mean() - 1).max())

    regular = min(product(*choices), key=unevenness)
    latest = [max(group, key=lambda images: max(map(_order, images))) for group in choices]
    if unevenness(latest) > MAX_GAP_DEVIATION:
        return tuple(image for images in regular for image in images)
    return tuple(
        replace(image, position=place[0].position)
        for images, place in zip(latest, regular, strict=True)
        for image in images
    )


def _position(series: Series, images: Sequence[Image]) -> float:
    return float(series.normal @ np.array(images[0].position))
