from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests_support import phantom, scan_of

from ctct.inference.segmentation import Segmentation
from ctct.io.label_maps import read_labels
from ctct.io.study import Study
from ctct.measurement.subject import Subject
from ctct.prediction import case_result
from ctct.prediction.case_result import analyze_case, draw_phases
from ctct.prediction.patients import PatientContext


def segmentation(frames: int = 2, size: tuple[int, int] = (40, 50)) -> Segmentation:
    """Frames of 3 slices; all but the first without the labels of the last slice."""
    labels = np.repeat(phantom(*size)[None], frames, 0)
    labels[1:, -1] = 0
    study = Study("a", scan_of(labels), (1.5, 1.25), 8.0)
    return Segmentation(study, labels, np.full(labels.shape, 0.1, np.float16), (0,) * frames)


def test_a_cine_is_measured_and_judged() -> None:
    result = analyze_case(segmentation(), context=PatientContext(subject=Subject("F", 160, 90)))
    measurements = result.measurements
    assert (result.name, measurements.ed, measurements.es) == ("a", 0, 1)
    # One slice of three is missing at ES.
    assert measurements.indices["LVEF (%)"] == pytest.approx(100 / 3)
    assert measurements.all_indices["BSA (m2)"] == pytest.approx(2.0)
    assert result.judgement.verdict == "review"
    assert "a field of view of 60 mm" in result.judgement.flags[0].reason
    assert result.mean_disagreement == pytest.approx(0.1, abs=1e-4)
    # The wall is 3 pixels of 1.25 to 1.5 mm thick.
    assert 3.5 < result.wall_mm(0)[0] < 5


def test_indicators_are_of_every_frame_and_flags_of_the_image() -> None:
    noted = replace(segmentation().study, notes=("an odd header",))
    result = analyze_case(replace(segmentation(), study=noted, removed=(0, 7)))
    assert result.indicators is not None
    first, second = result.indicators.frames
    assert first.scattered == 0 < second.scattered
    assert [flag.reason for flag in result.indicators.image] == [
        "a field of view of 60 mm, less than in any training scan",
        "2 images are exact copies of others, so phases or slices stand in place of those that "
        "were acquired; export the scan again",
        "a stack of 3 slices does not cover a heart, so volumes are too small",
        "an odd header",
        "the stack ends before the apex",
    ]


def test_known_phases_replace_those_of_the_volume_curve() -> None:
    result = analyze_case(segmentation(), name="b", context=PatientContext(ed=1, es=0))
    assert (result.measurements.ed, result.measurements.es) == (1, 0)
    assert {frame.name for frame in result.frames} == {"b"}


def test_everything_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"frame_volumes": 0, "disagreement_jpeg": 0}
    for name in calls:
        original = getattr(case_result, name)

        def counted(*args: object, name: str = name, original=original) -> object:
            calls[name] += 1
            return original(*args)

        monkeypatch.setattr(case_result, name, counted)
    result = analyze_case(segmentation())
    assert calls == {"frame_volumes": 1, "disagreement_jpeg": 0}  # a picture when it is needed
    assert result.disagreement_picture is result.disagreement_picture
    assert calls == {"frame_volumes": 1, "disagreement_jpeg": 1}


def test_pictures_of_a_cine_and_of_a_single_frame() -> None:
    for frames in (1, 2):
        result = analyze_case(segmentation(frames))
        assert result.draw_contours().startswith(b"\x89PNG")
        assert result.disagreement_picture.startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["p_ED", "p_ES"])
def test_the_picture_of_a_single_frame_is_titled_with_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(case_result, "montage_png", lambda *args: drawn.append(args[2]) or b"")
    analyze_case(segmentation(1), name=name).draw_contours()
    assert drawn == [{name: 0}]


def test_a_single_network_has_no_picture_of_a_disagreement() -> None:
    pair = segmentation()
    alone = replace(pair, disagreement=np.full_like(pair.disagreement, np.nan))
    result = analyze_case(alone)
    assert result.disagreement_picture == b""
    assert np.isnan(result.judgement.score)


def test_frames_that_cannot_be_drawn_are_left_out() -> None:
    small, large = (analyze_case(segmentation(1, size)) for size in ((40, 50), (44, 50)))
    alone = draw_phases({"ED": (small, 0)})
    assert alone.startswith(b"\xff\xd8")
    assert draw_phases({"ED": (small, 0), "ES": (large, 0)}) == alone
    assert draw_phases({"ED": (small, 0), "ES": (replace(small, has_image=False), 0)}) == alone
    assert draw_phases({"ED": (replace(small, has_image=False), 0)}) == b""
    assert draw_phases({"ED": (small, 0), "ES": (small, 0)}) != alone


def test_a_study_made_in_memory_has_a_label_file_too(tmp_path: Path) -> None:
    result = analyze_case(segmentation())
    path = tmp_path / "a.nii.gz"
    path.write_bytes(result.encode_labels("mnms"))
    written, labels = read_labels(path, "mnms")
    assert (labels == result.labels).all()
    assert written.spacing_mm == pytest.approx((1.5, 1.25))
    assert written.slice_spacing_mm == pytest.approx(8)
