"""What ``ctct doctor`` says of packages, runtimes and folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctct.doctor import checks
from ctct.doctor.checks import Check
from ctct.doctor.self_test import EXPECTED
from ctct.installation import how_to_install

REQUIREMENTS = [
    "numpy>=2",
    "isal>=1.6",
    'no-such-system; sys_platform == "amiga"',
    'pydicom>=3; extra == "dicom"',
    'ctct[dicom]; extra == "dicom-results"',
    'highdicom>=0.28; extra == "dicom-results"',
    'cuda; sys_platform == "amiga" and extra == "gpu"',
    'onnxruntime-gpu; extra == "gpu"',
    'ruff; extra == "dev"',
]


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What ctct needs is made up, and so is what is installed: this dictionary."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    class Metadata:
        def get_all(self, name: str) -> list[str]:
            return ["dicom", "dicom-results", "gpu", "dev"]

    monkeypatch.setattr(checks, "version", version)
    monkeypatch.setattr(checks, "requires", lambda name: REQUIREMENTS)
    monkeypatch.setattr(checks, "metadata", lambda name: Metadata())
    return versions


def test_dependencies(packages: dict[str, str]) -> None:
    packages |= {"numpy": "1.26.4"}
    assert list(checks.check_dependencies()) == [
        Check("numpy", "warning", "1.26.4, ctct needs >=2", how_to_install()),
        Check("isal", "error", "not installed", how_to_install()),
    ]
    packages |= {"numpy": "2.5.0rc1", "isal": "1.6"}
    assert list(checks.check_dependencies()) == [
        Check("numpy", "ok", "2.5.0rc1"),
        Check("isal", "ok", "1.6"),
    ]


def test_extras(packages: dict[str, str]) -> None:
    packages |= {"onnxruntime-gpu": "1.21", "pydicom": "2.4"}
    assert list(checks.check_extras()) == [
        Check("extra dicom", "missing", "without pydicom>=3", how_to_install("dicom")),
        Check(
            "extra dicom-results",
            "missing",
            "without pydicom>=3, highdicom>=0.28",
            how_to_install("dicom-results"),
        ),
        Check("extra gpu", "ok", "onnxruntime-gpu"),
    ]


def test_both_packages_of_onnx_runtime_are_a_conflict(packages: dict[str, str]) -> None:
    packages |= {"onnxruntime-gpu": "1.21"}
    assert not list(checks.check_conflicts())
    packages |= {"onnxruntime": "1.21"}
    (conflict,) = checks.check_conflicts()
    assert conflict.state == "warning"


def test_a_gpu_that_predict_does_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(runtimes=("openvino",), gpu_count=2, computes_in_bf16=False)
    monkeypatch.setattr("ctct.runtimes.machine.Machine", lambda: machine)
    found = {check.topic: check for check in checks.check_runtimes()}
    assert found["CUDA GPUs"].found == "2"
    assert found["--runtime auto"].state == "ok"
    assert found["GPU"].remedy == how_to_install("gpu")


def test_no_runtime_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(runtimes=(), gpu_count=0)
    monkeypatch.setattr("ctct.runtimes.machine.Machine", lambda: machine)
    assert list(checks.check_runtimes())[-1].state == "error"


@pytest.mark.skipif(os.name == "nt", reason="a device file is no folder on POSIX")
def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "new"))
    assert [check.state for check in checks.check_folders()] == ["ok", "ok"]
    assert (tmp_path / "new").is_dir()
    monkeypatch.setenv("CTCT_CACHE", "/dev/null/cache")
    cache, _ = checks.check_folders()
    assert (cache.state, cache.remedy) == ("warning", "set CTCT_CACHE to a folder of yours")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    monkeypatch.setattr(checks, "MIN_FREE_BYTES", 2**80)
    assert [check.state for check in checks.check_folders()] == ["warning", "warning"]


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        ({"error": "the process ended with SIGILL"}, "error", "SIGILL"),
        ({"seconds": 3.0}, "ok", "EDV 156.1 mL and EF 30.8 % as expected, openvino on cpu, 3.0 s"),
        ({"seconds": 30.0}, "warning", "30.0 s"),
        ({"indices": EXPECTED | {"LVEF (%)": 55.0}}, "error", "LVEF (%) is 55.0, expected 30.8"),
    ],
)
def test_the_self_test(
    outcome: Mapping[str, Any], state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {"runtime": "openvino", "device": "cpu", "seconds": 1.0, "indices": EXPECTED}
    monkeypatch.setattr(checks, "run_self_test", lambda: {**right, **outcome})
    (check,) = checks.check_self_test()
    assert check.state == state
    assert words in check.found
    assert bool(check.remedy) == (state != "ok")


def test_a_check_that_fails_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ImportError("libGL.so.1: cannot open shared object file")
        yield

    monkeypatch.setattr(checks, "CHECKS", {"runtimes": broken})
    (check,) = checks.examine()
    assert (check.topic, check.state) == ("runtimes", "error")
    assert "libGL.so.1" in check.found
