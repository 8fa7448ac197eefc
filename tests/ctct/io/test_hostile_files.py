"""Damaged and malicious files, special files, and unusual names."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fuzz_nifti
import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.cases.case import MAX_NAME_BYTES
from ctct.cases.discover import discover
from ctct.errors import InputError
from ctct.io import nifti
from ctct.io.nifti import read_nifti
from ctct.storage import write_atomic

posix = pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")


@posix
def test_damaged_files_give_a_study_or_an_input_error() -> None:
    tally = fuzz_nifti.run(600)
    assert tally.failures == []
    assert set(tally.outcomes) == {"Study", "InputError"}  # both ways are taken
    assert tally.slowest_s < 2


PEAK = """
import resource, sys
from ctct.errors import InputError
from ctct.io.nifti import read_nifti
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(read_nifti(sys.argv[1]).voxels.nbytes // 2**20, end=" ")
except InputError as error:
    print("refused" if "GiB" in str(error) else "truncated", end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def packed_zeros(path: Path, shape: tuple[int, int, int, int], mib: int) -> Path:
    """A header for ``shape`` of 16-bit numbers, and ``mib`` MiB of zeros, packed."""
    header = bytearray(
        nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.int16), np.eye(4)).to_bytes()[:352]
    )
    struct.pack_into("<5h", header, 40, 4, *shape)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(mib):
            file.write(bytes(2**20))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the units are those of Linux")
@pytest.mark.parametrize(
    ("shape", "mib", "outcome", "max_mb"),
    [
        ((512, 512, 16, 48), 385, "768", 1500),  # the largest that is taken
        ((512, 512, 16, 49), 385, "refused", 50),
        ((32000, 32000, 600, 1), 500, "refused", 50),
        ((512, 512, 16, 40), 10, "truncated", 100),  # promised memory is not taken before it fills
    ],
)
def test_memory_is_bounded_for_any_size_in_the_header(
    shape: tuple[int, int, int, int], mib: int, outcome: str, max_mb: int, tmp_path: Path
) -> None:
    path = packed_zeros(tmp_path / "bomb.nii.gz", shape, mib)
    assert path.stat().st_size < 5e6
    said = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == outcome
    assert int(said[1]) <= max_mb


