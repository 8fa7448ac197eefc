"""Calls in another process: results, errors, logs and warnings arrive, and its end is survived."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from child_process_support import complain, count, fill, loop

from ctct import child_process
from ctct.child_process import ChildError, TimedOutError, call_apart
from ctct.errors import InputError

LIMITS = {"deadline_s": 60.0, "max_bytes": 2**24}


def test_arrays_come_back_as_they_are_and_can_be_written_to() -> None:
    pid, numbers, others = call_apart(count, 1_000_000, **LIMITS)
    here = count(1_000_000)
    assert pid != os.getpid()
    np.testing.assert_array_equal(numbers, here[1])
    for other, expected in zip(others, here[2], strict=True):
        np.testing.assert_array_equal(other, expected)
    numbers[0, 0] = 7
    assert call_apart(count, 2, **LIMITS)[0] == pid  # the process stays
    assert numbers[0, 0] == 7


def test_errors_logs_and_warnings_arrive(caplog: pytest.LogCaptureFixture) -> None:
    with (
        pytest.warns(RuntimeWarning, match="as of numpy"),
        caplog.at_level("INFO", "ctct"),
        pytest.raises(InputError, match=r"^scan\.zip: damaged$"),
    ):
        call_apart(complain, InputError("scan.zip: damaged"), **LIMITS)
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ctct.io", "WARNING", "scan.zip is odd")
    ]
    caplog.clear()
    with (
        pytest.warns(RuntimeWarning),
        caplog.at_level("DEBUG", "ctct"),
        pytest.raises(InputError),
    ):
        call_apart(complain, InputError("x"), **LIMITS)
    assert "in complain" in caplog.records[-1].getMessage()  # where it was raised
    with pytest.warns(RuntimeWarning), pytest.raises(RuntimeError, match="OddError: 1 and 2"):
        call_apart(complain, "odd", **LIMITS)


def test_a_silenced_logger_stays_silent(caplog: pytest.LogCaptureFixture) -> None:
    logging.disable(logging.CRITICAL)
    try:
        with pytest.warns(RuntimeWarning), pytest.raises(InputError):
            call_apart(complain, InputError("x"), **LIMITS)
    finally:
        logging.disable(logging.NOTSET)
    assert not caplog.records


def test_after_the_deadline_it_is_killed_and_the_next_call_gets_another() -> None:
    pid = call_apart(count, 2, **LIMITS)[0]
    begun = time.monotonic()
    with pytest.raises(TimedOutError):
        call_apart(loop, deadline_s=0.5, max_bytes=2**24)
    assert time.monotonic() - begun < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert call_apart(count, 2, **LIMITS)[0] != pid


def test_it_may_crash_be_killed_or_end() -> None:
    with pytest.raises(ChildError):
        call_apart(os.abort, **LIMITS)
    with pytest.raises(ChildError):
        call_apart(os._exit, 0, **LIMITS)
    pid = call_apart(count, 2, **LIMITS)[0]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert call_apart(count, 2, **LIMITS)[0] != pid


@pytest.mark.skipif(sys.platform != "linux", reason="limits differ")
def test_its_memory_is_limited_by_each_call() -> None:
    with pytest.raises(MemoryError):
        call_apart(fill, 2**30, **LIMITS)
    assert call_apart(fill, 2**29, deadline_s=60, max_bytes=2**29) == 2**29
    with pytest.raises(MemoryError):
        call_apart(fill, 2**29, **LIMITS)


def test_relative_paths_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call_apart(Path.cwd, **LIMITS) == Path.cwd()
    monkeypatch.chdir(tmp_path)
    assert call_apart(Path.cwd, **LIMITS) == Path.cwd()


def test_calls_of_several_threads_run_side_by_side() -> None:
    before = threading.active_count()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda n: call_apart(count, n, **LIMITS)[1].size, [10, 20, 30, 40]))
    assert found == [10, 20, 30, 40]
    assert threading.active_count() <= before + 4  # two children, each with its reader and writer


def test_ctrl_c_does_not_end_it() -> None:
    pid = call_apart(count, 2, **LIMITS)[0]
    os.kill(pid, signal.SIGINT)
    assert call_apart(count, 2, **LIMITS)[0] == pid


def fork_and_call() -> int:
    return call_apart(os.getpid, **LIMITS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_starts_its_own() -> None:
    mine = call_apart(os.getpid, **LIMITS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(fork_and_call) != mine
    assert call_apart(os.getpid, **LIMITS) == mine


ORPHAN = """
import os, sys, time
from ctct.child_process import call_apart
print(call_apart(os.getpid, deadline_s=60, max_bytes=2**24), flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("how", ["end", "kill"])
def test_it_ends_with_its_parent(how: str) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", ORPHAN, how], capture_output=True, text=True, timeout=60
    )
    assert parent.stderr == ""
    for _ in range(100):
        try:
            os.kill(int(parent.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("it is still there")


def test_no_process_waits_after_the_clean_up() -> None:
    pid = call_apart(os.getpid, **LIMITS)
    child_process.end_idle()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
