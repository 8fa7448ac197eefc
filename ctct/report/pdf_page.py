"""The page of one patient as a PDF, made by fpdf2."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from ctct.measurement.patient import PatientResult
from ctct.measurement.ranges import SOURCE
from ctct.report.html import number
from ctct.report.patient_page import (
    IndexRow,
    describe_phases,
    draw_charts,
    explain_missing,
    index_rows,
)

#: Font of PDF readers, which need no file, and the encoding of its characters.
_FONT, _ENCODING = "helvetica", "windows-1252"
_BADGES = {"ok": (31, 122, 77), "review": (173, 96, 0), "reject": (176, 32, 32)}
_MARGIN_MM, _WIDTH_MM, _CHART_MM, _LINE_MM = 15, 180, 58, 5
_TOOLTIP = re.compile("<title>.*?</title>")
NOTE = "Research use only: not a medical device."


def patient_pdf(
    result: PatientResult,
    made: datetime,
    identifiers: Mapping[str, str] | None = None,
    about: str = "",
) -> bytes:
    """The page: verdict and reasons, contours, indices, charts.

    Args:
        result: the patient, with wall thickness and pictures as far as they are known.
        made: the time that the file states; equal times give equal files.
        identifiers: of the patient and the study. What the font cannot write is not shown.
        about: what made the results.
    """
    from fpdf import FPDF

    pdf = FPDF()
    pdf.core_fonts_encoding = _ENCODING
    pdf.set_creation_date(made)
    pdf.set_title("Heart segmentation report")
    pdf.set_lang("en")
    pdf.set_margin(_MARGIN_MM)
    pdf.add_page()
    _write_head(pdf, result, identifiers or {}, about)
    _write_flags(pdf, result)
    for picture in filter(None, (result.picture, *result.disagreement)):
        pdf.image(io.BytesIO(picture), w=_WIDTH_MM)
        pdf.ln(2)
    _write_indices(pdf, result)
    _draw_charts(pdf, draw_charts(result))
    ranges = f"Reference ranges: {SOURCE}; those with * are of second hand."
    _write(pdf, f"{ranges} A value outside its range is not a diagnosis.", 8)
    return bytes(pdf.output())


def _write_head(
    pdf: Any, result: PatientResult, identifiers: Mapping[str, str], about: str
) -> None:
    judgement = result.judgement
    _write(pdf, "Heart segmentation report", 16, "B")
    _write(pdf, " ".join(filter(None, (NOTE, about))), 8)
    shown = [f"{name}: {_readable(value)}" for name, value in identifiers.items()]
    _write(pdf, "; ".join(shown) or result.name, 11)
    pdf.set_text_color(*_BADGES[judgement.verdict])
    _write(pdf, f"Verdict: {judgement.verdict}", 13, "B")
    pdf.set_text_color(0)
    dice = ", ".join(f"{s} {number(value, 2)}" for s, value in judgement.predicted_dice.items())
    parts = [describe_phases(result.measurements), f"score {number(judgement.score, 2)}"]
    _write(pdf, "; ".join([*parts, f"predicted Dice: {dice}"] if dice else parts), 9)


def _write_flags(pdf: Any, result: PatientResult) -> None:
    for name, text in result.remarks.items():
        _write(pdf, f"- {name}: {text}", 9)
    for flag in result.judgement.flags:
        _write(pdf, f"- {flag.level}: {flag.reason}", 9)
    pdf.ln(2)


def _write_indices(pdf: Any, result: PatientResult) -> None:
    """A table of the indices and their ranges, or of the volumes of a single frame."""
    rows: Sequence[tuple[str, ...]] = [
        (row.name, f"{row.shown} {row.mark}".strip(), _range(row), _z(row))
        for row in index_rows(result)
    ]
    header: tuple[str, ...] = ("index", "value", "range", "z")
    if not rows:
        header = ("structure", "volume (mL)")
        volumes_ml = result.measurements.frames[0].volume_ml
        rows = [(structure, number(ml)) for structure, ml in volumes_ml.items()]
    pdf.set_font(_FONT, size=9)
    with pdf.table(width=_WIDTH_MM, line_height=_LINE_MM) as table:
        for cells in (header, *rows):
            table.row([_encodable(cell) for cell in cells])
    for line in explain_missing(result):
        _write(pdf, line, 8)
    pdf.ln(3)


def _z(row: IndexRow) -> str:
    return "" if row.z is None else f"{row.z:+.1f}"


def _range(row: IndexRow) -> str:
    return "{:g} – {:g}".format(*row.normal) + "*" * row.is_second_hand if row.normal else ""


def _draw_charts(pdf: Any, charts: Sequence[Markup]) -> None:
    """The charts beside each other."""
    if pdf.will_page_break(1.1 * _CHART_MM):
        pdf.add_page()
    top = bottom = pdf.get_y()
    for place, chart in enumerate(charts):
        x = _MARGIN_MM + place * (_WIDTH_MM - _CHART_MM) / 2
        shown = pdf.image(io.BytesIO(_svg_file(chart)), x=x, y=top, w=_CHART_MM)
        bottom = max(bottom, top + shown.rendered_height)
    pdf.set_y(bottom + 3)


def _svg_file(chart: Markup) -> bytes:
    """A chart as a file of its own, without the tooltips, which paper does not show."""
    svg = _TOOLTIP.sub("", str(chart)).replace("–", "-")  # the one sign that fpdf2 cannot draw
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).encode()


def _write(pdf: Any, text: str, size: int, style: str = "") -> None:
    pdf.set_font(_FONT, style, size)
    pdf.multi_cell(0, size / 2, _encodable(text), align="L", new_x="LMARGIN", new_y="NEXT")


def _encodable(text: str) -> str:
    """The text with a question mark for what the font lacks."""
    return text.encode(_ENCODING, "replace").decode(_ENCODING)


def _readable(text: str) -> str:
    """The text if the font has all of it: a name with gaps could be taken for another."""
    return text if _encodable(text) == text else "(as in the header of the file)"
