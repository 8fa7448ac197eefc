"""What a run tells the machinery around it, and how it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_scan

from ctct.cli.operations import JsonHandler, JsonLog, Metrics
from ctct.errors import OutputError
from ctct.prediction.results import Summary
from ctct.prediction.run_manifest import CaseStatus

DONE = CaseStatus("p7", "/in/p7.nii", "done", slices=12, scan={"digest": "abc" * 20})
FAILED = CaseStatus("p8", "/in/p8.nii", "failed", "/in/p8.nii: odd")


def test_each_event_is_a_line_of_json_without_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import logging

    log, messages = JsonLog(), JsonHandler()
    log.run_started(None)
    for status in (DONE, FAILED):
        log.case_ended(status)
    messages.emit(
        logging.LogRecord("ctct.x", logging.WARNING, "", 0, "%s: odd", ("/in/p7.nii",), None)
    )
    messages.emit(logging.LogRecord("ctct.x", logging.WARNING, "", 0, "of p7", (), None))
    log.run_started(2)
    log.patients_measured(Summary())
    log.end(3)
    said = capsys.readouterr().err
    assert not re.search(r"p7|p8|/in", said)
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["event"] for event in events] == [
        *("run_started", "case_ended", "case_ended", "message", "message", "search_ended"),
        *("tables_written", "run_ended"),
    ]
    assert events[1]["scan"] == ("abc" * 20)[:16]
    assert (events[3]["message"], events[3]["level"]) == ("%s: odd", "warning")
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["exit_code"]) == (1, 1, 3)


def test_metrics_are_in_the_format_of_prometheus(tmp_path: Path) -> None:
    path = tmp_path / "ctct.prom"
    metrics = Metrics(path)
    metrics.run_started(5)
    for _ in range(3):
        metrics.case_taken()
    for status in (DONE, FAILED):
        metrics.case_ended(status)
    metrics.end()
    values = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r'(ctct_[a-z_]+(?:\{status="\w+"\})?) ([\d.]+)', line)
            assert match
            values[match[1]] = float(match[2])
    assert values['ctct_cases_total{status="done"}'] == 1
    assert values['ctct_cases_total{status="failed"}'] == 1
    assert (values["ctct_cases_running"], values["ctct_cases_found"]) == (1, 5)
    assert values["ctct_slices_total"] == 12
    with pytest.raises(OutputError, match="cannot be written"):
        Metrics(tmp_path / "gone" / "ctct.prom")


def test_the_options_of_the_command(ctct: Callable[..., Any], tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "secret.nii")
    (tmp_path / "in" / "bad.nii").write_bytes(b"")
    out, metrics = tmp_path / "out", tmp_path / "m.prom"
    outcome = ctct(
        *("predict", tmp_path / "in", "-o", out, "--log-json", "--metrics", metrics),
        *("--max-failures", 5, "--case-deadline", 600),
    )
    assert outcome.code == 3
    events = [json.loads(line) for line in outcome.err.splitlines()]
    assert events[-1]["event"] == "run_ended"
    assert (events[-1]["done"], events[-1]["failed"]) == (1, 1)
    assert "secret" not in outcome.err + outcome.out
    assert 'ctct_cases_total{status="done"} 1' in metrics.read_text()
    outcome = ctct("predict", tmp_path / "gone", "-o", out, "--log-json")
    assert outcome.code == 4
    assert json.loads(outcome.err.splitlines()[-1])["exit_code"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in", "--index", "i.parquet"], "leave out INPUT"),
        (["in", "--shard", "1/2"], "is a share of an index; give --index too"),
        (["--index", "i.parquet", "--name-from", "file"], "or give them to ctct index"),
        ([], "Missing argument: give INPUT, or --index"),
        (["in", "--max-failures", "-1"], "give a number, from 0"),
        (["in", "--case-deadline", "0"], "give seconds, more than 0"),
    ],
)
def test_options_that_exclude_one_another(
    arguments: list[str], message: str, ctct: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = ctct("predict", *arguments, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_ends_a_run_that_the_same_command_continues(tmp_path: Path) -> None:
    for number in range(40):
        write_scan(tmp_path / "in" / f"c{number:02}.nii")
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from ctct.cli.main import run; run()", "predict"]
    command += [str(tmp_path / "in"), "-o", str(out), "--device", "cpu", "--no-report"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*_seg.nii.gz")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - asked <= 30
    assert process.returncode == 143
    assert "run the same command again to continue" in said
    done = len(list(out.glob("*_seg.nii.gz")))
    assert done < 40
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0
    assert f"{40 - done} done, {done} skipped" in ended.stdout
