"""Names and colors of labels for ITK-SNAP and 3D Slicer."""

from __future__ import annotations

import re

from ctct.io.color_tables import encode_color_files


def test_itksnap_gets_eight_fields_per_label() -> None:
    text = encode_color_files()["labels.txt"].decode()
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    pattern = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([01])\s+([01])\s+"(.*)"')
    assert [pattern.fullmatch(row).groups() for row in rows] == [  # type: ignore[union-attr]
        ("0", "0", "0", "0", "0", "0", "0", "background"),
        ("1", "86", "180", "233", "1", "1", "1", "RV"),
        ("2", "0", "158", "115", "1", "1", "1", "MYO"),
        ("3", "230", "97", "0", "1", "1", "1", "LV"),
    ]


def test_slicer_gets_the_numbers_of_the_label_order() -> None:
    text = encode_color_files("mnms")["labels.ctbl"].decode()
    assert text.splitlines()[1:] == [
        "0 background 0 0 0 0",
        "1 LV 230 97 0 255",
        "2 MYO 0 158 115 255",
        "3 RV 86 180 233 255",
    ]
