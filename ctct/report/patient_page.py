"""The page of one patient in the report."""

from __future__ import annotations

import math
from itertools import chain
from typing import NamedTuple

from markupsafe import Markup

from ctct.labels import COLORS, LV, STRUCTURES
from ctct.measurement.papillary import PAPILLARY_COLUMN
from ctct.measurement.patient import PatientResult
from ctct.measurement.peak_rates import find_peak_rates, peak_rate_indices
from ctct.measurement.quality_flags import (
    DICE_REJECT,
    DICE_REVIEW,
    SCORE_REJECT,
    SCORE_REVIEW,
    show_apart,
)
from ctct.measurement.ranges import SECOND_HAND, normal_range, out_of_range, z_scores
from ctct.measurement.volumes import Measurements
from ctct.measurement.wall import thickening_percent
from ctct.report.bullseye import draw_bullseye
from ctct.report.chart import Axes, draw_chart, pad_range, separate
from ctct.report.html import number, render
from ctct.report.svg import GRAY, Point, dot, label, picture, polyline, ring, square

#: Pixels per side of a cell of the disagreement map, and room for the numbers of frames and slices.
CELL, NUMBERS, ABOVE = 16, 52, 32
#: The disagreement of the deepest color, and the height of the scale of colors.
_DEEPEST, _SCALE = 0.6, 34
#: Slices between two numbers where there is no room for all.
_EVERY = 2
#: The colors of the structures, this much darker, are readable as text on white.
TEXT_SHADE = 0.6


def patient_html(result: PatientResult, anchor: str) -> Markup:
    """The section of one patient.

    Args:
        result: the patient.
        anchor: ``id`` of the section, for links to it.
    """
    return render(
        "patient.html",
        result=result,
        anchor=anchor,
        phases=describe_phases(result.measurements),
        identifiers=[f"{name} {value or '–'}" for name, value in result.identifiers.items()],
        indices=indices_table(result),
        charts=draw_charts(result),
        disagreement=draw_disagreement(result) if any(result.indicators) else "",
        dice=[f"{s} {number(value, 2)}" for s, value in result.judgement.predicted_dice.items()],
        means=[f"{s} {number(_mean_disagreement(result, s), 2)}" for s in STRUCTURES],
        limits={
            "score": (SCORE_REVIEW, SCORE_REJECT),
            "dice": (DICE_REVIEW, DICE_REJECT),
        },
        rates=find_peak_rates(result.measurements),
        has_doubts=any(frame and frame.doubtful_slices for frame in result.indicators),
        missing=explain_missing(result),
    )


def explain_missing(result: PatientResult) -> list[str]:
    """Why there are no ranges, no indices per body surface, or no times, a sentence each."""
    m = result.measurements
    if not m.indices:
        return []
    subject, lines = m.subject, []
    if "myocardium" in result.remarks.get(PAPILLARY_COLUMN, ""):
        lines.append("No reference ranges: they count papillary muscles with the cavity.")
    elif subject.sex is None:
        lines.append("No reference ranges: the sex is not known.")
    else:
        lines.append("RVEF, mass in g, ratios and rates have no range in the source.")
    unknown = [
        name
        for name, value in (("height", subject.height_cm), ("weight", subject.weight_kg))
        if value is None
    ]
    if unknown:
        lines.append(f"No indices per body surface: {' and '.join(unknown)} not known.")
    if subject.heart_rate_bpm is None:
        lines.append("No cardiac output, times and rates: the heart rate is not known.")
    return lines


def describe_phases(measurements: Measurements) -> str:
    """Which frames are ED and ES."""
    m = measurements
    if m.ed is None or m.es is None:
        return "One frame, no ED and ES"
    ed, es = m.frames[m.ed], m.frames[m.es]
    if ed.name != es.name:
        return f"ED is {ed.name}, ES is {es.name}"
    count, names = len(m.frames), f"ED is frame {ed.index}, ES is frame {es.index}"
    return f"{count} frames, numbered from 0: {names}"


