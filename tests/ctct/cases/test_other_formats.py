from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.cases.discover import discover, list_scans
from ctct.cases.other_formats import explain_format, explain_formats
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError

DICOM = bytes(128) + b"DICM" + bytes(300)

#: Name, content, what the message calls it, and the remedy.
FILES = [
    ("scan.hdr", b"", "NIfTI in two files", "nib-convert FILE.hdr scan.nii.gz"),
    ("scan.img.gz", b"", "NIfTI in two files", "nib-convert"),
    ("scan.nii.xz", b"", "not by gzip", "unpack it"),
    ("scan.nii.bz2", b"", "not by gzip", "unpack it"),
    ("im0001.dcm.gz", gzip.compress(DICOM), "a compressed DICOM file", "unpack it"),
    ("im0001.gz", gzip.compress(DICOM), "a compressed DICOM file", "unpack it"),
    ("study.tar.gz", gzip.compress(bytes(1024)), "an archive", "give the folder"),
    ("study.tgz", b"", "an archive", "give the folder"),
    ("study.7z", b"", "an archive", "give the folder"),
    ("study.RAR", b"", "an archive", "give the folder"),
    ("scan.mgz", gzip.compress(bytes(300)), "FreeSurfer", "nib-convert"),
    ("scan.mnc", b"", "MINC", "nib-convert"),
    ("scan.PAR", b"", "PAR/REC", "parrec2nii"),
    ("scan+orig.BRIK", b"", "AFNI", "nib-convert"),
    ("scan.vtk", b"", "VTK", "export"),
    ("scan.mat", b"", "an array", "save it as NIfTI"),
    ("scan.h5", b"", "an array", "save it as NIfTI"),
    ("slice.png", b"", "a picture", "export the scan as DICOM or NIfTI"),
    ("slice.JPG", b"", "a picture", "export the scan as DICOM or NIfTI"),
]


@pytest.mark.parametrize(("name", "content", "what", "remedy"), FILES, ids=[f[0] for f in FILES])
def test_each_format_is_named_with_the_remedy(
    tmp_path: Path, name: str, content: bytes, what: str, remedy: str
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError) as in_folder:
        (case,), _ = discover([path.parent])
        read_case(case)  # what looks like a lost scan is a case that fails
    with pytest.raises(InputError) as named:
        read_study(path)
    for error in (in_folder, named):
        assert all(word in str(error.value) for word in (name, what, remedy))


def test_zips_without_dicom(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.nii.gz")
    for name in ("nifti", "nested"):
        inner = "scan.nii.gz" if name == "nifti" else "inner.zip"
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(inner, (tmp_path / "scan.nii.gz").read_bytes())
        folder = tmp_path / name
        folder.mkdir()
        path = (tmp_path / f"{name}.zip").rename(folder / "a.zip")
        for read in (lambda f=folder: discover([f]), lambda p=path: read_study(p)):
            found = " but scan.nii.gz; unpack it" if name == "nifti" else "; unpack other files"
            with pytest.raises(InputError, match=rf"a\.zip: holds no DICOM{found}"):
                read()


def test_nifti_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_scan(tmp_path / "scan.nii.gz")
    path = (tmp_path / "scan.nii.gz").rename(tmp_path / "in" / "scan.nii.gz.1")
    with pytest.raises(InputError, match=r"NIfTI; give it a name that ends in \.nii"):
        discover([path.parent])
    assert read_study(path).slices == 3  # given by itself it is read


def test_a_nifti_pair(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(np.zeros((40, 40, 3), np.int16), np.eye(4)), tmp_path / "scan.hdr")
    with pytest.raises(InputError, match="NIfTI in two files"):
        discover([tmp_path / "scan.hdr"]) and read_study(tmp_path / "scan.hdr")


def test_other_files_beside_a_scan_are_listed_and_the_scan_is_taken(tmp_path: Path) -> None:
    write_scan(tmp_path / "scan.nii.gz")
    for n in range(3):
        (tmp_path / f"{n}.mgz").touch()
    for name in ("notes.txt", "montage.png"):
        (tmp_path / name).touch()
    (cases, _), scans = discover([tmp_path]), list_scans([tmp_path])
    assert [case.name for case in cases] == ["scan"]
    (kind,) = scans.other_formats
    assert "0.mgz and 2 more: FreeSurfer" in kind


def test_files_that_are_nothing_like_a_scan_are_not_explained(tmp_path: Path) -> None:
    for name in ("notes.txt", "table.csv", "report.html", "Info.cfg", "image.raw", "empty"):
        (tmp_path / name).write_bytes(b"text")
    (tmp_path / "image.dcm").write_bytes(DICOM)
    assert explain_formats(sorted(tmp_path.iterdir())) == []
    assert explain_format(tmp_path / "nowhere") == ""


def test_a_dicomdir_without_images(tmp_path: Path) -> None:
    from pydicom.fileset import FileSet

    FileSet().write(tmp_path)
    assert (tmp_path / "DICOMDIR").exists()
    for given in (tmp_path, tmp_path / "DICOMDIR"):
        with pytest.raises(InputError, match="DICOMDIR: a list of DICOM files, without the files"):
            discover([given])


def test_a_dicomdir_without_images_beside_a_study(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dicom_support import write_cine
    from pydicom.fileset import FileSet

    for folder in ("lost", "copied"):
        (tmp_path / folder).mkdir()
        FileSet().write(tmp_path / folder)
    write_cine(tmp_path / "copied" / "images")
    assert len(discover([tmp_path])[0]) == 1
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'lost' / 'DICOMDIR'}: a list of DICOM files, without")
