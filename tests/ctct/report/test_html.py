from __future__ import annotations

import math

from ctct.report.html import number, page, table, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = tag("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert tag("p", inner, title='"quoted"') == (
        '<p title="&quot;quoted&quot;"><b>a &lt; b &amp; c</b></p>'
    )
    assert "<td>&lt;i&gt;</td>" in table(["x"], [["<i>"]])


def test_a_page_is_whole_and_forbids_requests() -> None:
    html = page("<t>", tag("h1", "x")).decode()
    assert html.startswith("<!DOCTYPE html>")
    assert "<title>&lt;t&gt;</title>" in html
    assert "default-src 'none'" in html


def test_numbers() -> None:
    assert (number(1.25, 1), number(None), number(math.nan)) == ("1.2", "–", "–")