class IndexRow(NamedTuple):
    """A row of the table of indices.

    Attributes:
        name: the index, with its unit.
        value: of the patient.
        mark: "low" or "high" outside the reference range, otherwise "".
        normal: reference range; None where it is not known.
        is_second_hand: whether the range was not checked in the paper it is of.
        z: standard deviations from the mean of the reference; None where these are not known.
        by_models: lowest and highest value over all models; None where there is one model.
    """

    name: str
    value: float
    mark: str
    normal: tuple[float, float] | None
    is_second_hand: bool
    z: float | None
    by_models: tuple[float, float] | None

    @property
    def digits(self) -> int:
        """Decimals of the value, and of the range over models, which holds it."""
        return 2 if abs(self.value) < 10 else 1

    @property
    def shown(self) -> str:
        """The value; with more decimals where it would look like the limit that it passed."""
        if not (self.mark and self.normal):
            return number(self.value, self.digits)
        low, high = self.normal
        return show_apart(self.value, low if self.mark == "low" else high, self.digits)


def index_rows(result: PatientResult) -> list[IndexRow]:
    """Every index and, where known, its ranges; none of a single frame."""
    m, sex = result.measurements, result.range_sex
    indices = {**m.all_indices, **peak_rate_indices(m)}
    marks, z = out_of_range(indices, sex), z_scores(indices, sex)
    return [
        IndexRow(
            name,
            value,
            marks.get(name, ""),
            normal_range(name, sex),
            name in SECOND_HAND,
            z.get(name),
            range_over_models(result, name),
        )
        for name, value in (indices.items() if m.indices else ())
    ]


def indices_table(result: PatientResult) -> Markup:
    """Every index and, where known, its ranges; of a single frame, its volumes."""
    m, sex = result.measurements, result.range_sex
    models = len(result.by_model) + 1
    columns = ["index", "value"]
    columns += [f"range ({sex})", "z"] if sex else []
    columns += [f"of {models} models"] if models > 1 else []
    return render(
        "indices.html",
        columns=columns,
        rows=index_rows(result),
        sex=sex,
        models=models,
        volumes_ml={s: m.frames[0].volume_ml[s] for s in STRUCTURES},
    )


def range_over_models(result: PatientResult, index: str) -> tuple[float, float] | None:
    """Lowest and highest value of an index over all models; None where there is one model."""
    indices = result.measurements.indices
    if index not in indices or not result.by_model:
        return None
    values = [indices[index], *(other[index] for other in result.by_model.values())]
    return min(values), max(values)


def draw_charts(result: PatientResult) -> list[Markup]:
    """The volume curve, wall thickness and thickening, as far as they are known."""
    charts = []
    if len(result.measurements.frames) > 2:
        charts.append(draw_volume_curve(result.measurements, TEXT_SHADE))
    if any(map(math.isfinite, result.ed_wall_mm)):
        charts.append(draw_bullseye(result.ed_wall_mm, 4, 16, "wall thickness at ED (mm)", 1))
    if any(map(math.isfinite, result.es_wall_mm)):
        thickening = thickening_percent(result.ed_wall_mm, result.es_wall_mm)
        charts.append(draw_bullseye(thickening, 0, 100, "thickening (%)", 0))
    return charts


