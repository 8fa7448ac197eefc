from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctct.errors import OutputError
from ctct.storage import alone_in

HOLD = """
import sys, time
from pathlib import Path
from ctct.storage import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_kept_out_until_the_first_ends(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another ctct is writing there"), alone_in(tmp_path):
            pass
        with alone_in(tmp_path / "elsewhere"):
            pass
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 10
    while True:
        try:
            with alone_in(tmp_path):
                break
        except OutputError:
            assert time.monotonic() < until
    assert not list(tmp_path.iterdir())


def test_without_a_place_for_locks_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "file"))
    with alone_in(tmp_path):
        pass
