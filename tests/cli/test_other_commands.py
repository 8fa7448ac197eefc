from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

COMMANDS = ("predict", "sample", "evaluate", "train", "pack", "export", "info")


def test_help_names_every_command(ctct: Callable[..., object]) -> None:
    outcome = ctct("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert command in outcome.out
        assert ctct(command, "--help").code == 0


def test_version(ctct: Callable[..., object]) -> None:
    from importlib.metadata import version

    assert ctct("--version").out.strip() == f"ctct {version('ctct')}"


def test_an_internal_error_is_one_line_and_code_1(
    ctct: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> object:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("ctct.runtimes.choose.resolve", broken)
    outcome = ctct("info")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("ctct: internal error, ZeroDivisionError: oh")


def test_a_package_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    program = "import sys; sys.modules['onnx'] = None; from ctct.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "default", "-o", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (
        5,
        "ctct: this needs onnx; pip install 'ctct[export]'\n",
    )


def test_ctrl_c_says_how_to_go_on(
    ctct: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctct.runtimes.choose.resolve", interrupted)
    outcome = ctct("info")
    assert outcome.code == 130
    assert "run the same command again to go on" in outcome.err


def test_info_names_versions_runtimes_and_the_model(ctct: Callable[..., object]) -> None:
    outcome = ctct("info", "--card")
    assert outcome.code == 0
    for word in ("ctct ", "runtime openvino: 2", "CUDA devices:", "validation_dice", "CC BY-NC-SA"):
        assert word in outcome.out


def test_sample_writes_a_cine_and_its_labels(ctct: Callable[..., object], tmp_path: Path) -> None:
    outcome = ctct("sample", tmp_path, "--frames", 2, "--seed", 3)
    assert outcome.code == 0
    image_path, labels_path = map(Path, outcome.out.split())
    image, labels = nib.load(image_path), nib.load(labels_path)
    assert image.shape == labels.shape
    assert image.shape[3] == 2
    assert (image.affine == labels.affine).all()
    assert set(np.unique(np.asarray(labels.dataobj))) == {0, 1, 2, 3}


def test_evaluate_by_hand(ctct: Callable[..., object], tmp_path: Path) -> None:
    def save(name: str, values: list[int]) -> None:
        array = np.array(values, np.uint8).reshape(2, 2, 1)
        nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8, 1])), tmp_path / name)

    save("a_seg.nii.gz", [1, 2, 3, 3])
    save("a_gt.nii.gz", [1, 2, 3, 0])
    # LV: 2 x 1 / (2 + 1) = 0.6667; RV and MYO agree; the mean is (1 + 1 + 0.6667) / 3.
    outcome = ctct("evaluate", tmp_path, tmp_path)
    assert outcome.code == 0
    assert "Dice of 1 frames" in outcome.out
    assert "mean  0.8889" in outcome.out
    assert "HD95" not in outcome.out
    outcome = ctct("evaluate", tmp_path, tmp_path, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "HD95 in mm" in outcome.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "evaluation.html",
        "evaluation.json",
        "indices.csv",
        "scores.csv",
    ]
    outcome = ctct("evaluate", tmp_path, tmp_path, "--compare", tmp_path)
    assert outcome.code == 0
    assert f"mean Dice against {tmp_path}: +0.0000 (+0.0000 to +0.0000), p 1" in outcome.out
    # One that cannot be compared: the others are scored, and the exit code says so.
    save("b_seg.nii.gz", [1, 2, 3, 9])
    save("b_gt.nii.gz", [1, 2, 3, 0])
    save("c_gt.nii.gz", [1, 2, 3, 0])
    outcome = ctct("evaluate", tmp_path, tmp_path)
    assert outcome.code == 3
    assert "mean  0.8889" in outcome.out
    assert "b_seg.nii.gz: label map holds [9]" in outcome.err
    assert "1 references without a prediction: c" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate", "empty", "empty"], 4, "no CASE_seg.nii.gz with a CASE_gt.nii.gz"),
        (["evaluate", "empty", "empty", "--label-order", "x"], 2, "--label-order x: choose one"),
        (["train", "empty", "-o", "run"], 4, "no scan to train on"),
        (["train", "-o", "run"], 2, "DATA is missing"),
        (["train", "gone", "-o", "run"], 2, "gone: no such file or folder"),
        (["train", "empty", "-o", "run", "--steps", "0"], 2, "--steps"),
        (["train", "empty", "-o", "run", "--preset", "worst"], 2, "unknown preset 'worst'"),
        (["train", "empty", "-o", "run", "--networks", "unet,net"], 2, "unknown network 'net'"),
        (["train", "empty", "-o", "run", "--config", "bad.json"], 2, "unknown setting stepz"),
        (["train", "empty", "-o", "run", "--resume"], 2, "no run to go on with"),
        (["pack", "empty", "-o", "slices.zip"], 2, "must end in .npz"),
        (["export", "empty", "-o", "x.onnx"], 7, "no such model"),
        (["info", "--model", "bad.json"], 7, "not a model"),
    ],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    message: str,
    ctct: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text(json.dumps({"stepz": 3}))
    write_scan(tmp_path / "scan.nii.gz")
    outcome = ctct(*arguments)
    assert outcome.code == code
    assert message in outcome.err


def test_every_flag_of_train_is_a_setting() -> None:
    import dataclasses
    import inspect

    from ctct.cli.train import train
    from ctct.training.config import TrainingConfig

    flags = set(inspect.signature(train).parameters)
    fields = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert flags - fields == {"out", "resume", "config", "device", "devices"}
