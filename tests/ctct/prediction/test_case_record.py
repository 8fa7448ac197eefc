"""What was stored of a case is the same when it is read again."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests_support import GOOD_INDICATORS, analyze_phantom

from ctct.cases.case import Case
from ctct.io.patient_info import PatientInfo
from ctct.measurement.quality_flags import Flag
from ctct.prediction.case_record import (
    CaseRecord,
    LabelMapStamp,
    read_record,
    record_of,
    with_result,
    write_record,
)
from ctct.prediction.patients import HeaderInfo
from ctct.prediction.quality_record import CaseIndicators, indicators_path
from ctct.prediction.run_manifest import DONE, CaseStatus

FRAMES = (
    GOOD_INDICATORS,
    replace(
        GOOD_INDICATORS, missing=("RV",), slice_disagreement=(0.1, math.nan), contrast=math.nan
    ),
)
INDICATORS = CaseIndicators((Flag("review", "a small image"),), FRAMES)


def full_record() -> CaseRecord:
    scan = {"place": "/in/a.nii", "bytes": 3, "stamp": "s", "digest": "d"}
    status = CaseStatus("a", "/in/a.nii", scan=scan, unreadable=["b.dcm"])
    record = record_of(
        Case(Path("/in/a.nii"), "a"),
        status,
        status=DONE,
        settings={"model": "m", "heart_crop_sha256": None},
        versions={"ctct": "1"},
        label_map_sha256="0",
        measured=LabelMapStamp(3, 4, "0"),
        header=HeaderInfo(PatientInfo(ed=1, height_cm=180.0), "DICOM"),
        identifiers={"patient ID": "7"},
        given=(0, None),
        drawn=True,
        walls_mm={0: (9.5, math.nan)},
    )
    record = with_result(record, analyze_phantom("a", frames=2))
    return replace(record, indicators=INDICATORS)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_record(tmp_path, full_record())
    # repr, because NaN is not equal to itself.
    assert repr(read_record(tmp_path, "a")) == repr(full_record())
    assert [frame.index for frame in full_record().frames] == [0, 1]


def test_a_record_that_is_missing_or_damaged_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path, "a") is None
    write_record(tmp_path, full_record())
    path = indicators_path(tmp_path, "a")
    path.write_bytes(path.read_bytes()[:-100])
    assert read_record(tmp_path, "a") is None
    path.write_text("[]")
    assert read_record(tmp_path, "a") is None


def test_indicators_of_another_version_are_not_known(tmp_path: Path) -> None:
    write_record(tmp_path, full_record())
    path = indicators_path(tmp_path, "a")
    text = path.read_text()
    for other in (
        text.replace("open_ring", "closed_ring"),
        text.replace('"open_ring"', '"of_an_earlier_version": 0, "open_ring"'),
    ):
        path.write_text(other)
        record = read_record(tmp_path, "a")
        assert record
        assert record.indicators is None
        assert record.volumes_ml


def test_a_record_of_an_earlier_version_holds_no_volumes(tmp_path: Path) -> None:
    write_record(tmp_path, full_record())
    path = indicators_path(tmp_path, "a")
    content = json.loads(path.read_text())
    names = ("image", "frames", "scan", "label_map_sha256")
    path.write_text(json.dumps({name: content[name] for name in names}))
    record = read_record(tmp_path, "a")
    assert record
    assert (record.status, record.is_measured, record.settings) == ("", False, None)
    assert repr(record.indicators) == repr(INDICATORS)


@pytest.mark.parametrize(
    ("change", "same"), [("none", True), ("time", True), ("content", False), ("remove", False)]
)
def test_the_stamp_of_a_label_map(change: str, same: bool, tmp_path: Path) -> None:
    path = tmp_path / "a_seg.nii.gz"
    path.write_bytes(b"labels")
    stamp = LabelMapStamp.of(path)
    if change == "content":
        path.write_bytes(b"LABELS")
    if change in ("content", "time"):
        os.utime(path, (1e9, 1e9))
    if change == "remove":
        path.unlink()
    assert stamp.is_of(path) is same
