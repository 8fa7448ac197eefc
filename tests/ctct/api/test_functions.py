"""The functions of the API refuse what makes no sense, each with one typed error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ctct
from ctct.errors import ConfigError, InputError, OutputError
from ctct.installation import how_to_install
from ctct.io.nifti import encode_study
from ctct.synthetic import synthetic_cine


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for stem, content in encode_study(*synthetic_cine(seed=0, frames=2, slices=4)).items():
        (folder / f"{stem}.nii.gz").write_bytes(content)
    return folder


def test_predict_then_evaluate(scans: Path, tmp_path: Path) -> None:
    statuses = ctct.predict([str(scans)], tmp_path / "out", members="cnn,transformer")
    assert [status.status for status in statuses] == ["done"]
    findings = ctct.evaluate(tmp_path / "out", scans, tmp_path / "evaluation")
    assert findings.evaluation.scores[0].mean_dice > 0.8
    assert (tmp_path / "evaluation" / "scores.csv").exists()
    assert [status.status for status in ctct.predict(scans, tmp_path / "out")] == ["skipped"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, o: ctct.predict("", o), InputError, "scans is ''; give a path"),
        (lambda s, o: ctct.predict([], o), InputError, "empty list"),
        (lambda s, o: ctct.predict(7, o), InputError, "scans is 7"),
        (lambda s, o: ctct.predict([s, None], o), InputError, "scans is None"),
        (lambda s, o: ctct.predict(s, ""), InputError, "out is ''"),
        (lambda s, o: ctct.predict(s, None), InputError, "out is None"),
        (lambda s, o: ctct.predict(s / "missing", o), InputError, "missing"),
        (lambda s, o: ctct.predict(s, o, label_order="mine"), ConfigError, "choose one of acdc"),
        (lambda s, o: ctct.predict(s, o, formats="png"), ConfigError, "png"),
        (
            lambda s, o: ctct.predict(s, o, de_identify=True, name_from="patient"),
            ConfigError,
            "^de_identify and name_from patient exclude each other",
        ),
        (lambda s, o: ctct.predict(s, o, name_from="date"), ConfigError, "^name_from date: choose"),
        (lambda s, o: ctct.predict(s, o, members="gan"), ConfigError, "gan"),
        (lambda s, o: ctct.predict(s, o, compare="results"), ConfigError, "results"),
        (lambda s, o: ctct.predict(s, s / "synthetic_0.nii.gz"), OutputError, "cannot write"),
        (lambda s, o: ctct.evaluate("missing", s), InputError, "missing: no such folder"),
        (lambda s, o: ctct.evaluate(None, s), InputError, "folder is None"),
        (lambda s, o: ctct.evaluate(s, s, label_order="mine"), InputError, "unknown label order"),
        (lambda s, o: ctct.read_study(None), InputError, "path is None"),
        (lambda s, o: ctct.train(), ConfigError, "DATA is missing"),
        (lambda s, o: ctct.train(7), InputError, "data is 7"),
        (lambda s, o: ctct.train(s, o, resume=True), ConfigError, "no run to continue"),
        (lambda s, o: ctct.train(s, o, preset="small", stepz=3), ConfigError, "stepz"),
        (lambda s, o: ctct.export(formats="png"), ConfigError, "png"),
        (lambda s, o: ctct.export(source=None), InputError, "source is None"),
        (lambda s, o: ctct.export(out=""), InputError, "out is ''"),
    ],
)
def test_bad_arguments(
    call: Callable[..., Any], error: type[Exception], message: str, scans: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        call(scans, tmp_path / "out")


@pytest.mark.parametrize(
    ("call", "package", "extra"),
    [
        ("ctct.export(out=OUT)", "onnx", "export"),
        ("ctct.train(OUT, preset='small')", "torch", "train"),
        ("ctct.predict(SCAN, OUT + '/o', tta=True)", "torch", "train"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    call: str, package: str, extra: str, scans: Path, tmp_path: Path
) -> None:
    program = (
        f"import sys, ctct\nsys.modules[{package!r}] = None\nOUT = {str(tmp_path)!r}\n"
        f"SCAN = {str(scans)!r}\n"
        f"try:\n    {call}\n"
        "except ctct.errors.RuntimeUnavailableError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "CTCT_CACHE": str(tmp_path / "cache")},
    )
    assert how_to_install(extra) in done.stdout, done.stderr[-500:]
