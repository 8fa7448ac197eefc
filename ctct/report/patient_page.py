"""The page of one patient in the report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from markupsafe import Markup

from ctct.labels import COLORS, LV, STRUCTURES
from ctct.measurement.patient import PatientResult
from ctct.measurement.ranges import normal_range, out_of_range
from ctct.measurement.volumes import Measurements
from ctct.measurement.wall import thickening_percent
from ctct.report.bullseye import draw_bullseye
from ctct.report.chart import Axes, draw_chart, pad_range, separate
from ctct.report.html import number, render
from ctct.report.svg import GRAY, Point, dot, label, picture, polyline, square

#: Pixels per side of a cell of the disagreement map, and width of its frame numbers.
CELL, NUMBERS = 16, 34
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
        charts=list(_draw_charts(result)),
        disagreement=draw_disagreement(result) if any(result.indicators) else "",
        means=[f"{s} {number(_mean_disagreement(result, s), 2)}" for s in STRUCTURES],
    )


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
        by_models: lowest and highest value over all models; None where there is one model.
    """

    name: str
    value: float
    mark: str
    normal: tuple[float, float] | None
    by_models: tuple[float, float] | None


def indices_table(result: PatientResult) -> Markup:
    """Every index and, where known, its ranges; of a single frame, its volumes."""
    m, sex = result.measurements, result.measurements.subject.sex
    models = len(result.by_model) + 1
    marks = out_of_range(m.all_indices, sex)
    rows = [
        IndexRow(
            name,
            value,
            marks.get(name, ""),
            normal_range(name, sex) if sex else None,
            range_over_models(result, name),
        )
        for name, value in (m.all_indices.items() if m.indices else ())
    ]
    columns = ["index", "value"]
    columns += [f"range ({sex})"] if sex else []
    columns += [f"of {models} models"] if models > 1 else []
    return render(
        "indices.html",
        columns=columns,
        rows=rows,
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


def _draw_charts(result: PatientResult) -> Iterator[Markup]:
    if len(result.measurements.frames) > 2:
        yield draw_volume_curve(result.measurements, TEXT_SHADE)
    if any(map(math.isfinite, result.ed_wall_mm)):
        yield draw_bullseye(result.ed_wall_mm, 4, 16, "wall thickness at ED (mm)")
    if any(map(math.isfinite, result.es_wall_mm)):
        thickening = thickening_percent(result.ed_wall_mm, result.es_wall_mm)
        yield draw_bullseye(thickening, 0, 100, "thickening (%)")


def draw_volume_curve(measurements: Measurements, text_shade: float = 1) -> Markup:
    """Volume of each structure over the frames, the smoothed LV volume, and ED and ES.

    Args:
        measurements: two frames or more.
        text_shade: brightness of the names of the structures, as a share of that of their curves.
    """
    m = measurements
    curves = {s: [frame.volume_ml[s] for frame in m.frames] for s in STRUCTURES}
    axes = Axes(
        x=(0, len(m.frames) - 1),
        y=pad_range([0.0, *chain.from_iterable(curves.values())]),
        x_label="frame",
        y_label="volume (mL)",
    )
    shapes: list[Markup] = []
    ends: dict[str, Point] = {}
    for structure, volumes_ml in curves.items():
        color = css_color(structure)
        points = [axes.to_pixels(t, v) for t, v in enumerate(volumes_ml) if math.isfinite(v)]
        curve = points
        if structure == LV:
            shapes += [dot(point, color, f"frame {t}", 2) for t, point in enumerate(points)]
            curve = [axes.to_pixels(t, v) for t, v in enumerate(m.smooth_ml) if math.isfinite(v)]
        shapes.append(polyline(curve, color))
        if points:
            ends[structure] = points[-1]
    heights = separate([y for _, y in ends.values()])
    for (structure, (x, _)), y in zip(ends.items(), heights, strict=True):
        color = css_color(structure, text_shade)
        shapes.append(label((x + 5, y + 4), structure, "start", color))
    for phase, frame in (("ED", m.ed), ("ES", m.es)):
        if frame is not None and math.isfinite(volume := curves[LV][frame]):
            x, y = axes.to_pixels(frame, volume)
            shapes.append(dot((x, y), css_color(LV), phase, 5))
            shapes.append(label((x, y - 9), phase, "middle"))
    return draw_chart(axes, shapes, "volume curve")


def draw_disagreement(result: PatientResult) -> Markup:
    """Mean disagreement of the networks: a row per frame, a cell per slice, first slice left."""
    m = result.measurements
    known = [(n, indicators) for n, indicators in enumerate(result.indicators) if indicators]
    slices = max(len(indicators.slice_disagreement) for _, indicators in known)
    shapes = []
    for row, (frame, indicators) in enumerate(known):
        y = row * CELL
        phase = {m.es: "ES", m.ed: "ED"}.get(frame, str(frame))
        shapes.append(label((NUMBERS - 6, y + 12), phase, "end"))
        for z, value in enumerate(indicators.slice_disagreement):
            tooltip = f"frame {frame}, slice {z}: {number(value, 2)}"
            corner = (NUMBERS + z * CELL, y)
            shapes.append(square(corner, CELL - 1, _disagreement_color(value), tooltip))
    return picture((NUMBERS + CELL * slices, CELL * len(known)), "disagreement", shapes)


def _mean_disagreement(result: PatientResult, structure: str) -> float | None:
    """Mean over the frames that have the structure."""
    values = [frame.disagreement[structure] for frame in result.indicators if frame]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _disagreement_color(value: float) -> str:
    """White at 0, deep red from 0.6 on; gray where nothing is labelled."""
    if not math.isfinite(value):
        return GRAY
    share = min(value / 0.6, 1.0)
    return f"rgb({round(255 - 75 * share)},{round(245 - 215 * share)},{round(240 - 215 * share)})"


def css_color(structure: str, shade: float = 1) -> str:
    """The color of a structure in CSS, darker by a shade below 1."""
    return "rgb({},{},{})".format(*(round(shade * value) for value in COLORS[structure]))
