"""`ctct predict` with URLs: one line and the right exit code for what cannot work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_scan

from ctct.errors import ConfigError, InputError, RuntimeUnavailableError


def said(outcome: Any) -> str:
    """The only line of an error."""
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("ctct:")]
    return str(line)


@pytest.mark.parametrize(("url", "package"), [("s3://a/b", ""), ("gs://a/b", "pip install gcsfs")])
def test_a_missing_extra_is_named(
    url: str,
    package: str,
    ctct: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    outcome = ctct("predict", url, "-o", tmp_path / "out", "--device", "cpu")
    assert outcome.code == RuntimeUnavailableError.exit_code
    assert "needs fsspec" in said(outcome)
    assert "storage" in said(outcome)
    assert package in said(outcome)
    write_scan(tmp_path / "scan.nii")
    outcome = ctct("predict", tmp_path / "scan.nii", "-o", url, "--device", "cpu")
    assert outcome.code == RuntimeUnavailableError.exit_code


def test_a_broken_url_is_named(ctct: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="needs the extra storage")
    outcome = ctct("predict", "s4://a/b", "-o", tmp_path / "out", "--device", "cpu")
    assert outcome.code == InputError.exit_code
    assert "s4://a/b: not a URL that can be read; give s3://" in said(outcome)


def test_paths_and_urls_do_not_mix(ctct: Callable[..., Any], tmp_path: Path) -> None:
    outcome = ctct("predict", "s3://a/b", tmp_path, "-o", tmp_path / "out", "--device", "cpu")
    assert outcome.code == ConfigError.exit_code
    assert "not both" in said(outcome)