class TestChangedWhileRead:
    """Files of several chunks that change between the first and the last read."""

    @pytest.mark.parametrize("change", ["written", "longer"])
    def test_changed_while_read(
        self, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "scan.nii"
        write_scan(path)
        check = nifti._parse_header

        def change_then_check(of: Path, head: bytes) -> object:
            with path.open("ab" if change == "longer" else "r+b") as file:
                file.write(b"more" if change == "longer" else head)
            os.utime(path, ns=(0, 1))
            return check(of, head)

        monkeypatch.setattr(nifti, "_parse_header", change_then_check)
        with pytest.raises(InputError, match="changed while it was read; run again"):
            read_nifti(path)

    def test_truncated_while_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "scan.nii"
        write_scan(path, (400, 400, 10))
        check = nifti._parse_header

        def cut_then_check(of: Path, head: bytes) -> object:
            os.truncate(path, 600)
            return check(of, head)

        monkeypatch.setattr(nifti, "_parse_header", cut_then_check)
        with pytest.raises(InputError, match="truncated"):
            read_nifti(path)

    @posix
    def test_removed_while_read_is_read_to_its_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "scan.nii"
        array = write_scan(path)
        check = nifti._parse_header

        def remove_then_check(of: Path, head: bytes) -> object:
            path.unlink()
            return check(of, head)

        monkeypatch.setattr(nifti, "_parse_header", remove_then_check)
        np.testing.assert_array_equal(read_nifti(path).voxels[0], array.T)


@posix
class TestSpecialFiles:
    def test_a_pipe_is_refused_without_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.nii.gz")
        ((case,), _) = discover([tmp_path])
        with pytest.raises(InputError, match="a pipe or device; give a regular file"):
            read_nifti(case.path)

    def test_a_device(self) -> None:
        with pytest.raises(InputError, match=r"/dev/zero: a pipe or device"):
            read_nifti("/dev/zero")

    def test_links_in_a_circle(self, tmp_path: Path) -> None:
        (tmp_path / "a.nii").symlink_to(tmp_path / "b.nii")
        (tmp_path / "b.nii").symlink_to(tmp_path / "a.nii")
        cases, _ = discover([tmp_path])
        assert len(cases) == 2
        for case in cases:
            with pytest.raises(InputError, match="cannot be read"):
                read_nifti(case.path)

    def test_files_and_folders_without_permission(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_scan(tmp_path / "closed.nii")
        write_scan(tmp_path / "folder" / "x.nii")
        monkeypatch.chdir(tmp_path)  # so that no folder above is looked at
        Path("closed.nii").chmod(0)
        Path("folder").chmod(0)
        tmp_path.chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            ((case,), _) = discover(["."])
            with pytest.raises(InputError, match=r"closed\.nii: cannot be read .*denied"):
                read_nifti(case.path)
        finally:
            if root:
                os.seteuid(0)
            Path("folder").chmod(0o755)
        assert "folder: cannot be read (Permission denied); skipped" in caplog.text


#: Names of files and the names of their cases; None: a shortened or mended one.
NAMES = {
    "Ä ö ß": "Ä ö ß",
    "心臓": "心臓",
    "сердце": "сердце",
    "قلب": "قلب",
    "🫀": "🫀",
    " leading and trailing ": " leading and trailing ",
    'it\'s "quoted"; $(rm) & <b>': 'it\'s "quoted"; $(rm) & <b>',
    "-o": "-o",
    "two\nlines\t\x1b[31m": None,
    "x" * 247: None,  # 251 bytes with .nii, 258 with _seg.nii.gz
    "心" * 82: None,  # 246 bytes
    "not\udcffutf8": None,
}


@posix
@pytest.mark.slow
def test_names_of_every_kind_give_files_and_rows(
    ctct: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in NAMES:
        try:
            write_atomic(tmp_path / "in" / f"{name}.nii", b"")
        except OSError:
            pytest.skip(f"the file system does not take {name!r}")
        write_scan(tmp_path / "scan.nii")
        (tmp_path / "in" / f"{name}.nii").write_bytes((tmp_path / "scan.nii").read_bytes())
    cases, _ = discover([tmp_path / "in"])
    found = {case.path.name.removesuffix(".nii"): case.name for case in cases}
    assert found.keys() == NAMES.keys()
    assert len(set(found.values())) == len(NAMES)
    for file, name in NAMES.items():
        assert found[file] == name or name is None
        assert len(found[file].encode()) <= MAX_NAME_BYTES
        assert found[file].isprintable()
    outcome = ctct("predict", tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu")
    assert outcome[0] == 0, outcome[2]
    written = {path.name for path in (tmp_path / "out").glob("*_seg.nii.gz")}
    assert written == {f"{name}_seg.nii.gz" for name in found.values()}
    # The same names again, so that a second run goes on where this one stopped.
    assert [case.name for case in discover([tmp_path / "in"])[0]] == list(found.values())


def test_a_warning_is_one_line_for_any_name(
    ctct: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    image = nib.Nifti1Image(np.arange(40 * 40 * 2, dtype=np.int16).reshape(40, 40, 2), np.eye(4))
    image.header["pixdim"][1:4] = 1.5, 1.5, 8
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.nii").write_bytes(image.to_bytes())
    (tmp_path / "in" / "two\nlines\x1b[31m.vtk").write_bytes(b"")  # skipped with a warning
    code, _, said = ctct("predict", tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert r"two\nlines\x1b[31m.vtk: VTK" in said
    assert "\x1b" not in said


def test_an_error_is_one_line_for_any_name(
    ctct: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "two\nlines\x1b[31m.nii"
    path.write_text("no scan")
    code, _, said = ctct("predict", path, "-o", tmp_path / "out", "--device", "cpu")
    assert code == 4
    assert r"two\nlines\x1b[31m.nii: not a NIfTI file" in said
    assert "\x1b" not in said


def test_names_that_differ_in_a_dot_give_different_files(tmp_path: Path) -> None:
    for name in ("x.nii", "x_nii.nii", "x.nii.nii"):
        (tmp_path / name).touch()
    assert [case.name for case in discover([tmp_path])[0]] == ["x", "x.nii", "x_nii"]
