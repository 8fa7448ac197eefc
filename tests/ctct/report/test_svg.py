from __future__ import annotations

from xml.etree import ElementTree

from ctct.report.svg import area, dot, label, line, picture, polyline, square

ODD = '<&">'


def test_every_shape_is_well_formed_and_escapes_its_text() -> None:
    shapes = [
        line((0, 1), (2, 3), "red", "5 4"),
        polyline([(0, 1.5), (2, 3)], "red"),
        dot((1, 2), "red", ODD),
        square((1, 2), 3, "red", ODD),
        area("M0 0 L1 1 Z", "red", ODD),
        label((1.26, 2), ODD, "end", rotation=-90),
    ]
    svg = ElementTree.fromstring(picture((40, 30), ODD, shapes))
    assert svg.attrib["viewBox"] == "0 0 40 30"
    assert [child.tag for child in svg] == [
        *("title", "line", "polyline", "circle", "rect", "path", "text")
    ]
    assert [title.text for title in svg.iter("title")] == [ODD] * 4
    assert svg.find("polyline").attrib["points"] == "0,1.5 2,3"  # type: ignore[union-attr]
    text = svg.find("text")
    assert text is not None
    assert (text.text, text.attrib["x"]) == (ODD, "1.3")
    assert text.attrib["transform"] == "rotate(-90 1.3 2)"
