from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ConfigError
from ctct.inference.batch_size import best_batch, fastest, parse_batch
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Prediction
from ctct.runtimes.choose import resolve

MODEL = ModelFile(Path("m.onnx"), {"grid": {"size": 160, "spacing_mm": 1.5}}, "0" * 64)


class Costly:
    """40 ms a call and nothing a slice, up to 32 slices; more do not fit."""

    name, device = "costly", "cpu"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        self.calls.append(len(slices))
        if len(slices) > 32:
            raise MemoryError
        time.sleep(0.04)
        # 160 pixels of 1.5 mm and one more on each side, at 1.4 mm: 173 of them, 176 with 16.
        assert slices.shape[1:] == (1, 176, 176)
        return Prediction(np.zeros(slices.shape[::2], np.uint8), np.zeros((0,), np.float32))


@pytest.mark.parametrize(
    ("milliseconds", "best"),
    [
        ({4: 10.0, 8: 9.0, 16: 8.0, 32: 7.9}, 16),  # 7.9 / 0.97 = 8.1
        ({4: 10.0, 8: 9.0, 16: 8.0, 32: 7.7}, 32),  # 7.7 / 0.97 = 7.9
        ({4: 1.0, 8: 2.0}, 4),
    ],
)
def test_a_larger_batch_must_be_worth_it(milliseconds: dict[int, float], best: int) -> None:
    assert fastest(milliseconds) == best


def test_it_is_looked_for_once_and_up_to_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    runtime = Costly()
    assert best_batch(MODEL, runtime) == 32
    assert runtime.calls == [4, 4, 8, 8, 16, 16, 32, 32, 64]
    assert best_batch(MODEL, runtime) == 32
    assert len(runtime.calls) == 9
    (file,) = (tmp_path / "batch").iterdir()
    file.write_text("{")
    assert best_batch(MODEL, runtime) == 32
    assert len(runtime.calls) == 18


def test_batch_is_a_number_or_auto() -> None:
    assert (parse_batch(3), parse_batch("16"), parse_batch("auto")) == (3, 16, None)
    for strange in ("0", -1, "many"):
        with pytest.raises(ConfigError, match="give a number of slices, 1 or more, or auto"):
            parse_batch(strange)


def test_a_segmenter_takes_it(
    default_model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    monkeypatch.setattr("ctct.inference.batch_size.CANDIDATES", (2, 3))
    assert Segmenter.load(resolve(default_model, "openvino", "cpu"), "auto").batch in (2, 3)
