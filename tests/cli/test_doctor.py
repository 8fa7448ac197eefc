"""``ctct doctor``: the table, the JSON, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ctct.doctor import checks
from ctct.doctor.checks import Check

GOOD = Check("Python", "ok", "3.12")
LACKING = Check("extra itk", "missing", "without SimpleITK", "pip install 'ctct[itk]'")
BAD = Check("self-test", "error", "no result\nafter 60 s")


def test_the_table_and_the_exit_code(
    ctct: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "examine", lambda: iter((GOOD, LACKING)))
    outcome = ctct("doctor")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "ok       Python                   3.12",
        "missing  extra itk                without SimpleITK; pip install 'ctct[itk]'",
        "ctct predict works here",
    ]
    monkeypatch.setattr(checks, "examine", lambda: iter((GOOD, BAD)))
    outcome = ctct("doctor")
    assert outcome.code == 5
    assert outcome.out.splitlines()[1:] == [
        r"error    self-test                no result\nafter 60 s",
        "ctct predict does not work here",
    ]


def test_json(ctct: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "examine", lambda: iter((LACKING, BAD)))
    outcome = ctct("doctor", "--json")
    assert outcome.code == 5
    said = json.loads(outcome.out)
    assert said["works"] is False
    assert said["checks"][0] == {
        "topic": "extra itk",
        "state": "missing",
        "found": "without SimpleITK",
        "remedy": "pip install 'ctct[itk]'",
    }


def test_this_installation_works(ctct: Callable[..., Any]) -> None:
    outcome = ctct("doctor", "--json")
    assert outcome.code == 0, outcome.out
    assert json.loads(outcome.out)["checks"][-1]["topic"] == "self-test"
