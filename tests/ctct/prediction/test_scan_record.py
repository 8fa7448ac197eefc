"""A scan is known by its content: moved or copied it is the same, overwritten it is another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ctct.cases.case import Case
from ctct.errors import InputError
from ctct.prediction.scan_record import ScanRecord, keep_names


def stack(folder: Path, count: int = 3) -> Case:
    """A scan of several files, with their numbers as content."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{n}.nii").write_text(f"{n:02}")
    return Case(folder, "x", slices=tuple(sorted(folder.iterdir())))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return stack(tmp_path / "a")


def test_an_untouched_scan(case: Case) -> None:
    record = ScanRecord.of(case)
    assert record.is_untouched(case)
    assert record.has_content_of(case)
    assert record.bytes == 6


def test_new_times_and_another_place_change_nothing(case: Case, tmp_path: Path) -> None:
    record = ScanRecord.of(case)
    os.utime(case.slices[0], (1e9, 1e9))
    assert not record.is_untouched(case)
    assert record.has_content_of(case)
    shutil.copytree(case.path, tmp_path / "b")
    moved = Case(tmp_path / "b", "x", slices=tuple(sorted((tmp_path / "b").iterdir())))
    assert not record.is_untouched(moved)
    assert record.has_content_of(moved)


@pytest.mark.parametrize("change", ["add", "remove", "replace", "replace and keep the times"])
def test_a_change_of_any_file_is_seen(case: Case, change: str) -> None:
    record = ScanRecord.of(case)
    path = case.slices[1]
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    if change == "add":
        (case.path / "9.nii").write_text("09")
    elif change == "remove":
        path.unlink()
    else:
        path.write_text("77")
        if change != "replace":
            os.utime(path, ns=times)
    changed = Case(case.path, "x", slices=tuple(sorted(case.path.iterdir())))
    assert not record.is_untouched(changed)
    assert not record.has_content_of(changed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.nii")
    with pytest.raises(InputError, match="a pipe or device"):
        ScanRecord.of(Case(tmp_path / "x.nii", "x"))


def test_a_scan_keeps_the_name_of_its_results(caplog: pytest.LogCaptureFixture) -> None:
    cases = [Case(Path("/in/p1/SAX"), "p1_SAX"), Case(Path("/in/p2/SAX"), "p2_SAX")]
    kept = keep_names(cases, {"SAX": "/in/p1/SAX"})
    assert [(case.name, case.patient) for case in kept] == [("SAX", "SAX"), ("p2_SAX", "p2_SAX")]
    both = {"SAX": "/in/p1/SAX", "p1_SAX": "/in/p1/SAX"}
    assert keep_names(cases, both) == cases
    assert "those of SAX are not used, remove them" in caplog.text
    assert keep_names(cases, {"SAX": "/elsewhere/SAX"}) == cases
    frame = Case(Path("/in/p/f.nii"), "p_frame01")
    (kept_frame,) = keep_names([frame], {"old": "/in/p/f.nii"})
    assert (kept_frame.name, kept_frame.patient, kept_frame.number) == ("old", "p", 1)
