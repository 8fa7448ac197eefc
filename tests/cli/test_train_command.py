from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests_support import write_acdc

OPTIONS = ("--device", "cpu", "--precision", "fp32", "--batch", "4", "--grid-size", "64")


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    write_acdc(tmp_path / "acdc")
    return tmp_path / "acdc"


def test_a_run_and_its_continuation(
    ctct: Callable[..., object], acdc: Path, tmp_path: Path
) -> None:
    settings, run = tmp_path / "settings.json", tmp_path / "run"
    settings.write_text(json.dumps({"cross_teaching": {"warm_up": 0.4}, "seed": 3, "steps": 9}))
    first = ctct(
        *("train", acdc, "-o", run, "--config", settings, *OPTIONS),
        *("--labelled", 1, "--steps", 1, "--networks", "unet,unet", "--no-compile"),
    )
    assert first.code == 0
    assert [line.split(":")[0] for line in first.out.splitlines()] == [
        *("validation Dice, cnn", "validation Dice, transformer", "validation Dice, ensemble")
    ]
    config = json.loads((run / "config.json").read_text())
    assert config["pair"]["networks"] == ["unet", "unet"]
    assert (config["unlabelled_slices"]["warm_up"], config["run"]["seed"]) == (0.4, 3)
    assert (config["optimization"]["steps"], config["run"]["compile"]) == (1, False)

    again = ctct("train", acdc, "-o", run, *OPTIONS)
    assert (again.code, "continue it with --resume" in again.err) == (2, True)
    done = ctct("train", "--resume", "-o", run, "--device", "cpu")
    assert (done.code, "raise --steps to continue" in done.err) == (2, True)
    assert ctct("train", "--resume", "-o", run, "--device", "cpu", "--steps", 2).code == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["optimization"]["steps"], config["pair"]["grid_size"]) == (2, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labelled", "1", "--labelled-list", "a.txt"], "--labelled and --labelled-list exclude"),
        (["--cnn-rate", "-1"], "--cnn-rate must be greater than 0, got -1.0"),
        (["--heart-crop-size", "160"], "--heart-crop-size must be 0, or a multiple of 32 below"),
        (["--networks", "timm:none,unet"], "timm:none: no encoder that this timm can make"),
        (["--init-from", "nowhere"], "nowhere"),
    ],
)
def test_settings_that_make_no_sense(
    ctct: Callable[..., object], acdc: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    outcome = ctct(
        "train", acdc, "-o", tmp_path / "run", "--device", "cpu", *OPTIONS[2:4], *options
    )
    assert outcome.code in (2, 7)
    assert message in outcome.err
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--ray", "127.0.0.1:9"], 5, "--ray 127.0.0.1:9: cannot join a cluster there"),
        (["--ray", "auto", "--devices", 2], 2, "--devices and --ray exclude each other"),
        (["--ray", "auto", "--ray-cpus", 0], 2, "--ray-cpus 0: give a number, from 1"),
    ],
)
def test_a_study_on_a_cluster_that_cannot_be(
    ctct: Callable[..., object],
    acdc: Path,
    tmp_path: Path,
    options: list[object],
    code: int,
    message: str,
) -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    outcome = ctct("study", acdc, "-o", tmp_path / "study", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(f"ctct: {message}")
    assert len(outcome.err.splitlines()) == 1


def test_resume_takes_no_other_preset(ctct: Callable[..., object], tmp_path: Path) -> None:
    outcome = ctct("train", "--resume", "-o", tmp_path, "--preset", "paper")
    assert outcome.code == 2
    assert "--resume continues with the run's own settings" in outcome.err
