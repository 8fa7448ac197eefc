"""DICOM files in zips, and files that are not DICOM."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
from dicom_support import write_cine, zip_folder

from ctct.cases.discover import discover
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError
from ctct.io.dicom import files as dicom_files
from ctct.io.dicom.files import DicomFile, Opener, is_dicom, is_zip, zip_members


def test_dicom_is_recognized_by_its_prefix_and_a_zip_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "a.dcm").write_bytes(b"DICM")
    assert is_dicom(tmp_path / "IM1")
    assert not is_dicom(tmp_path / "a.dcm")
    assert not is_dicom(tmp_path / "none")
    assert not is_dicom(tmp_path)
    assert is_zip(Path("A.ZIP"))
    assert not is_zip(Path("zip"))


def test_members_of_a_zip_without_hidden_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("b/IM2", "b/IM1", ".hidden/IM3", "b/.IM4", "__MACOSX/b/IM5"):
            archive.writestr(name, bytes(128) + b"DICM" + name.encode())
        archive.writestr("b/notes.txt", "no image")
    assert zip_members(path) == [DicomFile(path, "b/IM1"), DicomFile(path, "b/IM2")]
    with Opener() as opener:
        assert opener(DicomFile(path, "b/IM1")).read().endswith(b"DICMb/IM1")
        assert opener.archive(path) is opener.archive(path)


def test_a_password_is_named_as_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("IM1", b"secret")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zip: protected by a password; unpack it"):
        zip_members(path)


def test_a_file_above_the_limit_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_files, "MAX_BYTES", 99)
    (tmp_path / "IM1").write_bytes(bytes(100))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IM1", bytes(100))
    with Opener() as opener:
        for file in (DicomFile(tmp_path / "IM1"), DicomFile(tmp_path / "a.zip", "IM1")):
            with pytest.raises(ValueError, match="GiB, the limit is"):
                opener(file)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"x"])
def test_refuses_a_damaged_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zip: not a usable zip"):
        read_study(tmp_path / "a.zip")


class TestZip:
    def test_no_dicom_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "notes.txt").write_text("no image")
        path = zip_folder(tmp_path / "in", tmp_path / "a.zip")
        with pytest.raises(InputError, match=r"a.zip: holds no DICOM"):
            read_study(path)

    def test_nothing_is_unpacked_to_its_member_names(self, tmp_path: Path) -> None:
        folder = write_cine(tmp_path / "in" / "cine")
        with zipfile.ZipFile(tmp_path / "in" / "evil.zip", "w") as archive:
            for n, file in enumerate(sorted(folder.iterdir())):
                archive.write(file, f"../../{n}/../IM{n}")
        before = sorted(tmp_path.rglob("*"))
        ((case,), _) = discover([tmp_path / "in" / "evil.zip"])
        assert read_case(case).frames == 8
        assert sorted(tmp_path.rglob("*")) == before

    def test_too_large_when_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = zip_folder(write_cine(tmp_path / "cine"), tmp_path / "a.zip")
        monkeypatch.setattr(dicom_files, "MAX_ZIP_BYTES", 40_000)
        with pytest.raises(InputError, match=r"a.zip: unpacks to .* unpack it yourself"):
            read_study(path)

    def test_truncated(self, tmp_path: Path) -> None:
        path = zip_folder(write_cine(tmp_path / "cine"), tmp_path / "a.zip")
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match=r"a\.zip: not a usable zip"):
            read_study(path)
