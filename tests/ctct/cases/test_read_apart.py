"""Scans read in another process are the same, and a deadline ends what takes too long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_support import write_cine, zip_folder
from tests_support import write_scan

from ctct import child_process
from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import read_case, read_here
from ctct.errors import ConfigError, InputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder

SOON = 0.001
LATE = r"not read after 0\.001 seconds; .* --deadline allows more time"


def write_mha(path: Path) -> Path:
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 40, 36), np.int16)), str(path))
    return path


def scans(folder: Path) -> dict[str, Case]:
    """A scan of each format, by the name of its file or folder."""
    write_scan(folder / "scan.nii.gz")
    write_mha(folder / "other.mha")
    write_cine(folder / "folder")
    zip_folder(folder / "folder", folder / "zip.zip")
    cases, _ = discover([folder])
    return {case.path.name: case for case in cases}


def test_a_scan_is_the_same_in_either_process(tmp_path: Path) -> None:
    cases = scans(tmp_path)
    assert {"scan.nii.gz", "other.mha", "folder", "zip.zip"} <= set(cases)
    for case in cases.values():
        here, apart = read_here(case), read_case(case)
        np.testing.assert_array_equal(apart.voxels, here.voxels)
        assert apart.voxels.flags.writeable
        np.testing.assert_array_equal(apart.affine, here.affine)
        labels = (here.voxels > here.voxels.mean()).astype(np.uint8)
        assert here.label_encoder
        assert apart.label_encoder
        written = here.label_encoder.encode_labels(labels)
        assert apart.label_encoder.encode_labels(labels) == written
        for name in ("name", "spacing_mm", "slice_spacing_mm", "path", "notes"):
            assert getattr(apart, name) == getattr(here, name)


def test_only_nifti_is_read_without_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = scans(tmp_path)

    def refuse() -> None:
        raise ZeroDivisionError

    child_process.end_idle()
    monkeypatch.setattr(child_process, "_Child", refuse)
    for name, case in cases.items():
        if name == "scan.nii.gz":
            read_case(case, deadline_s=SOON)
        else:
            with pytest.raises(ZeroDivisionError):
                read_case(case)


def test_a_scan_that_takes_too_long_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    cases = scans(tmp_path)
    for name in ("other.mha", "folder", "zip.zip"):
        child_process.end_idle()  # one that starts takes longer than any deadline here
        with pytest.raises(InputError, match=rf"{name}: {LATE}"):
            read_case(cases[name], deadline_s=SOON)
        assert read_case(cases[name]).frames >= 1


def test_headers_that_take_too_long_make_a_case_that_fails(
    tmp_path: Path, threshold: Segmenter
) -> None:
    write_scan(tmp_path / "in" / "scan.nii.gz")
    zip_folder(write_cine(tmp_path / "cine"), tmp_path / "in" / "zip.zip")
    (tmp_path / "in" / "alone").mkdir()
    next(iter(sorted((tmp_path / "cine").iterdir()))).rename(tmp_path / "in" / "alone" / "im.dcm")
    child_process.end_idle()
    cases, _ = discover(
        [tmp_path / "in" / name for name in ("scan.nii.gz", "alone", "zip.zip")], deadline_s=SOON
    )
    options = PredictOptions(deadline_s=SOON)
    statuses = predict_folder(
        cases, tmp_path / "out", threshold.model, lambda model: threshold, options
    )
    reasons = {Path(status.path).name: status.reason for status in statuses}
    assert reasons.pop("scan.nii.gz") == ""
    assert set(reasons) == {"im.dcm", "zip.zip"}
    assert all("not read after 0.001 seconds" in reason for reason in reasons.values())
    (again,) = discover([tmp_path / "in" / "zip.zip"])[0]
    assert read_case(again).frames == 8


def test_a_crash_fails_the_scan_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = scans(tmp_path)["other.mha"]

    def die(child: object, request: object, deadline_s: float) -> None:
        raise child_process.ChildError

    with monkeypatch.context() as patch:
        patch.setattr(child_process._Child, "call", die)
        with pytest.raises(InputError, match=r"other\.mha: damaged, cut short or not what it is"):
            read_case(case)
    assert read_case(case).slices == 4


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_deadline_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"--deadline .*: give seconds, more than 0"):
        PredictOptions(deadline_s=seconds)
