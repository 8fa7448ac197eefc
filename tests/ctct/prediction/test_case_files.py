from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctct.cases.case import Case
from ctct.errors import InputError
from ctct.inference.segmentation import Segmentation
from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.prediction.case_files import CaseFiles, PredictOptions, read_case_result
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patients import Overrides
from ctct.prediction.quality_record import output_path
from ctct.prediction.run_manifest import CaseStatus


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
    return folder, case, files.write(case, Segmentation(study, labels, disagreement), status)


def test_a_result_is_the_same_when_it_is_read_again(
    written: tuple[Path, Case, CaseResult],
) -> None:
    folder, case, result = written
    again = read_case_result(folder, case, "mnms")
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
    folder, case, _ = written
    path = folder / "quality" / "cine.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "frames": content["frames"][1:]}))
    again = read_case_result(folder, case, "mnms")
    assert again.indicators is None
    assert "not known" in again.judgement.flags[0].reason


def test_what_reading_raised_is_a_flag_of_the_case_in_this_run_and_the_next(
    cine: tuple[Study, np.ndarray], tmp_path: Path
) -> None:
    study, labels = cine
    noted = replace(study, notes=("20 files cannot be read",))
    case, status = Case(tmp_path / "cine.nii.gz", "cine"), CaseStatus("cine", "cine.nii.gz")
    files = CaseFiles(tmp_path, PredictOptions())
    segmentation = Segmentation(noted, labels, np.full(labels.shape, 0.125, np.float16))
    result = files.write(case, segmentation, status)
    assert "20 files cannot be read" in status.flags
    assert "20 files cannot be read" in [flag.reason for flag in result.judgement.flags]
    assert result.judgement.verdict != "ok"
    later = CaseStatus("cine", "cine.nii.gz")
    assert isinstance(files.read(case, later), CaseResult)
    assert later.flags == status.flags
