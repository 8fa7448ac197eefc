"""Where uploads live, and which zips are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ctct.errors import InputError

uploads = pytest.importorskip("ctct.demo.uploads", reason="needs pip install 'ctct[demo]'")


def test_a_scan_has_its_own_folder_until_it_was_used(tmp_path: Path) -> None:
    scans = uploads.Uploads(tmp_path / "private")
    (tmp_path / "private").mkdir()
    paths = []
    for _ in range(2):
        upload = tmp_path / "abc" / "scan.nii.gz"
        upload.parent.mkdir()
        upload.write_bytes(b"voxels")
        paths.append(scans.take(upload))
        assert not upload.parent.exists()
    assert paths[0] != paths[1]
    scans.discard(paths[1])
    with pytest.raises(ZeroDivisionError), scans.in_use(paths[0]) as path:
        scans.discard(paths[0])  # its visitor sends another one
        assert path.read_bytes() == b"voxels"
        raise ZeroDivisionError
    assert list((tmp_path / "private").iterdir()) == []


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(name, bytes(2**20))
            archive.getinfo(name).file_size = 400 * 2**20  # a claim is enough
    with pytest.raises(InputError, match=r"bomb\.zip: unpacks to 1200 MB in 3 files, .* 1024 MB"):
        uploads.check_zip(bomb)


def test_a_zip_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for n in range(3):
            archive.writestr(str(n), b"")
    uploads.check_zip(many)
    monkeypatch.setattr(uploads, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match=r"0 MB in 3 files"):
        uploads.check_zip(many)


def test_other_files_are_accepted(tmp_path: Path) -> None:
    uploads.check_zip(tmp_path / "scan.nii.gz")
