from __future__ import annotations

from ctct.benchmark.runtimes import REFERENCE, runtime_speed
from ctct.inference.model_file import ModelFile


def test_the_reference_comes_first_and_all_do_the_same_work(default_model: ModelFile) -> None:
    timings = runtime_speed("default", [default_model.path], "cpu", batch=3, rounds=1)
    assert [timing.name for timing in timings] == [
        REFERENCE,
        f"{default_model.path} on openvino",
    ]
    assert [timing.amount for timing in timings] == [3, 3]
