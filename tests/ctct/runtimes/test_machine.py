"""Which runtimes are installed, and that no question about the machine is asked twice."""

from __future__ import annotations

import pytest

from ctct.installation import how_to_install
from ctct.runtimes import cuda, machine
from ctct.runtimes.machine import (
    DISTRIBUTIONS,
    PACKAGES,
    Machine,
    how_to_install_runtime,
    installed_runtimes,
    installed_version,
)


@pytest.mark.parametrize(
    ("modules", "counts"),
    [
        ({"tensorrt", "cuda.bindings"}, True),
        ({"tensorrt_rtx", "cuda.bindings"}, True),
        ({"tensorrt_rtx"}, False),
        ({"cuda.bindings"}, False),
    ],
)
def test_either_tensorrt_counts_as_installed(
    modules: set[str], counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_is_installed", modules.__contains__)
    assert ("tensorrt" in installed_runtimes()) is counts


def test_a_module_of_a_missing_package_is_not_installed() -> None:
    assert not machine._is_installed("no_such_package.inside")


def test_every_installed_runtime_has_a_version() -> None:
    assert set(DISTRIBUTIONS) == set(PACKAGES)
    for name in installed_runtimes():
        assert installed_version(name)[0].isdigit()


def test_how_a_runtime_is_installed() -> None:
    assert how_to_install_runtime("openvino") == how_to_install()
    assert how_to_install_runtime("tensorrt") == how_to_install("tensorrt")


def test_each_question_is_asked_when_it_matters_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cuda, "cuda_devices", lambda: asked.append("driver") or 3)
    monkeypatch.setattr(machine, "cpu_computes_in_bf16", lambda: asked.append("CPU") or True)
    found = Machine()
    assert asked == []
    assert [found.gpu_count, found.gpu_count] == [3, 3]
    assert asked == ["driver"]
    assert found.computes_in_bf16
    assert found.computes_in_bf16
    assert asked == ["driver", "CPU"]
