"""Wall thickness of the left ventricle by segment of the American Heart Association."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.masks import shift_to_neighbors
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

#: Of each region: index of the first segment, number of segments, and where the first one begins,
#: in degrees from the middle of the septum, counter-clockwise as seen from the apex. The middle of
#: the septum lies between segments 2 and 3 at base and mid level, and in the middle of segment 14
#: at the apex.
_LAYOUT = {BASE: (0, 6, -120.0), MID: (6, 6, -120.0), APEX: (12, 4, -135.0)}


def wall_thickness_mm(
    labels: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool
) -> tuple[float, ...]:
    """Mean wall thickness of each of the 16 segments of one frame.

    The RV's two insertion points give the orientation: the point midway between them, seen from the
    center of the LV, is the middle of the septum. A slice without an RV takes the mean direction of
    the other slices. All slices count equally; one without a cavity, at the very apex, does not
    count.

    Args:
        labels: (Z, H, W) label map.
        spacing_mm: row and column spacing.
        seen_from_apex: as :func:`seen_from_apex` returns it.

    Returns:
        Millimeters, segment 1 first; NaN for a segment without wall, and for all without an RV.
    """
    septa = [septum_degrees(slice_, spacing_mm, seen_from_apex) for slice_ in labels]
    known = np.deg2rad([angle for angle in septa if angle is not None])
    if not known.size:
        return (float("nan"),) * len(SEGMENTS)
    mean = float(np.rad2deg(np.angle(np.exp(1j * known).mean())))
    thickness: list[list[float]] = [[] for _ in SEGMENTS]
    for slice_, region, septum in zip(labels, region_of_slices(labels), septa, strict=True):
        if region and (slice_ == VALUE[LV]).any() and (slice_ == VALUE[MYO]).any():
            first, number, offset = _LAYOUT[region]
            start = (mean if septum is None else septum) + offset
            angle = (_degrees(slice_, spacing_mm, seen_from_apex) - start) % 360
            for n, value in enumerate(sector_thickness_mm(slice_, angle, number, spacing_mm)):
                thickness[first + n].append(value)
    return tuple(float(np.mean(values)) if values else float("nan") for values in thickness)


def sector_thickness_mm(
    slice_: LabelMap, angle: Field, number: int, spacing_mm: tuple[float, float]
) -> Field:
    """Wall thickness of one slice in equal sectors around the LV's center.

    It is that of a ring whose sector has the same areas of cavity, C, and wall, W. For a sector of
    angle φ, C = φ r² / 2 and C + W = φ R² / 2, and the thickness is R - r. Areas are sums of
    pixels, so a slanted outline causes no steps, as distances between pixels would.

    Args:
        slice_: (H, W) label map.
        angle: (H, W), direction of each pixel in degrees, 0…360, from the start of the first
            sector.
        number: of sectors in the circle.
        spacing_mm: row and column spacing.
    """
    sector = np.minimum((angle * number / 360).astype(int), number - 1)
    cavity, wall = (
        np.bincount(sector[slice_ == VALUE[s]], minlength=number) * spacing_mm[0] * spacing_mm[1]
        for s in (LV, MYO)
    )
    radians = 2 * np.pi / number
    thickness: Field = np.sqrt(2 * (cavity + wall) / radians) - np.sqrt(2 * cavity / radians)
    return thickness


def septum_degrees(
    slice_: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool
) -> float | None:
    """Direction of the middle of the septum from the LV's center; None without septum or cavity.

    The insertion points are the ends of the arc along which the wall borders the RV. The arc is the
    circle without the largest gap between the directions of those pixels.
    """
    beside_rv = np.logical_or.reduce(shift_to_neighbors(slice_ == VALUE[RV]))
    touching = beside_rv & (slice_ == VALUE[MYO])
    if not touching.any() or not (slice_ == VALUE[LV]).any():
        return None
    angles = np.sort(_degrees(slice_, spacing_mm, seen_from_apex)[touching])
    gaps = np.diff(angles, append=angles[0] + 360)
    widest = int(gaps.argmax())
    begin = angles[(widest + 1) % len(angles)]
    return float((begin + (360 - gaps[widest]) / 2) % 360)


def _degrees(slice_: LabelMap, spacing_mm: tuple[float, float], seen_from_apex: bool) -> Field:
    """Direction of each pixel from the LV's center, counter-clockwise as seen from the apex."""
    center_row, center_column = (float(np.mean(at)) for at in np.nonzero(slice_ == VALUE[LV]))
    up = (center_row - np.arange(slice_.shape[0])[:, None]) * spacing_mm[0]
    right = (np.arange(slice_.shape[1]) - center_column) * spacing_mm[1]
    angle: Field = np.rad2deg(np.arctan2(up, right if seen_from_apex else -right)) % 360
    return angle


def seen_from_apex(labels: LabelMap, affine: npt.NDArray[np.float64]) -> bool:
    """Whether slices, first row on top and first column left, show the heart from its apex.

    The cross product of the column and the row direction points away from the viewer, because space
    is right-handed; a viewer at the apex looks towards the base. An affine along the axes does not
    tell how the heart lies (the orientation was lost); by convention, short-axis images are then
    seen from the apex.

    Args:
        labels: (Z, H, W), to tell base from apex.
        affine: (4, 4), index (column, row, slice) to millimeters.
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
