from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ctct.errors import ModelError
from ctct.training.checkpoint import RESUME_FILE, load_resume, save_resume


def test_nothing_yet(tmp_path: Path) -> None:
    assert load_resume(tmp_path) is None


def test_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "tensor": torch.arange(3.0), "optimiser": {"lr": [0.1, 0.2]}}
    save_resume(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == [RESUME_FILE]
    found = load_resume(tmp_path)
    assert found is not None
    assert torch.equal(found.pop("tensor"), state.pop("tensor"))
    assert found == state


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: b"text", lambda data: data[: len(data) // 2]]
)
def test_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    save_resume(tmp_path, {"tensor": torch.arange(1000.0)})
    path = tmp_path / RESUME_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError) as caught:
        load_resume(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
