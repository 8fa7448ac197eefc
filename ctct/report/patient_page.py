"""A patient's page of the report."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from itertools import chain

from ctct.labels import COLORS, LV, STRUCTURES
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.measurement.ranges import normal_range, out_of_range
from ctct.measurement.volumes import Measurements
from ctct.measurement.wall import thickening_percent
from ctct.report.bullseye import bullseye
from ctct.report.chart import Axes, apart, dot, label, padded, polyline, svg
from ctct.report.html import Markup, number, table, tag

#: Pixels of a cell of the disagreement picture.
CELL = 16


def patient_html(result: PatientResult, anchor: str) -> Markup:
    """The section of one patient."""
    judgement = result.judgement
    score = number(judgement.score, 2)
    parts: list[Markup] = [
        tag("h2", result.name, " ", pill(judgement.verdict)),
        tag(
            "p",
            phases_text(result.measurements),
            f"; score {score}.",
            class_="note",
        ),
    ]
    if result.identifiers:
        named = (f"{name} {value or '–'}" for name, value in result.identifiers.items())
        parts.append(tag("p", "; ".join(named), class_="note"))
    if judgement.flags:
        parts.append(
            tag("ul", *(tag("li", f"{flag.level}: {flag.reason}") for flag in judgement.flags))
        )
    if result.picture:
        parts.append(_image(result.picture, "contours, base to apex"))
    if result.disagreement:
        parts.append(tag("p", "Where the two networks disagree, in red:", class_="note"))
        parts += [_image(jpeg, "disagreement, base to apex") for jpeg in result.disagreement]
    charts = tag("div", *_charts(result), class_="row")
    parts.append(tag("div", indices_table(result), charts, class_="row"))
    return tag("section", *parts, class_="patient", id=anchor)


def _image(jpeg: bytes, words: str) -> Markup:
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return tag("div", Markup(f'<img src="{source}" alt="{words}">'), class_="picture")


def pill(verdict: str) -> Markup:
    """The verdict, in its color."""
    return tag("span", verdict, class_=verdict)


def phases_text(measurements: Measurements) -> str:
    """Which frames are ED and ES."""
    m = measurements
    if m.ed is None or m.es is None:
        return "One frame, no ED and ES"
    ed, es = m.frames[m.ed], m.frames[m.es]
    if ed.name == es.name:
        return f"{len(m.frames)} frames, ED is {ed.index} and ES is {es.index}, counted from 0"
    return f"ED is {ed.name}, ES is {es.name}"


def indices_table(result: PatientResult) -> Markup:
    """Every index and, where known, its ranges; the volumes alone of a single frame."""
    m = result.measurements
    if not m.indices:
        return table(["", "mL"], ([s, number(m.frames[0].volume_ml[s])] for s in STRUCTURES))
    sex = m.subject.sex
    marks = out_of_range(m.all_indices, sex)
    header = ["", "value", *([f"range ({sex})"] if sex else [])]
    header += [f"of {len(result.by_model) + 1} models"] if result.by_model else []
    rows = []
    for name, value in m.all_indices.items():
        shown = number(value, 2 if abs(value) < 10 else 1)
        marked = tag("span", f"{shown} {marks[name]}", class_="out") if name in marks else shown
        row: list[object] = [name, marked]
        if sex:
            row.append(_from_to(normal_range(name, sex), "g"))
        if result.by_model:
            row.append(_from_to(spread(result, name), ".1f"))
        rows.append(row)
    return table(header, rows)


def spread(result: PatientResult, index: str) -> tuple[float, float] | None:
    """Lowest and highest value of an index over all models, this one included."""
    own = result.measurements.indices
    if index not in own or not result.by_model:
        return None
    values = [own[index], *(other[index] for other in result.by_model.values())]
    return min(values), max(values)


def _from_to(limits: tuple[float, float] | None, form: str) -> str:
    return f"{limits[0]:{form}} – {limits[1]:{form}}" if limits else ""


def _charts(result: PatientResult) -> list[Markup]:
    charts = []
    if len(result.measurements.frames) > 2:
        charts.append(volume_curve(result.measurements))
    if any(map(math.isfinite, result.ed_wall_mm)):
        charts.append(bullseye(result.ed_wall_mm, 4, 16, "wall thickness at ED (mm)"))
    if any(map(math.isfinite, result.es_wall_mm)):
        thicker = thickening_percent(result.ed_wall_mm, result.es_wall_mm)
        charts.append(bullseye(thicker, 0, 100, "thickening (%)"))
    if any(result.indicators):
        charts.append(disagreement_map(result))
    return charts


def volume_curve(measurements: Measurements) -> Markup:
    """Volume of each structure over the frames, the smoothed LV volume, and ED and ES."""
    m = measurements
    curves = {s: [frame.volume_ml[s] for frame in m.frames] for s in STRUCTURES}
    axes = Axes(
        (0, len(m.frames) - 1),
        padded([0.0, *chain.from_iterable(curves.values())]),
        "frame",
        "volume (mL)",
    )
    parts: list[Markup] = []
    ends: dict[str, tuple[float, float]] = {}
    for structure, curve in curves.items():
        points = [axes.at(t, v) for t, v in enumerate(curve) if math.isfinite(v)]
        color = css_color(structure)
        if structure == LV:
            parts += [dot(p, color, f"frame {t}", 2) for t, p in enumerate(points)]
            smooth = [axes.at(t, v) for t, v in enumerate(m.smooth_ml) if math.isfinite(v)]
            parts.append(polyline(smooth, color))
        else:
            parts.append(polyline(points, color))
        if points:
            ends[structure] = points[-1]
    heights = apart([y for _, y in ends.values()])
    for (structure, (x, _)), y in zip(ends.items(), heights, strict=True):
        parts.append(label(x + 5, y + 4, structure, "start", css_color(structure)))
    for name, at in (("ED", m.ed), ("ES", m.es)):
        if at is not None and math.isfinite(curves[LV][at]):
            x, y = axes.at(at, curves[LV][at])
            parts += [dot((x, y), css_color(LV), name, 5), label(x, y - 9, name, "middle")]
    return svg(axes, *parts, title="volume curve")


def disagreement_map(result: PatientResult) -> Markup:
    """How far the networks disagree: a row a frame, a cell a slice, first slice left."""
    rows = [
        (frame, indicators)
        for frame, indicators in zip(result.measurements.frames, result.indicators, strict=True)
        if indicators
    ]
    width = 34 + CELL * max(len(indicators.slice_disagreement) for _, indicators in rows)
    parts: list[Markup] = []
    for line, (frame, indicators) in enumerate(rows):
        at = result.measurements.frames.index(frame)
        name = {result.measurements.es: "ES", result.measurements.ed: "ED"}.get(at, str(at))
        parts.append(label(28, line * CELL + 12, name, "end"))
        for z, value in enumerate(indicators.slice_disagreement):
            parts.append(
                tag(
                    "rect",
                    tag("title", f"frame {at}, slice {z}: {number(value, 2)}"),
                    x=34 + z * CELL,
                    y=line * CELL,
                    width=CELL - 1,
                    height=CELL - 1,
                    fill=_heat(value),
                )
            )
    below = f"mean disagreement by frame and slice; over frames {_by_structure(result.indicators)}"
    picture = tag(
        "svg",
        tag("title", "disagreement"),
        *parts,
        viewBox=f"0 0 {width} {len(rows) * CELL}",
        width=width,
        role="img",
        font_family="system-ui, sans-serif",
        font_size=11,
    )
    return tag("div", picture, tag("p", below, class_="note"))


def _by_structure(indicators: Sequence[FrameIndicators | None]) -> str:
    means = []
    for structure in STRUCTURES:
        known = [v for s in indicators if s and math.isfinite(v := s.disagreement[structure])]
        means.append(f"{structure} {number(sum(known) / len(known) if known else None, 2)}")
    return ", ".join(means)


def _heat(value: float) -> str:
    """White at 0, deep red from 0.6 on; gray where nothing is labelled."""
    if not math.isfinite(value):
        return "#e5e5e5"
    share = min(value / 0.6, 1.0)
    return f"rgb({round(255 - 75 * share)},{round(245 - 215 * share)},{round(240 - 215 * share)})"


def css_color(structure: str) -> str:
    """The color of a structure as CSS has it."""
    return "rgb({},{},{})".format(*COLORS[structure])
