"""Wall thickness of the left ventricle by segment of the American Heart Association."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.regions import APEX, BASE, MID, region_of_slices

LabelMap = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float64]

#: Names of the 16 segments (Cerqueira et al., Circulation 105:539, 2002), number 1 first.
SEGMENTS = (
    *(
        f"{region} {wall}"
        for region in ("basal", "mid")
        for wall in (
            *("anterior", "anteroseptal", "inferoseptal"),
            *("inferior", "inferolateral", "anterolateral"),
        )
    ),
    *(f"apical {wall}" for wall in ("anterior", "septal", "inferior", "lateral")),
)

#: First segment of each region, their number, and where the first begins: degrees from the middle
#: of the septum, counter-clockwise as seen from the apex. The middle of the septum lies between
#: segments 2 and 3 at base and mid level, and in the middle of segment 14 at the apex.
_LAYOUT = {BASE: (0, 6, -120.0), MID: (6, 6, -120.0), APEX: (12, 4, -135.0)}


def wall_thickness_mm(
    labels: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool
) -> tuple[float, ...]:
    """Mean wall thickness of each of the 16 segments of one frame.

    The orientation is that of the RV's two insertion points: their middle, seen from the center of
    the LV, is the middle of the septum. A slice without an RV takes the mean direction of the
    others. Slices count alike; one without cavity, at the very apex, does not count.

    Args:
        labels: (Z, H, W) label map.
        spacing_mm: row and column spacing.
        seen_from_apex: whether a slice, first row on top, shows the heart from its apex; see
            :func:`seen_from_apex`.

    Returns:
        Millimetres, segment 1 first; NaN of a segment without wall, of all without an RV.
    """
    septa = [septum_degrees(one, spacing_mm, seen_from_apex) for one in labels]
    known = np.deg2rad([angle for angle in septa if angle is not None])
    if not known.size:
        return (float("nan"),) * len(SEGMENTS)
    usual = float(np.rad2deg(np.angle(np.exp(1j * known).mean())))
    found: list[list[float]] = [[] for _ in SEGMENTS]
    for one, region, septum in zip(labels, region_of_slices(labels), septa, strict=True):
        if region and (one == VALUE[LV]).any() and (one == VALUE[MYO]).any():
            first, number, start = _LAYOUT[region]
            from_degrees = (usual if septum is None else septum) + start
            angle = (_degrees(one, spacing_mm, seen_from_apex) - from_degrees) % 360
            for n, value in enumerate(sector_thickness_mm(one, angle, number, spacing_mm)):
                found[first + n].append(value)
    return tuple(float(np.mean(values)) if values else float("nan") for values in found)


def sector_thickness_mm(
    one: LabelMap, angle: Field, number: int, spacing_mm: tuple[float, float]
) -> Field:
    """Wall thickness of a slice (H, W) in equal sectors around the LV's center.

    That of a ring whose cavity and wall have the sector's areas C and W: of a sector of angle φ,
    C = φ r² / 2 and C + W = φ R² / 2, and the thickness is R - r. Areas are sums of pixels, so a
    slanted outline makes no steps as distances between pixels do.

    Args:
        one: label map of the slice.
        angle: (H, W), direction of each pixel in degrees, 0…360 from the first sector's beginning.
        number: sectors in the circle.
        spacing_mm: row and column spacing.
    """
    sector = np.minimum((angle * number / 360).astype(int), number - 1)
    cavity, wall = (
        np.bincount(sector[one == VALUE[s]], minlength=number) * spacing_mm[0] * spacing_mm[1]
        for s in (LV, MYO)
    )
    radians = 2 * np.pi / number
    thickness: Field = np.sqrt(2 * (cavity + wall) / radians) - np.sqrt(2 * cavity / radians)
    return thickness


def septum_degrees(
    one: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool
) -> float | None:
    """Direction of the middle of the septum from the LV's center; None without septum or cavity.

    The insertion points are the ends of the arc on which the outer wall lies against the RV; the
    arc is what the largest gap between its pixels' directions leaves.
    """
    right = np.pad(one == VALUE[RV], 1)
    beside = np.zeros(one.shape, bool)
    for row, column in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside |= right[
            1 + row : right.shape[0] - 1 + row, 1 + column : right.shape[1] - 1 + column
        ]
    touching = beside & (one == VALUE[MYO])
    if not touching.any() or not (one == VALUE[LV]).any():
        return None
    angles = np.sort(_degrees(one, spacing_mm, seen_from_apex)[touching])
    gaps = np.diff(angles, append=angles[0] + 360)
    widest = int(gaps.argmax())
    begin = angles[(widest + 1) % len(angles)]
    return float((begin + (360 - gaps[widest]) / 2) % 360)


def _degrees(one: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool) -> Field:
    """Direction of each pixel from the LV's center, counter-clockwise as seen from the apex."""
    centre_row, centre_column = (float(np.mean(at)) for at in np.nonzero(one == VALUE[LV]))
    up = (centre_row - np.arange(one.shape[0])[:, None]) * spacing_mm[0]
    right = (np.arange(one.shape[1]) - centre_column) * spacing_mm[1]
    angle: Field = np.rad2deg(np.arctan2(up, right if seen_from_apex else -right)) % 360
    return angle


def seen_from_apex(labels: LabelMap, affine: npt.NDArray[np.float64]) -> bool:
    """Whether slices, first row on top and first column left, show the heart from its apex.

    The direction of columns crossed with that of rows points away from who looks, because space is
    right-handed; from the apex one looks towards the base. An affine along the axes says nothing of
    how the heart lies (the orientation was lost), and short-axis images are by custom seen from the
    apex.

    Args:
        labels: (Z, H, W), to tell base from apex.
        affine: (4, 4), index (column, row, slice) to millimetres.
    """
    directions = affine[:3, :3]
    if np.count_nonzero(np.abs(directions) > 1e-3 * np.abs(directions).max()) <= 3:
        return True
    regions = [region for region in region_of_slices(labels) if region]
    towards_apex = directions[:, 2] * (1 if not regions or regions[0] == BASE else -1)
    away = np.cross(directions[:, 0], directions[:, 1])
    return bool(away @ towards_apex < 0)


def thickening_percent(ed_mm: Sequence[float], es_mm: Sequence[float]) -> tuple[float, ...]:
    """Systolic thickening (ES - ED) / ED of each segment, per cent; NaN where it is not known."""
    ed, es = np.asarray(ed_mm, float), np.asarray(es_mm, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(np.where(ed > 0, 100 * (es - ed) / ed, np.nan).tolist())
