"""Version, errors in one line and exit codes, the same for all commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.installation import how_to_install


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
        f"ctct: this needs onnx, which is not installed; {how_to_install('export')}\n",
    )


def test_ctrl_c_says_how_to_continue(
    ctct: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctct.runtimes.choose.resolve", interrupted)
    outcome = ctct("info")
    assert outcome.code == 130
    assert "run the same command again to continue" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate", "empty", "empty"], 4, "no CASE_seg.nii.gz with a CASE_gt.nii.gz"),
        (
            ["evaluate", "empty", "empty", "--label-order", "x"],
            2,
            "Invalid value for '--label-order'",
        ),
        (["train", "empty", "-o", "run"], 4, "no scan to train on"),
        (["train", "-o", "run"], 2, "DATA is missing"),
        (["train", "gone", "-o", "run"], 2, "gone: no such file or folder"),
        (["train", "empty", "-o", "run", "--steps", "0"], 2, "--steps"),
        (["train", "empty", "-o", "run", "--preset", "worst"], 2, "'worst' is not one of 'paper'"),
        (["train", "empty", "-o", "run", "--networks", "unet,net"], 2, "unknown network 'net'"),
        (["train", "empty", "-o", "run", "--config", "bad.json"], 2, "unknown setting stepz"),
        (["train", "empty", "-o", "run", "--resume"], 2, "no run to continue"),
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
