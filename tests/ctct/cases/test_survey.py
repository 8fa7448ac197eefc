"""A large input is searched folder by folder, with the same outcome as at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests_support import write_scan

pytest.importorskip("pydicom")
from dicom_support import write_cine, zip_folder
from pydicom.fileset import FileSet

from ctct.cases import survey
from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.cases.survey import Request, case_of, find_cases, load_case, make_row, stream_cases
from ctct.errors import InputError


def study(number: int, series: int = 1) -> dict[str, str]:
    return {"StudyInstanceUID": f"1.3.{number}", "SeriesInstanceUID": f"1.3.{number}.{series}"}


def nested(root: Path) -> None:
    """Patients with a folder for each series, one of which is no cine."""
    for patient in (1, 2):
        folder = root / f"p{patient}"
        write_cine(folder / "sax", change=lambda t, z, n=patient: study(n))
        write_cine(folder / "lge", 1, 8, lambda t, z, n=patient: study(n, 2))


def spread(root: Path) -> None:
    """A cine with a folder for each slice, and another study beside them."""
    for place in range(6):
        folder = root / "a" / f"slice{place}"
        write_cine(folder, change=lambda t, z, n=place: study(1) if z == n else None, places=6)
    write_cine(root / "a" / "other", change=lambda t, z: study(2))
    write_cine(root / "b", change=lambda t, z: study(3))


def flat(root: Path) -> None:
    """Several studies in one folder, and zips in one."""
    (root / "zips").mkdir()
    for number in (1, 2):
        folder = write_cine(root.parent / f"t{number}", change=lambda t, z, n=number: study(n))
        zip_folder(folder, root / "zips" / f"z{number}.zip")
        (root / "all").mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.rename(root / "all" / f"{number}_{file.name}")


def disc(root: Path) -> None:
    """A disc that lacks a file of its list."""
    files = FileSet()
    for file in write_cine(root.parent / "source").iterdir():
        files.add(file)
    files.write(root / "disc")
    next(
        p for p in sorted((root / "disc").rglob("*")) if p.is_file() and p.name[:2] == "IM"
    ).unlink()


def files(root: Path) -> None:
    """NIfTI: cines, frames of a patient, label maps, a stack of slices, a file of another kind."""
    for name in ("x/sax", "p1/p1_frame01", "p1/p1_frame12", "p1/p1_frame01_gt", "top"):
        write_scan(root / f"{name}.nii.gz")
    (root / "x" / "notes.mat").write_bytes(b"text")


LAYOUTS = [nested, spread, flat, disc, files]


def describe(case: Case) -> tuple[object, ...]:
    notes = (case.series.notes, case.series.unreadable) if case.series else ()
    return (case.name, case.identity, case.patient, case.number, case.phase, case.slices, notes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_outcome_is_that_of_a_search_at_once(
    layout: Callable[[Path], None], tmp_path: Path
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    layout(root)
    whole, _ = discover([root])
    streamed = list(stream_cases(Request((root,))))
    assert sorted(map(describe, streamed)) == sorted(map(describe, whole))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_case_of_an_index_is_loaded_as_it_was_found(
    layout: Callable[[Path], None], tmp_path: Path
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    layout(root)
    for case, folders in survey.stream_found(Request((root,))):
        listed = case_of(make_row(case, folders))
        assert (listed.name, listed.identity, listed.patient) == (
            case.name,
            case.identity,
            case.patient,
        )
        assert describe(load_case(listed)) == describe(case)


def test_the_first_case_comes_while_others_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MAX_AT_ONCE", 3)
    monkeypatch.setattr(survey, "WINDOW", 2)
    for number in range(8):
        write_scan(tmp_path / f"p{number}" / "sax.nii.gz")
    searched = []
    monkeypatch.setattr(
        survey, "sort_files", lambda *a, of=survey.sort_files: searched.append(a) or of(*a)
    )
    assert isinstance(find_cases(Request((tmp_path,)), at_once=True)[0], list)
    cases, _ = find_cases(Request((tmp_path,)))
    assert not isinstance(cases, list)
    assert next(cases).name == "p0_sax"
    assert len(searched) == 1
    assert [case.name for case in cases] == [f"p{n}_sax" for n in range(1, 8)]


def test_a_small_input_and_inputs_in_one_another_are_searched_at_once(tmp_path: Path) -> None:
    write_scan(tmp_path / "p" / "sax.nii.gz")
    for inputs in ((tmp_path,), (tmp_path, tmp_path / "p")):
        cases, _ = find_cases(Request(inputs))
        assert isinstance(cases, list)
        assert len(cases) == 1


def test_a_second_search_reads_no_header_of_what_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, journal = tmp_path / "in", tmp_path / "survey.jsonl"
    nested(root)
    request = Request((root,))
    first = list(stream_cases(request, journal))
    searched: list[list[Path]] = []
    monkeypatch.setattr(
        survey, "sort_files", lambda *a, of=survey.sort_files: searched.append(a[1]) or of(*a)
    )
    again = list(stream_cases(request, journal))
    assert searched == []
    assert [case.series for case in again] == [None, None]
    assert [(c.name, c.identity) for c in again] == [(c.name, c.identity) for c in first]
    loaded = load_case(again[0])
    assert loaded.series == first[0].series
    assert read_case(loaded).voxels.shape == read_case(first[0]).voxels.shape

    searched.clear()
    next((root / "p2" / "sax").iterdir()).unlink()
    again = list(stream_cases(request, journal))
    assert len(searched) == 1
    assert sorted(case.series is None for case in again) == [False, True]

    with journal.open("ab") as file:  # a run that was killed while it wrote
        file.write(b'{"folders": {"/x"')
    assert len(list(stream_cases(request, journal))) == 2
    searched.clear()
    assert len(list(stream_cases(Request((root,), name_from="file"), journal))) == 2
    assert len(searched) == 2  # of another request


def test_a_scan_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    write_cine(tmp_path / "sax")
    write_scan(tmp_path / "x.nii")
    listed = [case_of(make_row(c, f)) for c, f in survey.stream_found(Request((tmp_path,)))]
    os.utime(tmp_path / "x.nii", (1e9, 1e9))
    next((tmp_path / "sax").iterdir()).unlink()
    for case in listed:
        with pytest.raises(InputError, match="have changed since the index was made"):
            load_case(case)
    shutil.rmtree(tmp_path / "sax")
    (tmp_path / "x.nii").unlink()
    for case in listed:
        with pytest.raises(InputError, match="no such file or folder"):
            load_case(case)


def test_two_scans_of_one_name_are_both_segmented(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_scan(tmp_path / "a" / "b_sax.nii")
    write_scan(tmp_path / "a_b" / "sax.nii")
    one, other = stream_cases(Request((tmp_path,)))
    assert one.name == "a_b_sax"
    assert other.name.startswith("a_b_sax_")
    assert "both called a_b_sax" in caplog.text


def test_a_named_folder_without_a_scan_gets_a_line_in_each_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    write_scan(tmp_path / "full" / "a.nii.gz")
    request = Request((tmp_path / "empty", tmp_path / "full"))
    for _ in range(2):  # the second one reads the journal
        caplog.clear()
        assert len(list(stream_cases(request, tmp_path / "journal"))) == 1
        assert caplog.messages == [f"{tmp_path / 'empty'}: no scan found there"]


def test_a_link_that_is_not_followed_gets_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_scan(tmp_path / "a.nii.gz")
    (tmp_path / "again").symlink_to(tmp_path)
    find_cases(Request((tmp_path,)))
    assert caplog.messages == [
        f"{tmp_path / 'again'}: a link to a folder, not followed; name it instead"
    ]


def test_nothing_to_be_found(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(InputError, match="no scan found"):
        list(stream_cases(Request((tmp_path,))))
    with pytest.raises(InputError, match="no such file or folder"):
        find_cases(Request((tmp_path / "gone",)))
