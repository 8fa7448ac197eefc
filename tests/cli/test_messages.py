from __future__ import annotations

import io
import logging
import sys

import pytest

from ctct.cli.messages import StderrHandler, count_of, one_line


def test_unprintable_characters_are_escaped() -> None:
    assert one_line("a\nb\x1b[31m\udc80é") == r"a\nb\x1b[31m\udc80é"


def test_a_message_is_one_line_on_the_standard_error_of_the_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler, stream = StderrHandler(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handler.emit(logging.LogRecord("ctct", logging.WARNING, "", 0, "%s: odd", ("a\nb",), None))
    assert stream.getvalue() == "a\\nb: odd\n"


def test_a_message_that_cannot_be_formatted_does_not_end_the_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    StderrHandler().emit(logging.LogRecord("ctct", logging.INFO, "", 0, "%d", ("x",), None))
    assert "--- Logging error ---" in capsys.readouterr().err


def test_one_of_something_is_singular() -> None:
    assert [count_of(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
