"""The self-test: what counts as the right numbers, and a process that gives none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ctct.doctor.self_test import EXPECTED, deviations, run_self_test


def test_numbers_within_the_tolerance_are_right() -> None:
    assert not deviations({name: value + 0.4 for name, value in EXPECTED.items()})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LVEDV (mL)", 157.5, "LVEDV (mL) is 157.5, expected 156.1 ± 1.0"),
        ("LVEF (%)", 30.1, "LVEF (%) is 30.1, expected 30.8 ± 0.5"),
        ("LVM (g)", float("nan"), "LVM (g) is nan, expected 119.7 ± 1.0"),
    ],
)
def test_other_numbers_are_named(name: str, value: float, said: str) -> None:
    assert deviations(EXPECTED | {name: value}) == [said]


def test_no_number_is_not_right() -> None:
    assert len(deviations({})) == len(EXPECTED)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as the program")
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("kill -ILL $$", "the process ended with SIGILL"),
        ("exit 3", "the process ended with exit code 3"),
        ("echo no JSON", "the process ended with exit code 0"),
        ("exec sleep 9", "no result after 1 s"),
        (None, "cannot be started (No such file or directory)"),
    ],
)
def test_a_process_without_a_result(
    script: str | None, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    if script:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert run_self_test(deadline_s=1)["error"].endswith(error)


def test_the_bundled_model_gives_the_stored_numbers() -> None:
    outcome = run_self_test()
    assert "error" not in outcome
    for name, value in EXPECTED.items():  # a fifth of the tolerance
        assert outcome["indices"][name] == pytest.approx(value, abs=0.1 if "%" in name else 0.2)
