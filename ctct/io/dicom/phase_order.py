"""Which attribute puts the images of each slice in the order of their phases."""

from __future__ import annotations

from collections.abc import Sequence

from ctct.io.dicom.header import CLOCKS, PHASES, TIMES, Image

#: Smallest number of phases of a cine; an attribute with fewer values numbers something else.
MIN_PHASES = 6

_HALF_DAY_S = 43_200


def choose_attribute(slices: Sequence[Sequence[Image]]) -> str | None:
    """The most reliable attribute that tells the images of every slice apart, or None."""
    names = (*TIMES, *PHASES, "InstanceNumber", *CLOCKS)
    return next((name for name in names if _tells_apart(name, slices)), None)


def find_contradiction(slices: Sequence[Sequence[Image]], name: str) -> str | None:
    """A time of day by which the images of a slice are in another order than by an attribute."""
    return next(
        (
            clock
            for clock in CLOCKS
            if _tells_apart(clock, slices)
            and any(sort_phases(images, clock) != sort_phases(images, name) for images in slices)
        ),
        None,
    )


def _tells_apart(name: str, slices: Sequence[Sequence[Image]]) -> bool:
    """Whether an attribute tells the images of every slice apart.

    An image that is there twice shares its value with another one. Times of day may be those of an
    export and must all differ.
    """
    for images in slices:
        if any(name not in image.order for image in images):
            return False
        distinct = len(sort_phases(images, name))
        if distinct < len(images) and (distinct < MIN_PHASES or name in CLOCKS):
            return False
    return True


def sort_phases(images: Sequence[Image], name: str) -> list[Image]:
    """The images in order of an attribute that all of them have, one image for each value.

    Of several with the same value the one with the highest instance number is used.
    """
    by_instance = sorted(images, key=lambda image: (image.number, image.instance))
    latest = {image.order[name]: image for image in by_instance}
    is_past_midnight = name in CLOCKS and max(latest)[0] - min(latest)[0] > _HALF_DAY_S
    keys = sorted(latest, key=lambda v: (is_past_midnight and v[0] < _HALF_DAY_S, v))
    return [latest[key] for key in keys]


def has_distinct_phases(slices: Sequence[Sequence[Image]]) -> bool:
    """Whether a time or a phase number differs between all images of every slice."""
    return any(
        all(
            len({image.order.get(name) for image in images} - {None}) == len(images)
            for images in slices
        )
        for name in (*TIMES, *PHASES)
    )
