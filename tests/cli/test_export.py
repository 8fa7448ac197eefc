from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
from ctct.exporters.request import ExportRequest


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ExportRequest]:
    """The requests that the command makes; nothing is exported."""
    made: list[ExportRequest] = []

    def export(source: str, out: Path, request: ExportRequest, observe: object) -> list[object]:
        made.append(request)
        return []

    monkeypatch.setattr("ctct.exporters.export.export", export)
    return made


def test_without_options_it_is_onnx_of_both_networks(
    ctct: Callable[..., Any], requests: list[ExportRequest]
) -> None:
    assert ctct("export", "default", "-o", "out").code == 0
    assert requests == [ExportRequest()]


def test_options_become_the_request(
    ctct: Callable[..., Any], requests: list[ExportRequest]
) -> None:
    outcome = ctct(
        *("export", "default", "-o", "out", "--format", "onnx,openvino", "--trt"),
        *("--members", "cnn", "--tta", "--precision", "fp16", "--batch", "1,8,16"),
        *("--size", "64,128,256", "--target", "sm80,sm89", "--no-verify", "--license", "CC0"),
    )
    assert outcome.code == 0, outcome.err
    (request,) = requests
    assert request.formats == ("onnx", "openvino", "engine")
    assert (request.variant.members, request.variant.tta) == (("cnn",), True)
    assert (request.precision, request.targets) == ("fp16", ("sm80", "sm89"))
    assert request.profile.batch == (1, 8, 16)
    assert request.profile.size == (64, 128, 256)
    assert not request.verify


def test_the_former_spelling_of_the_license_is_taken_with_a_warning(
    ctct: Callable[..., Any], requests: list[ExportRequest]
) -> None:
    outcome = ctct("export", "default", "-o", "out", "--licence", "CC0")
    assert outcome.code == 0
    assert outcome.err == (
        "warning: --licence is now --license; the next release drops the former name\n"
    )
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "1,2"), "--batch 1,2: give MIN,OPT,MAX as whole numbers"),
        (("--size", "a,b,c"), "--size a,b,c: give MIN,OPT,MAX as whole numbers"),
        (("--precision", "fp8"), "Invalid value for '--precision'"),
    ],
)
def test_odd_values_are_usage_errors(
    arguments: tuple[str, str],
    message: str,
    ctct: Callable[..., Any],
    requests: list[ExportRequest],
) -> None:
    outcome = ctct("export", "default", "-o", "out", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert requests == []
