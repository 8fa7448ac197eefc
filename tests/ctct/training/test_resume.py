from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ctct.errors import ModelError, OutputError
from ctct.training.resume import RESUME_FILE, load_resume, save_resume


def parts(seed: int) -> tuple[dict[str, nn.Module], torch.optim.Optimizer, dict]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.rand(2, 1, 5, 5)).square().sum().backward()
    optimizer.step()
    return {"students": network}, optimizer, {"batches": torch.Generator().manual_seed(seed)}


def test_round_trip(tmp_path: Path) -> None:
    modules, optimizer, generators = parts(0)
    save_resume(tmp_path, modules, optimizer, generators, {"step": 3, "best": {"cnn": 0.5}})
    assert [path.name for path in tmp_path.iterdir()] == [RESUME_FILE]
    drawn, dropped = torch.rand(3, generator=generators["batches"]), torch.rand(3)
    others, other_optimizer, other_generators = parts(1)
    state = load_resume(tmp_path, others, other_optimizer, other_generators)
    assert state == {"step": 3, "best": {"cnn": 0.5}}
    for name, tensor in modules["students"].state_dict().items():
        assert torch.equal(others["students"].state_dict()[name], tensor)
    before, after = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n][slot], after[n][slot]) for n in before for slot in before[n])
    assert torch.equal(torch.rand(3, generator=other_generators["batches"]), drawn)
    assert torch.equal(torch.rand(3), dropped)


def test_the_optimizer_of_a_file_of_version_0_1(tmp_path: Path) -> None:
    modules, optimizer, generators = parts(0)
    save_resume(tmp_path, modules, optimizer, generators, {})
    path = tmp_path / RESUME_FILE
    tensors = {k.replace("optimizer.", "optimiser."): v for k, v in load_file(path).items()}
    save_file(tensors, path, {"state": "{}"})
    others, other_optimizer, other_generators = parts(1)
    load_resume(tmp_path, others, other_optimizer, other_generators)
    before, after = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert all(torch.equal(before[n][slot], after[n][slot]) for n in before for slot in before[n])


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / f".{RESUME_FILE}.partial").touch(0o600)  # of a killed run
        save_resume(tmp_path, *parts(0), {})
    finally:
        os.umask(before)
    assert (tmp_path / RESUME_FILE).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: b"text", lambda data: data[: len(data) // 2]]
)
def test_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    save_resume(tmp_path, *parts(0), {})
    path = tmp_path / RESUME_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError) as caught:
        load_resume(tmp_path, *parts(0))
    assert str(caught.value).startswith(f"{path}: damaged, or of other networks")
    assert "\n" not in str(caught.value)


def test_full_disk_keeps_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_resume(tmp_path, *parts(0), {"step": 1})

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ctct.models.checkpoint.save_file", full)
    with pytest.raises(
        OutputError, match=r"No space left on device.*continue from the former one with --resume"
    ):
        save_resume(tmp_path, *parts(0), {"step": 2})
    assert load_resume(tmp_path, *parts(0)) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == [RESUME_FILE]
