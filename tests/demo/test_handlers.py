"""In which order the parts of the page come."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests_support import write_scan

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo.analysis import read_scan
from ctct.demo.engines import Engines
from ctct.demo.handlers import Request, fill


def test_the_first_frame_comes_before_the_rest(tmp_path: Path) -> None:
    write_scan(tmp_path / "cine.nii.gz", (40, 36, 3, 2))
    engines = Engines()
    parts = list(
        fill(
            read_scan(tmp_path / "cine.nii.gz"),
            Request(engines.first),
            engines,
            "http://127.0.0.1:7860/",
            lambda *stage: None,
        )
    )
    assert [set(part) for part in parts] == [
        {"viewer", "beside"},
        {"viewer", "beside"},
        {"beside", "montage", "comparison", "commands"},
    ]
    assert "Frame 0 is ready; all 2 follow" in parts[0]["beside"]
    # Elements of two kinds, so that Gradio puts a new one in place of the first.
    assert parts[0]["viewer"].startswith("<div>")
    assert parts[1]["viewer"].lstrip().startswith("<iframe")
    assert ["<table" in part["beside"] for part in parts] == [False, False, True]
