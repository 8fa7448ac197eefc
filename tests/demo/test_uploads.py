"""Where uploads live, who may have them labelled, when they are deleted, which zips are refused."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ctct.errors import InputError

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo import reading, uploads
from ctct.demo.settings import Quotas
from ctct.demo.visits import owner_of, uploading

ALICE, BOB = "cookie of Alice", "cookie of Bob"
TAB = "a tab"


@pytest.fixture
def scans(tmp_path: Path) -> uploads.Uploads:
    folder = tmp_path.resolve() / "private"
    folder.mkdir()
    return uploads.Uploads(folder)


@pytest.fixture
def arrive(scans: uploads.Uploads) -> Callable[..., Path]:
    """Put an upload where Gradio would put it."""

    def call(visitor: str = ALICE, name: str = "scan.nii.gz") -> Path:
        group = owner_of(visitor)  # each is a user of their own
        path = scans.arrived / f"{owner_of(visitor)}-{group}-{os.urandom(4).hex()}" / name
        path.parent.mkdir()
        path.write_bytes(b"voxels")
        return path

    return call


def make_old(*paths: Path, seconds: float = uploads.ABANDONED_S + 1) -> None:
    for path in paths:
        os.utime(path, times=(time.time() - seconds,) * 2)


def files_in(scans: uploads.Uploads) -> list[Path]:
    return [path for path in scans.arrived.parent.rglob("*") if not path.is_dir()]


def test_a_scan_has_its_own_folder_until_it_was_read(
    scans: uploads.Uploads, arrive: Callable[..., Path]
) -> None:
    first, second = arrive(), arrive()
    paths = [scans.take(upload, ALICE, TAB) for upload in (first, second)]
    assert paths[0] != paths[1]
    assert list(scans.arrived.iterdir()) == []
    scans.discard(paths[1])
    with pytest.raises(ZeroDivisionError), scans.claim(paths[0]) as path:
        scans.discard(paths[0])  # its visitor sends another one
        assert path.read_bytes() == b"voxels"
        raise ZeroDivisionError
    assert files_in(scans) == []
    with scans.claim(paths[0]) as path:
        assert path is None


def test_only_a_file_in_an_own_upload_folder_is_taken_and_nothing_else_is_deleted(
    scans: uploads.Uploads, arrive: Callable[..., Path], tmp_path: Path
) -> None:
    own, other, waiting = arrive(), arrive(BOB), scans.take(arrive(BOB), BOB, TAB)
    outside = tmp_path / "elsewhere" / "x.nii"
    outside.parent.mkdir()
    outside.write_bytes(b"a file of the server")
    beside = scans.arrived / "x.nii"  # as a file that Gradio makes
    beside.write_bytes(b"")
    link = own.parent / "link.nii"
    link.symlink_to(outside)
    linked_folder = scans.arrived / f"{owner_of(ALICE)}-1"
    linked_folder.symlink_to(outside.parent)
    fifo = own.parent / "fifo.nii"
    os.mkfifo(fifo)
    named: list[str | Path] = [
        *(other, waiting, outside, beside, link, linked_folder / "x.nii", fifo),
        *(own.parent, scans.arrived, scans.arrived.parent, own.with_name("missing.nii")),
        *(own.parent / "..", own.parent / ".." / other.parent.name / other.name, own.parent / "."),
        *(f"{own.parent}/../../../elsewhere/x.nii", f"{own}\0", "", ".", "/", "/etc/passwd"),
        *("x" * 5000, os.path.relpath(own), f"{own.parent}/x/../{own.name}"),
    ]
    before = sorted(map(str, tmp_path.rglob("*")))
    for path in named:
        with pytest.raises(InputError, match="not among your uploads"):
            scans.take(path, ALICE, TAB)
        scans.discard(str(path) if str(path) != waiting else "")
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    scans.take(own, ALICE, TAB)
    with pytest.raises(InputError, match=r"scan\.nii\.gz: not among your uploads; upload it again"):
        scans.take(own, ALICE, TAB)
    assert other.exists()
    assert Path(waiting).exists()


def test_what_waits_goes_with_the_last_connection_of_its_tab(
    scans: uploads.Uploads, arrive: Callable[..., Path]
) -> None:
    with scans.visits.connection(owner_of(ALICE), "other tab"):
        with scans.visits.connection(owner_of(ALICE), TAB):
            scan = Path(scans.take(arrive(), ALICE, TAB))
            kept = Path(scans.add("sample.nii.gz", b"voxels", "other tab"))
            with scans.visits.connection(owner_of(ALICE), TAB):
                pass
            assert scan.exists()
        assert not scan.parent.exists()
        assert kept.exists()
    assert files_in(scans) == []


def test_the_sweep_deletes_what_nobody_waits_for(
    scans: uploads.Uploads, arrive: Callable[..., Path]
) -> None:
    arrived = {visitor: arrive(visitor) for visitor in (ALICE, BOB, "")}
    late = Path(scans.take(arrive(), ALICE, "a tab that was closed before"))
    waiting = Path(scans.take(arrive(), ALICE, TAB))
    scans.sweep()
    assert len(files_in(scans)) == 5
    make_old(*(path.parent for path in (*arrived.values(), late, waiting)))
    with scans.visits.connection(owner_of(ALICE), TAB):
        scans.sweep()
        assert set(files_in(scans)) == {arrived[ALICE], arrived[""], waiting}
        make_old(*(path.parent for path in files_in(scans)), seconds=uploads.UNUSED_S + 1)
        scans.sweep()
        assert files_in(scans) == []


def test_an_upload_that_breaks_off_leaves_nothing(scans: uploads.Uploads) -> None:
    from gradio import route_utils

    partial = scans.arrived / "tmp1"
    with pytest.raises(ConnectionError), uploading(owner_of(ALICE)), partial.open("wb") as stream:
        upload = route_utils.GradioUploadFile(stream, size=0, filename="scan.nii")
        stream.write(b"half of a scan")
        upload.sha.update(b"half of a scan")
        assert upload.sha.hexdigest().startswith(owner_of(ALICE) + "-")
        raise ConnectionError
    assert files_in(scans) == []


def test_uploads_have_a_limit_in_sum_and_for_each_visitor(
    tmp_path: Path, arrive: Callable[..., Path], scans: uploads.Uploads
) -> None:
    scans._quotas = Quotas(visitor_bytes=90_000, bytes_in_sum=120_000)  # folders count, too
    alice, bob = owner_of(ALICE), owner_of(BOB)
    with scans.room(60_000, alice) as fits, scans.room(60_000, alice) as both_fit:
        assert (fits, both_fit) == (True, False)
        with scans.room(50_000, bob) as fits, scans.room(20_000, "") as all_fit:
            assert (fits, all_fit) == (True, False)
    upload = arrive()
    upload.write_bytes(bytes(60_000))
    with scans.room(60_000, alice) as fits, scans.room(30_000, bob) as other_fits:
        assert (fits, other_fits) == (False, True)
    taken = scans.take(upload, ALICE, TAB)
    with scans.room(60_000, alice) as fits:
        assert not fits
    scans.discard(taken)
    with scans.room(60_000, alice) as fits:
        assert fits


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(name, bytes(2**20))
            archive.getinfo(name).file_size = 400 * 2**20  # a claim is enough
    with pytest.raises(InputError, match=r"bomb\.zip: unpacks to 1200 MB in 3 files, .* 1024 MB"):
        reading.check_zip(bomb)


def test_a_zip_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for n in range(3):
            archive.writestr(str(n), b"")
    reading.check_zip(many)
    monkeypatch.setattr(reading, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match=r"0 MB in 3 files"):
        reading.check_zip(many)


def test_other_files_are_accepted(tmp_path: Path) -> None:
    reading.check_zip(tmp_path / "scan.nii.gz")


def test_files_that_belong_together_have_one_folder(
    scans: uploads.Uploads, arrive: Callable[..., Path]
) -> None:
    names = ("p_ED.nii.gz", "p_ES.nii.gz")
    taken = scans.take_together([arrive(name=name) for name in names], ALICE, TAB)
    with scans.claim(taken) as folder:
        assert folder is not None
        assert sorted(path.name for path in folder.iterdir()) == list(names)
    assert files_in(scans) == []
    with pytest.raises(InputError, match="two of the files have this name"):
        scans.take_together([arrive(), arrive()], ALICE, TAB)
    with pytest.raises(InputError, match="not among your uploads"):
        scans.take_together([arrive(), arrive(BOB, "other.nii.gz")], ALICE, TAB)
    assert list(scans.arrived.parent.joinpath("waiting").iterdir()) == []
