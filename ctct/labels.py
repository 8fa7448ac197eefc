"""Label values, names and colours, and remapping between the orders other data sets use.

A label map holds small integers: 0 is background, the rest name a structure. ctct works in the ACDC
order throughout and converts at the edges with :func:`remap`, always by name, never by number.
"""

from __future__ import annotations

from collections.abc import Mapping

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

#: One colour a structure (sRGB, 0-255), distinguishable with the common colour-vision deficiencies
#: (blue, green and vermilion of the Okabe-Ito palette).
COLOURS: Mapping[str, tuple[int, int, int]] = {
    RV: (86, 180, 233),
    MYO: (0, 158, 115),
    LV: (230, 97, 0),
}

#: Label value of each structure in the orders met in the field.
ORDERS: Mapping[str, Mapping[str, int]] = {
    "acdc": {RV: 1, MYO: 2, LV: 3},
    "mnms": {LV: 1, MYO: 2, RV: 3},
    "ukbb": {LV: 1, MYO: 2, RV: 3},
    "monai": {LV: 1, MYO: 2, RV: 3},
}


def remap(
    label_map: npt.NDArray[np.integer], source: str = "acdc", target: str = "acdc"
) -> npt.NDArray[np.uint8]:
    """Renumber a label map from one order to another.

    Args:
        label_map: integers, any shape.
        source: the order the map is in, a key of :data:`ORDERS`.
        target: the order wanted.

    Returns:
        uint8 array of the same shape.

    Raises:
        InputError: an order is unknown, or the map holds a value its order does not name.
    """
    for order in (source, target):
        if order not in ORDERS:
            raise InputError(f"unknown label order {order!r}; choose one of {', '.join(ORDERS)}")
    lookup = np.zeros(256, np.uint8)
    known = np.zeros(256, bool)
    known[0] = True
    for structure, value in ORDERS[source].items():
        lookup[value] = ORDERS[target][structure]
        known[value] = True
    values = np.unique(label_map)
    strange = [int(v) for v in values if not 0 <= v < 256 or not known[int(v)]]
    if strange:
        raise InputError(
            f"label map holds {strange}, which the {source!r} order does not name; "
            f"expected 0 and {sorted(ORDERS[source].values())}"
        )
    renumbered: npt.NDArray[np.uint8] = lookup[label_map]
    return renumbered
