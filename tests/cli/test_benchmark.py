from __future__ import annotations

from types import SimpleNamespace

import pytest

from ctct.benchmark.timing import Timing
from ctct.cli.benchmark import _say_prediction, _say_runtimes


def test_a_line_per_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    # 16 slices in 0.2 s: 80 slices/s, 12.5 ms per slice.
    timing = Timing("openvino", 16, (0.2, 0.2, 0.2))
    _say_runtimes([SimpleNamespace(timing=timing, times_as_fast=3.04, call_ms=lambda percent: 200)])
    assert capsys.readouterr().out == (
        "openvino, batch 16: 12.5 ms per slice, 80.0 slices/s, 3.0 times as fast; "
        "200 ms per call (p50), 200 ms (p95)\n"
    )


def test_a_line_per_run_with_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    timing = Timing("ctct", 100, (1.0, 2.0, 4.0))  # 50 slices/s in the median round
    row = {"timing": timing, "times_as_fast": 4.0}
    _say_prediction(
        [
            SimpleNamespace(**row, dice=None, valid=True, busy=None, stages_s={}),
            SimpleNamespace(**row, dice=0.9, valid=False, busy=0.5, stages_s={"read": 0.25}),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "ctct: 20.0 ms per slice, 4.0 times as fast",
        "ctct: 20.0 ms per slice, 4.0 times as fast, Dice 0.9000, runtime busy 50 %, "
        "read 0.25 s, INVALID: the Dice is lower",
    ]
