"""The usual orientation of short-axis slices, in which the networks know the heart.

Scanners store short-axis slices as they are looked at: seen from the apex, with the patient's left
on the right. The training scans of ACDC are stored like that, though their headers do not say so:
in all of them the RV lies left of the LV and the abdomen below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: From base to apex, the heart's long axis points left, anterior and down (LPS). It differs between
#: people and breaths by up to :data:`MAX_DEGREES`, which is less than its angle to any axis of the
#: patient.
LONG_AXIS = np.array([0.65, -0.60, -0.45]) / np.linalg.norm([0.65, -0.60, -0.45])
MAX_DEGREES = 45.0

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Orientation:
    """How slices are stored, in comparison with the usual orientation.

    Attributes:
        transposed: rows are stored as columns.
        reversed_axes: of slices (-3), rows (-2) and columns (-1), after rows and columns have been
            exchanged where they are.
    """

    transposed: bool = False
    reversed_axes: tuple[int, ...] = ()

    def to_usual(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of ``stored`` (…, Z, H, W) in the usual orientation."""
        exchanged = stored.swapaxes(-2, -1) if self.transposed else stored
        return np.flip(exchanged, self.reversed_axes)

    def to_stored(self, usual: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The inverse of :meth:`to_usual`."""
        flipped = np.flip(usual, self.reversed_axes)
        return flipped.swapaxes(-2, -1) if self.transposed else flipped


def find_orientation(affine: npt.NDArray[np.float64]) -> Orientation:
    """How the slices of an affine are stored.

    In the usual orientation, columns are the axis of the slice that is nearest to the patient's
    left, and point there; rows point down and back, as the heart is seen from its apex; slices
    follow each other from apex to base.

    The orientation is not known where the slices are not short-axis slices by their affine, for
    instance because it is that of an image without orientation, along the patient's axes. Then it
    counts as the usual one.

    Args:
        affine: (4, 4), voxel index (column, row, slice) to millimeters (RAS+).
    """
    columns, rows, slices = (_LPS_FROM_RAS @ affine[:3, :3]).T
    normal = np.cross(columns, rows)
    length = float(np.linalg.norm(normal))
    if not abs(float(normal @ LONG_AXIS)) >= np.cos(np.deg2rad(MAX_DEGREES)) * length > 0:
        return Orientation()
    columns, rows = columns / np.linalg.norm(columns), rows / np.linalg.norm(rows)
    transposed = abs(rows[0]) > abs(columns[0])
    if transposed:
        columns, rows = rows, columns
    columns_reversed = columns[0] < 0
    seen_from_base = np.cross(columns, rows) @ LONG_AXIS > 0
    rows_reversed = seen_from_base != columns_reversed
    slices_reversed = slices @ LONG_AXIS > 0
    is_reversed = {-3: slices_reversed, -2: rows_reversed, -1: columns_reversed}
    return Orientation(bool(transposed), tuple(a for a, flips in is_reversed.items() if flips))
