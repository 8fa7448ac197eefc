"""Progress: nothing in a pipe; on a terminal, a bar that messages do not tear."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import logging, time
from pathlib import Path
from ctct.cli.messages import StderrHandler
from ctct.cli.case_progress import case_progress
from ctct.cli.progress import SpeedColumn, bar, spinner
from ctct.cases.case import Case
from ctct.prediction.run_manifest import DONE, CaseStatus

log = logging.getLogger("ctct")
log.handlers = [StderrHandler()]
with bar("steps", SpeedColumn()) as observe:
    observe(3, 7)
    time.sleep(0.2)
    log.warning("between the steps")
    observe(4, 7)
with spinner() as say:
    say("the first stage")
    time.sleep(0.2)
with case_progress() as observer:
    observer.run_started(2)
    observer.slices_done(Case(Path("a.nii"), "a"), 5, 10)
    time.sleep(0.2)
    observer.case_ended(CaseStatus("a", "a.nii", DONE))
print("end")
"""


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_a_pipe_gets_messages_only(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert (done.stdout, done.stderr) == ("end\n", "between the steps\n")


def shown_on_a_terminal(kind: str) -> str:
    """All that the program writes to a terminal, without colors."""
    import pty

    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=child,
        env={**os.environ, "TERM": kind, "COLUMNS": "100"},
    )
    os.close(child)
    shown = b""
    try:
        while part := os.read(parent, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    return re.sub(r"\x1b\[[\d;]*m", "", shown.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_bars_and_whole_lines() -> None:
    text = shown_on_a_terminal("xterm")
    for expected in ("3/7 steps", "the first stage", "a, slice 5/10"):
        assert expected in text
    assert "\x1b[2Kbetween the steps\r\n" in text  # after the line of the bar is erased


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_that_cannot_erase_gets_messages_only() -> None:
    assert shown_on_a_terminal("dumb") == "between the steps\r\n"
