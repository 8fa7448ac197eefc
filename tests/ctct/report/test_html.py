from __future__ import annotations

import math
import subprocess
import sys

import jinja2
import pytest
from markupsafe import Markup

from ctct.report.html import number, render
from ctct.report.patient_page import IndexRow


def test_text_is_escaped_and_markup_is_not() -> None:
    html = render(
        "indices.html",
        columns=["<i>", Markup("<b>x</b>")],
        rows=[IndexRow('"&"', 1.0, "", None, False, None, None)],
        sex="",
        models=1,
    )
    assert '<th scope="col">&lt;i&gt;</th>' in html
    assert '<th scope="col"><b>x</b></th>' in html
    assert '<th scope="row">&#34;&amp;&#34;</th>' in html


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="anchor"):
        render("patient.html")


def test_numbers() -> None:
    assert (number(1.25, 1), number(None), number(math.nan)) == ("1.2", "–", "–")


def test_jinja_is_loaded_by_the_first_page_and_not_before() -> None:
    program = (
        "import sys, ctct, ctct.cli.main, ctct.prediction.results, ctct.evaluation.files\n"
        "assert 'jinja2' not in sys.modules\n"
        "from ctct.report.report_page import cohort_html\n"
        "assert b'No patient' in cohort_html([], {})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
