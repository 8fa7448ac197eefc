"""Studies side by side, in the table and in the report."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

from ctct.measurement.follow_up import IndexChange
from ctct.report.follow_up import FOLLOW_UPS, follow_up_html

ONE = SimpleNamespace(
    studies=("P<1>", "P2"),
    indices=({"LVEF (%)": 50.0}, {"LVEF (%)": 58.0}),
    changes=((IndexChange("LVEF (%)", 50, 58, 3, 7), IndexChange("RVEF (%)", 50, 51, 7)),),
    doubts=("the verdict on P2 is reject",),
)


def test_the_table_has_a_row_per_study_and_index() -> None:
    rows = list(csv.DictReader(io.StringIO(FOLLOW_UPS.csv([ONE]).decode())))
    assert rows[0] == {
        "first study": "P<1>",
        "study": "P2",
        "index": "LVEF (%)",
        "first": "50.00",
        "value": "58.00",
        "change": "8.00",
        "change (%)": "16.0",
        "repeatability": "3.00",
        "said": "beyond the noise",
        "doubts": "the verdict on P2 is reject",
    }
    assert rows[1]["said"] == "within the noise"


def test_the_section_shows_both_studies_and_escapes_their_names() -> None:
    page = follow_up_html([ONE])
    for text in ("P&lt;1&gt; → P2", "<td>50.0</td>", "<td>58.0</td>", "<td>+8.0</td>"):
        assert text in page
    assert "beyond the noise" in page
    assert "the verdict on P2 is reject" in page


def test_without_studies_there_is_no_section() -> None:
    assert follow_up_html([]) == ""