def draw_volume_curve(measurements: Measurements, text_shade: float = 1) -> Markup:
    """Volume of each structure over the frames, the smoothed LV volume, ED and ES, peak rates.

    The frames are times where the heart rate is known.

    Args:
        measurements: two frames or more.
        text_shade: brightness of the names of the structures, as a share of that of their curves.
    """
    m = measurements
    curves = {s: [frame.volume_ml[s] for frame in m.frames] for s in STRUCTURES}
    step = m.frame_ms or 1
    axes = Axes(
        x=(0, (len(m.frames) - 1) * step),
        y=pad_range([0.0, *chain.from_iterable(curves.values())]),
        x_label="time (ms)" if m.frame_ms else "frame",
        y_label="volume (mL)",
    )
    shapes: list[Markup] = []
    ends: dict[str, Point] = {}
    for structure, volumes_ml in curves.items():
        color = css_color(structure)
        points = [axes.to_pixels(t * step, v) for t, v in enumerate(volumes_ml) if math.isfinite(v)]
        curve = points
        if structure == LV:
            shapes += [dot(point, color, f"frame {t}", 2) for t, point in enumerate(points)]
            curve = [
                axes.to_pixels(t * step, v) for t, v in enumerate(m.smooth_ml) if math.isfinite(v)
            ]
        shapes.append(polyline(curve, color))
        if points:
            ends[structure] = points[-1]
    heights = separate([y for _, y in ends.values()])
    for (structure, (x, _)), y in zip(ends.items(), heights, strict=True):
        color = css_color(structure, text_shade)
        shapes.append(label((x + 5, y + 4), structure, "start", color))
    for phase, frame in (("ED", m.ed), ("ES", m.es)):
        if frame is not None and math.isfinite(volume := curves[LV][frame]):
            x, y = axes.to_pixels(frame * step, volume)
            shapes.append(dot((x, y), css_color(LV), phase, 5))
            shapes.append(label((x, y - 9), phase, "middle"))
    for rate in find_peak_rates(m):
        if math.isfinite(volume := curves[rate.ventricle][rate.frame]):
            place = axes.to_pixels(rate.frame * step, volume)
            text = f"{rate.ventricle} peak {rate.kind} {rate.ml_per_s:.0f} mL/s, frame {rate.frame}"
            shapes.append(ring(place, css_color(rate.ventricle, text_shade), text))
    return draw_chart(axes, shapes, "volume curve")


def draw_disagreement(result: PatientResult) -> Markup:
    """Mean disagreement of the networks: a row per frame, a cell per slice, first slice left."""
    m = result.measurements
    known = [(n, indicators) for n, indicators in enumerate(result.indicators) if indicators]
    slices = max(len(indicators.slice_disagreement) for _, indicators in known)
    bottom = ABOVE + CELL * len(known)
    shapes = [
        label((NUMBERS, 10), "slice"),
        label((12, (ABOVE + bottom) / 2), "frame", "middle", rotation=-90),
    ]
    shapes += [
        label((NUMBERS + (z + 0.5) * CELL, ABOVE - 6), str(z), "middle")
        for z in range(0, slices, _EVERY)
    ]
    for row, (frame, indicators) in enumerate(known):
        y = ABOVE + row * CELL
        phase = {m.es: "ES", m.ed: "ED"}.get(frame, str(frame))
        shapes.append(label((NUMBERS - 6, y + 12), phase, "end"))
        for z, value in enumerate(indicators.slice_disagreement):
            tooltip = f"frame {frame}, slice {z}: {number(value, 2)}"
            corner = (NUMBERS + z * CELL, y)
            shapes.append(square(corner, CELL - 1, _disagreement_color(value), tooltip))
    shapes += _draw_scale((NUMBERS, bottom + 12))
    width = NUMBERS + CELL * max(slices, 10)
    return picture((width, bottom + _SCALE), "disagreement", shapes)


def _draw_scale(corner: Point) -> list[Markup]:
    """The colors of the disagreement map, from 0 to the deepest."""
    x, y = corner
    steps = (0.0, _DEEPEST / 3, 2 * _DEEPEST / 3, _DEEPEST)
    shapes = []
    for n, value in enumerate(steps):
        text = f"{value:.1f}"
        color = _disagreement_color(value)
        shapes.append(square((x + 40 * n, y), CELL - 4, color, text))
        text += "+" if value == _DEEPEST else ""
        shapes.append(label((x + 40 * n + CELL - 2, y + 10), text))
    return shapes


def _mean_disagreement(result: PatientResult, structure: str) -> float | None:
    """Mean over the frames that have the structure."""
    values = [frame.disagreement[structure] for frame in result.indicators if frame]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _disagreement_color(value: float) -> str:
    """White at 0, deep red from :data:`_DEEPEST` on; gray where nothing is labelled."""
    if not math.isfinite(value):
        return GRAY
    share = min(value / _DEEPEST, 1.0)
    return f"rgb({round(255 - 75 * share)},{round(245 - 215 * share)},{round(240 - 215 * share)})"


def css_color(structure: str, shade: float = 1) -> str:
    """The color of a structure in CSS, darker by a shade below 1."""
    return "rgb({},{},{})".format(*(round(shade * value) for value in COLORS[structure]))
