"""Grouping DICOM images to series, and joining the parts of one cine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np

from ctct.io.dicom.acquisitions import overlap, repeats_slices, split_stacks
from ctct.io.dicom.header import PLAIN, Image
from ctct.io.dicom.phase_order import MIN_PHASES, has_distinct_phases
from ctct.io.dicom.series import MIN_SLICES, Series, study_key
from ctct.io.geometry import MAX_GAP_DEVIATION, SAME_SLICE_MM

_SAME_DIRECTION = 0.01  # largest difference between components of equal directions
_SAME_SPACING = 0.002  # largest difference between equal spacings, as a fraction


class _Geometries:
    """Numbers the geometries of images. Headers are rounded, so equal ones may differ a little."""

    def __init__(self) -> None:
        self._known: list[Image] = []

    def __call__(self, image: Image) -> int:
        for n, known in enumerate(self._known):
            if _has_same_geometry(image, known):
                return n
        self._known.append(image)
        return len(self._known) - 1


def _has_same_geometry(a: Image, b: Image) -> bool:
    def differ(x: Sequence[float] | None, y: Sequence[float] | None, limit: float) -> bool:
        if x is None or y is None:
            return x is not y
        return any(abs(p - q) > limit for p, q in zip(x, y, strict=True))

    return (
        (a.shape, a.kind, a.missing) == (b.shape, b.kind, b.missing)
        and not differ(a.spacing_mm, b.spacing_mm, _SAME_SPACING * min(b.spacing_mm or (0,)))
        and not differ(a.orientation, b.orientation, _SAME_DIRECTION)
    )


def find_series(images: Iterable[Image]) -> list[Series]:
    """Group images by DICOM series, geometry and acquisition, and join the parts of one cine.

    Some scanners store every slice, or every phase, as a DICOM series.
    """
    by_series: dict[tuple[object, ...], list[Image]] = defaultdict(list)
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for image in images:
        by_series[*study_key(image), image.series].append(image)
        owners[image.series].add((image.study, image.acquisition.patient))
    studies: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for (*study, _), members in by_series.items():
        studies[tuple(study)] += _split_series(members, len(owners[members[0].series]) > 1)
    joined = [series for study in studies.values() for series in _join_parts(study)]
    return sorted(joined, key=lambda s: (str(s.path), s.first.study, s.first.number, s.uids))


def _split_series(members: Sequence[Image], is_shared: bool) -> list[Series]:
    """The images of a DICOM series by geometry and acquisition.

    Args:
        members: the images, of one patient.
        is_shared: whether images of another study or patient have the same UID.
    """
    geometries = _Geometries()
    by_geometry: dict[int, list[Image]] = defaultdict(list)
    for image in members:
        by_geometry[geometries(image)].append(image)
    result = []
    for geometry, part in by_geometry.items():
        others = [i for n, images in by_geometry.items() if n != geometry for i in images]
        series = Series(tuple(part), tuple(others))
        if is_shared:
            owner = f"{part[0].study} {part[0].acquisition.patient}"
            digest = hashlib.sha256(owner.encode()).hexdigest()[:8]
            note = "images of another patient or study have the same SeriesInstanceUID"
            series = replace(series, part=f"patient {digest}", notes=(note,))
        result += split_stacks(series)
    return result


def _join_parts(study: list[Series]) -> list[Series]:
    """The series of a study, those joined that are parts of one cine.

    Two full stacks of the same part of the heart are never joined, for instance those of rest and
    stress.
    """
    study = _join_phases(study)
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    geometries = _Geometries()
    for series in study:
        is_separate = series.phases < MIN_PHASES or series.first.kind != PLAIN
        uids = (series.uids, series.part) if is_separate else None
        groups[geometries(series.first), uids, series.first.modality].append(series)
    result = []
    for group in groups.values():
        parts = _parts_of_one_stack(group)
        joined = _join(parts)
        if len(parts) > 1 and len(joined.slices) >= MIN_SLICES:
            ids = set(map(id, parts))
            group = [s for s in group if id(s) not in ids] + split_stacks(joined)
        result += [_note_continuations(series, group) for series in group]
    return result


def _note_continuations(series: Series, group: Sequence[Series]) -> Series:
    """The series, with a note on each other one of the group that may be the rest of its stack."""
    notes = tuple(
        f"{other.label}, of the same kind, lies beside these slices and is not used; if it belongs "
        "to the cine, export the whole cine again"
        for other in group
        if len(series.slices) >= MIN_SLICES and _continues(other, series)
    )
    return replace(series, notes=(*series.notes, *notes))


def _continues(a: Series, b: Series) -> bool:
    lower, upper = sorted((a.positions_mm, b.positions_mm))
    is_beside = bool(lower) and max(lower) < min(upper)
    return is_beside and (a.first.description, a.phases) == (b.first.description, b.phases)


def _parts_of_one_stack(group: Sequence[Series]) -> Sequence[Series]:
    """Those of some series that make one stack, or a stack and slices of it acquired again."""
    full = [series for series in group if len(series.slices) >= MIN_SLICES]
    if _is_evenly_spaced(group) and not any(
        overlap(a.positions_mm, b.positions_mm) for a, b in combinations(full, 2)
    ):
        return group
    if len(full) == 1:
        again = [s for s in group if s is not full[0] and repeats_slices(s, full[0])]
        if again:
            return [*full, *again]
    return [series for series in group if len(series.slices) == 1]


def _join_phases(study: list[Series]) -> list[Series]:
    """The series of a study, those joined that hold one phase each of the same slices.

    They are joined only if times or phase numbers tell the phases apart: otherwise they may be
    repetitions of one stack.
    """
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    geometries = _Geometries()
    for series in study:
        is_phase = (
            series.phases == 1 and len(series.slices) >= MIN_SLICES and series.first.kind == PLAIN
        )
        uids = None if is_phase else (series.uids, series.part)
        groups[geometries(series.first), uids, series.first.modality].append(series)
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
    return Series(
        images,
        tuple(image for part in parts for image in part.others),
        ", ".join(dict.fromkeys(part.part for part in parts if part.part)),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _is_evenly_spaced(group: Sequence[Series]) -> bool:
    positions = sorted(position for series in group for position in series.positions_mm)
    gaps = [b - a for a, b in pairwise(positions)]
    return not gaps or (
        min(gaps) > SAME_SLICE_MM
        and max(gaps) - min(gaps) <= MAX_GAP_DEVIATION * float(np.mean(gaps))
    )
