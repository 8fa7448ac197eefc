from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from ctct.cases.case import Case
from ctct.errors import InputError
from ctct.inference.segmentation import Segmentation, clean_components
from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.prediction.case_files import CaseFiles, PredictOptions, read_case_result
from ctct.prediction.case_record import WRITING, LabelMapStamp, read_record, write_record
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.prediction.patients import Overrides
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import TableOptions, join_records
from ctct.prediction.run_manifest import CaseStatus
from ctct.prediction.scan_record import ScanRecord


@pytest.fixture
def written(cine: tuple[Study, np.ndarray], tmp_path: Path) -> tuple[Path, Case, CaseResult]:
    """A folder of results in the M&Ms order, its only case, and the result as it was written."""
    study, labels = cine
    scan = tmp_path / "cine.nii.gz"
    scan.write_bytes(encode_study(study, labels)[study.name])
    case, status = Case(scan, "cine"), CaseStatus("cine", str(scan))
    folder = tmp_path / "out"
    folder.mkdir()
    files = CaseFiles(folder, PredictOptions(label_order="mnms"))
    study = files.read(case, status)
    assert isinstance(study, Study)
    disagreement = np.full(labels.shape, 0.125, np.float16)
    segmentation = Segmentation(study, labels, disagreement)
    files.write(case, segmentation, status)
    return folder, case, analyze_case(clean_components(segmentation), name="cine")


def test_a_result_is_the_same_when_it_is_read_again(
    written: tuple[Path, Case, CaseResult],
) -> None:
    folder, case, result = written
    record = read_record(folder, "cine")
    assert record
    again = read_case_result(folder, case, "mnms", indicators=record.indicators)
    assert again.name == again.study.name == "cine"
    assert (again.labels == result.labels).all()
    assert (again.study.voxels == result.study.voxels).all()
    assert again.measurements == result.measurements
    # repr, because NaN is not equal to itself.
    assert repr(again.indicators) == repr(result.indicators)
    assert repr(again.judgement) == repr(result.judgement)
    assert again.disagreement_picture == result.disagreement_picture
    assert again.draw_contours() == result.draw_contours()
    assert again.wall_mm(0) == result.wall_mm(0)
    assert again.encode_labels() == result.encode_labels()
    assert again.disagreement is again.mean_disagreement is None
    assert result.mean_disagreement == 0.125


def test_phases_of_the_user_are_those_of_labels_read_again(
    written: tuple[Path, Case, CaseResult],
) -> None:
    folder, case, _ = written
    again = read_case_result(folder, case, "mnms", Overrides(ed=1, es=2), image=False)
    assert (again.measurements.ed, again.measurements.es) == (1, 2)
    assert not again.has_image


def test_a_scan_that_was_moved_only_costs_the_picture(
    written: tuple[Path, Case, CaseResult], caplog: pytest.LogCaptureFixture
) -> None:
    folder, case, result = written
    case.path.unlink()
    again = read_case_result(folder, case, "mnms")
    assert not again.has_image
    assert again.measurements == result.measurements
    assert again.wall_mm(0) == result.wall_mm(0)
    assert "cine: no picture" in caplog.text


def test_a_damaged_label_map_is_refused(written: tuple[Path, Case, CaseResult]) -> None:
    folder, case, _ = written
    output_path(folder, case.name).write_bytes(b"no label map")
    with pytest.raises(InputError, match="cine_seg"):
        read_case_result(folder, case, "mnms")


def test_indicators_of_another_number_of_frames_are_not_those_of_the_labels(
    written: tuple[Path, Case, CaseResult],
) -> None:
    folder, case, result = written
    assert result.indicators
    fewer = replace(result.indicators, frames=result.indicators.frames[1:])
    again = read_case_result(folder, case, "mnms", indicators=fewer)
    assert again.indicators is None
    assert any("not known" in flag.reason for flag in again.judgement.flags)


def test_the_record_holds_what_the_label_map_does(written: tuple[Path, Case, CaseResult]) -> None:
    folder, _, result = written
    record = read_record(folder, "cine")
    assert record
    assert (record.status, record.drawn) == ("done", True)
    assert record.frames == list(result.frames)
    assert set(record.walls_mm) == set(result.measurements.phases.values())
    assert record.measured == LabelMapStamp.of(output_path(folder, "cine"))
    assert record.label_map_sha256 == record.measured.sha256


@pytest.mark.parametrize("moment", ["before the label map", "after the label map"])
def test_a_case_killed_while_it_was_written(
    moment: str, written: tuple[Path, Case, CaseResult]
) -> None:
    """The label map is that of the record or not there, so nothing is done twice or lost."""
    folder, case, _ = written
    record = read_record(folder, "cine")
    assert record
    write_record(folder, replace(record, status=WRITING, measured=None))
    if moment == "before the label map":
        output_path(folder, "cine").unlink()
    files = CaseFiles(folder, PredictOptions(label_order="mnms"))
    is_complete = files.read(case, CaseStatus("cine", "cine")) is None
    assert is_complete == (moment == "after the label map")
    if is_complete:
        assert repr(read_record(folder, "cine")) == repr(record)


def test_what_reading_raised_is_a_flag_of_the_case_in_this_run_and_the_next(
    cine: tuple[Study, np.ndarray], tmp_path: Path
) -> None:
    study, labels = cine
    noted = replace(study, notes=("20 files cannot be read",))
    case, status = Case(tmp_path / "cine.nii.gz", "cine"), CaseStatus("cine", "cine.nii.gz")
    files = CaseFiles(tmp_path, PredictOptions())
    segmentation = Segmentation(noted, labels, np.full(labels.shape, 0.125, np.float16))
    (tmp_path / "cine.nii.gz").write_bytes(b"")
    status.scan = asdict(ScanRecord.of(case))
    files.write(case, segmentation, status)
    assert "20 files cannot be read" in status.flags
    record = read_record(tmp_path, "cine")
    assert record
    result = join_records("cine", [record], TableOptions())
    assert "20 files cannot be read" in [flag.reason for flag in result.judgement.flags]
    assert result.judgement.verdict != "ok"
    later = CaseStatus("cine", "cine.nii.gz")
    assert files.read(case, later) is None
    assert later.flags == status.flags
