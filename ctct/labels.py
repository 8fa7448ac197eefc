"""Label values, names and colors, and remapping between the label orders of data sets.

A label map holds small integers: 0 is background, every other value a structure. ctct uses the ACDC
order internally and converts input and output with :func:`remap`, by name, never by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError

BACKGROUND = "background"
RV = "RV"  # right-ventricular blood pool
MYO = "MYO"  # left-ventricular myocardium
LV = "LV"  # left-ventricular blood pool

#: The foreground structures, in the order of their label values.
STRUCTURES = (RV, MYO, LV)

#: Every class a network predicts, index = label value.
CLASSES = (BACKGROUND, *STRUCTURES)

#: Label value of each structure in ctct.
VALUE: Mapping[str, int] = {name: value for value, name in enumerate(CLASSES)}

#: Color of each structure (sRGB, 0-255), distinguishable with the common color-vision deficiencies
#: (blue, green and vermilion of the Okabe-Ito palette).
COLORS: Mapping[str, tuple[int, int, int]] = {
    RV: (86, 180, 233),
    MYO: (0, 158, 115),
    LV: (230, 97, 0),
}

#: Label value of each structure in the orders of common data sets and tools.
ORDERS: Mapping[str, Mapping[str, int]] = {
    "acdc": {RV: 1, MYO: 2, LV: 3},
    "mnms": {LV: 1, MYO: 2, RV: 3},
    "ukbb": {LV: 1, MYO: 2, RV: 3},
    "monai": {LV: 1, MYO: 2, RV: 3},
}

#: With more values that no order has, an array is no label map.
_MAX_UNKNOWN = 16


def remap(
    label_map: npt.NDArray[np.integer],
    source: str | Mapping[str, int] = "acdc",
    target: str | Mapping[str, int] = "acdc",
) -> npt.NDArray[np.uint8]:
    """Renumber a label map from one order to another.

    Args:
        label_map: integers, any shape.
        source: the order of ``label_map``, a key of :data:`ORDERS` or the value of each structure.
        target: the order of the result, likewise.

    Returns:
        uint8 array of the same shape.

    Raises:
        InputError: an order is unknown, or the map holds a value that its order does not have.
    """
    old, new = (_values(order) for order in (source, target))
    lookup = np.zeros(256, np.uint8)
    known = np.zeros(256, bool)
    known[0] = True
    for structure, value in old.items():
        lookup[value] = new[structure]
        known[value] = True
    low, high = (int(label_map.min()), int(label_map.max())) if label_map.size else (0, 0)
    if low < 0 or high > 255 or not known[low : high + 1].all():
        values = np.unique(label_map)
        unknown = [int(v) for v in values if not 0 <= v < 256 or not known[int(v)]]
        if len(unknown) > _MAX_UNKNOWN:
            raise InputError(
                f"holds {len(values)} different values, from {low} to {high}, as a scan does; give "
                "its label map"
            )
        if unknown:
            raise InputError(
                f"label map holds {', '.join(map(str, unknown))}; expected 0 and "
                f"{', '.join(f'{value} ({s})' for s, value in old.items())}: name another order of "
                "labels, or correct the labels"
            )
    if old == new:
        return label_map.astype(np.uint8)
    return np.take(lookup, label_map)


def _values(order: str | Mapping[str, int]) -> Mapping[str, int]:
    if not isinstance(order, str):
        return order
    if order not in ORDERS:
        raise InputError(f"unknown label order {order!r}; choose one of {', '.join(ORDERS)}")
    return ORDERS[order]


def bounding_box(label_map: npt.NDArray[np.integer], margin: int = 0) -> tuple[slice, slice]:
    """The smallest rectangle of rows and columns that holds all labels; without labels, all.

    Args:
        label_map: (..., H, W).
        margin: further rows and columns on each side, within the image.
    """
    mask: npt.NDArray[np.bool_] = np.any(label_map, axis=tuple(range(label_map.ndim - 2)))
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = (
        slice(max(int(line[0]) - margin, 0), int(line[-1]) + 1 + margin)
        for line in (np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0)))
    )
    return rows, columns


def frames_in_box(
    labels: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Each frame (Z, h, w) of ``labels`` and its place in ``out``, cut to the box of all labels.

    Args:
        labels: (T, Z, H, W).
        out: of the same shape.
    """
    rows, columns = bounding_box(labels)
    cut = np.ascontiguousarray(labels[..., rows, columns])
    yield from zip(cut, out[..., rows, columns], strict=True)
