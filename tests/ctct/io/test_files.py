from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ctct.errors import InputError
from ctct.io.files import case_name, open_file


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/patient001.nii.gz", "patient001"),
        ("a/patient001.nii", "patient001"),
        ("patient001.NII.GZ", "patient001"),
        ("a.b/p.1.nii.gz", "p.1"),
        ("a/scan.MHA", "scan"),
        ("a/scan.seg.nrrd", "scan.seg"),
        ("a/IM0001", "IM0001"),
    ],
)
def test_case_name(path: str, name: str) -> None:
    assert case_name(Path(path)) == name


def test_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with open_file(tmp_path / "a") as file:
        assert file.read() == b"content"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InputError, match=rf"{path}: a pipe or device; give a regular file"):
            open_file(path)
