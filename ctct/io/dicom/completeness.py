"""What the headers of a series say is missing from it."""

from __future__ import annotations

from collections import Counter, defaultdict

from ctct.io.dicom.acquisitions import cycle_time
from ctct.io.dicom.series import Series

_REMEDY = "export the whole series again"


def find_losses(series: Series) -> list[str]:
    """What the headers say is missing from a series, a sentence each."""
    losses = []
    if series.unreadable:
        losses.append(
            f"files that are missing or cannot be read: {len(series.unreadable)}, named in "
            "run.json; copy them again"
        )
    images = len(series.images) + (0 if series.part else len(series.others))
    expected = max(image.acquisition.images for image in series.images)
    if not series.part and (missing := _missing_numbers(series, expected == images)):
        losses.append(f"InstanceNumbers that no file has: {missing}; {_REMEDY}")
    if expected > images:
        losses.append(f"the header says {expected} images, there are {images}; {_REMEDY}")
    phases = Counter(image.acquisition.phases for image in series.images).most_common(1)[0][0]
    if phases > series.phases:
        losses.append(f"the header says {phases} phases, there are {series.phases}; {_REMEDY}")
    if phases and series.phases >= 2 * phases:
        losses.append(
            f"the header says {phases} phases, there are {series.phases}, as if the slices were "
            "acquired more than once"
        )
    if doubled := _doubled_numbers(series):
        losses.append(f"images of one slice that share their InstanceNumber: {doubled}")
    return losses


def _missing_numbers(series: Series, is_complete: bool) -> int:
    """How many InstanceNumbers are missing within a DICOM series, or before its first one.

    Numbers may run on from one series to the next. Where most of a range is missing, they do not
    count images.

    Args:
        series: the images, with the others of the same DICOM series.
        is_complete: whether there are as many images as the header says. Then those before the
            first number belong to something else.
    """
    by_series: dict[str, set[int]] = defaultdict(set)
    for image in (*series.images, *series.others):
        by_series[image.series].add(image.instance - image.frame)
    ranges = list(by_series.values())
    union = set[int]().union(*ranges)
    run_on = len(union) == sum(map(len, ranges))
    if run_on and _is_dense(union):
        ranges = [union]
    within = sum(max(r) - min(r) + 1 - len(r) for r in ranges if _is_dense(r))
    before = min(union) - 1
    if is_complete or not 0 < before < len(union) or not _is_dense(union):
        return within
    units = (series.phases, len(series.slices)) if run_on else (1,)
    is_whole = any(n % unit == 0 for n in (before, within + before) for unit in units)
    return within + (before if is_whole else 0)


def _is_dense(numbers: set[int]) -> bool:
    """Whether less than every second number is missing."""
    return 2 * (len(numbers) - 1) > max(numbers) - min(numbers)


def _doubled_numbers(series: Series) -> int:
    """How many images share slice and InstanceNumber with another one at another time."""
    times: dict[tuple[object, ...], set[float | None]] = defaultdict(set)
    for z, images in enumerate(series.slices):
        for image in images:
            times[z, image.series, image.instance, image.frame].add(cycle_time(image))
    return sum(len(values) - 1 for key, values in times.items() if key[2])
