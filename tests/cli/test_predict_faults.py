"""`ctct predict` in separate processes: killed, concurrent, on full and read-only disks.

``CTCT_KILLS=50 pytest tests/cli/test_predict_faults.py -k killed`` is the long run.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX"),
]

KILLS = int(os.environ.get("CTCT_KILLS", "4"))
COMMAND = [sys.executable, "-c", "from ctct.cli.main import run; run()", "predict"]


def predict(*arguments: object, **more: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments), "--device", "cpu"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **more)  # type: ignore[call-overload]


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard error."""
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def record(out: Path) -> dict[str, dict[str, str]]:
    """The status of each case."""
    return {case["case"]: case for case in json.loads((out / "run.json").read_text())["cases"]}


def check_whole(out: Path) -> None:
    """Check that every file under its final name is complete."""
    for path in out.rglob("[!.]*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.name.endswith(".nii.gz"):
            image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
            assert np.asarray(image.dataobj).shape == (40, 36, 3), path
        elif path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".csv":
            widths = {len(row) for row in csv.reader(content.decode().splitlines())}
            assert len(widths) <= 1, path
        elif path.suffix == ".html":
            assert content.rstrip().endswith(b"</html>"), path


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(12):
        write_scan(folder / f"case{number:02}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def seconds(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Duration of a complete run with a compiled model in the cache."""
    out = tmp_path_factory.mktemp("whole")
    for name in "ab":
        begun = time.monotonic()
        assert end(predict(scans, "-o", out / name))[0] == 0
    return time.monotonic() - begun


@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_killed_at_any_moment_is_completed_by_the_next(
    number: int, scans: Path, seconds: float, tmp_path: Path
) -> None:
    moment = random.Random(number).uniform(0.2, 1.0) * seconds
    process = predict(scans, "-o", tmp_path)
    time.sleep(moment)
    process.send_signal((signal.SIGKILL, signal.SIGTERM)[number % 2])
    end(process)
    check_whole(tmp_path)
    finished = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*_seg.nii.gz")}
    code, said = end(predict(scans, "-o", tmp_path))
    assert code == 0, said
    check_whole(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*_seg.nii.gz")}
    assert len(written) == 12
    assert finished.items() <= written.items()  # none was made twice
    assert not list(tmp_path.rglob("*.partial"))
    assert {case["status"] for case in record(tmp_path).values()} <= {"done", "skipped"}


def test_temporary_files_of_a_killed_run_are_removed(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "quality").mkdir()
    left = [tmp_path / ".0123.77.partial", tmp_path / "quality" / ".0123.77.partial"]
    for path in left:
        path.write_bytes(b"half")
    assert end(predict(scans / "case00.nii.gz", "-o", tmp_path))[0] == 0
    assert not any(path.exists() for path in left)


def test_two_runs_at_once_in_one_folder(scans: Path, tmp_path: Path) -> None:
    ended = [end(process) for process in [predict(scans, "-o", tmp_path) for _ in range(2)]]
    codes = sorted(code for code, _ in ended)
    # One may have ended before the other began: then there was nothing left to do.
    assert codes in ([0, 2], [0, 0])
    if codes == [0, 2]:
        assert any("another ctct is writing there" in said for _, said in ended)
    check_whole(tmp_path)
    assert len(list(tmp_path.glob("*_seg.nii.gz"))) == 12


def test_one_corrupt_scan_among_many(scans: Path, tmp_path: Path) -> None:
    shutil.copytree(scans, tmp_path / "in")
    whole = (tmp_path / "in" / "case05.nii.gz").read_bytes()
    (tmp_path / "in" / "case05.nii.gz").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    assert end(predict(tmp_path / "in", "-o", out))[0] == 3
    case_statuses = record(out)
    assert [name for name, case in case_statuses.items() if case["status"] == "failed"] == [
        "case05"
    ]
    assert "copy or download it again" in case_statuses["case05"]["reason"]
    (tmp_path / "in" / "case05.nii.gz").write_bytes(whole)
    assert end(predict(tmp_path / "in", "-o", out))[0] == 0
    assert [n for n, case in record(out).items() if case["status"] == "done"] == ["case05"]


def test_a_scan_that_vanishes_after_discovery(scans: Path, tmp_path: Path) -> None:
    shutil.copytree(scans, tmp_path / "in")
    (tmp_path / "in" / "case11.nii.gz").unlink()
    (tmp_path / "in" / "case11.nii.gz").symlink_to(tmp_path / "gone")
    assert end(predict(tmp_path / "in", "-o", tmp_path / "out"))[0] == 3
    assert "no such file" in record(tmp_path / "out")["case11"]["reason"]


def test_results_of_one_case_cannot_be_written(scans: Path, tmp_path: Path) -> None:
    """A folder has the name of one of its files; the other cases are completed."""
    (tmp_path / "quality" / "case05.json").mkdir(parents=True)
    code, said = end(predict(scans, "-o", tmp_path))
    assert code == 3
    assert "case05.json: cannot be written (Is a directory)" in said
    assert [n for n, case in record(tmp_path).items() if case["status"] != "done"] == ["case05"]
    assert end(predict(scans / "case05.nii.gz", "-o", tmp_path))[0] == 2  # none was written
    (tmp_path / "quality" / "case05.json").rmdir()
    assert end(predict(scans, "-o", tmp_path))[0] == 0
    assert len(list(tmp_path.glob("*_seg.nii.gz"))) == 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a given size in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "t", folder])
        if done.returncode:
            pytest.skip("needs the right to mount")
        return folder

    yield mount
    subprocess.run(["umount", folder], stderr=subprocess.DEVNULL)


def test_a_full_disk(scans: Path, tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("48k")
    code, said = end(predict(scans, "-o", disk))
    assert code == 2
    assert "cannot be written (No space left on device)" in said
    assert "Traceback" not in said
    check_whole(disk)
    assert not list(disk.rglob("*.partial"))
    finished = list(disk.glob("*_seg.nii.gz"))
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    assert end(predict(scans, "-o", disk))[0] == 0
    check_whole(disk)
    case_statuses = record(disk).values()
    assert sum(case["status"] == "skipped" for case in case_statuses) == len(finished)
    assert len(list(disk.glob("*_seg.nii.gz"))) == 12


def test_a_disk_that_is_read_only(
    scans: Path, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("8m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, said = end(predict(scans, "-o", disk))
    assert code == 2
    assert "cannot write there (Read-only file system); choose another output folder" in said


def test_files_may_not_grow(scans: Path, tmp_path: Path) -> None:
    """A limit on the file size needs no right to mount."""
    import resource

    process = predict(
        scans,
        "-o",
        tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
    )
    code, said = end(process)
    assert code == 2
    assert "cannot be written (File too large)" in said
    check_whole(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))
    assert end(predict(scans, "-o", tmp_path))[0] == 0
