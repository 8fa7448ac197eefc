"""Edits of labels in the browser: tools, history, numbers, verdict, files; called with Node.js."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browser_support import call_all, need_node
from tests_support import phantom, scan_of

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo.editing import edit_data
from ctct.inference.segmentation import Segmentation
from ctct.io.nifti import encode_labels, read_nifti
from ctct.io.study import Study
from ctct.measurement.quality_flags import OK, Flag, judge
from ctct.measurement.quality_indicators import frame_indicators
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import frame_volumes
from ctct.prediction.case_result import analyze_case
from ctct.prediction.patients import PatientContext


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    need_node()


def sweep(start: list[float], end: list[float], radius_mm: float, spacing: list[float]) -> Any:
    (mask,) = call_all(("shapes", "sweep", [start, end, radius_mm, spacing, [20, 30]]))
    return mask.reshape(20, 30)


def test_a_brush_takes_the_pixels_within_its_radius() -> None:
    # 1 + 3 + 3 + 5 + 3 + 3 + 1 pixels lie within 3 of the middle: 29.
    assert sweep([9, 9], [9, 9], 3, [1, 1]).sum() == 29
    # Pixels twice as high: the rows 0 and ±1, 7 and 2 · 5 pixels, √(9 - 4) = 2.2.
    assert sweep([9, 9], [9, 9], 3, [2, 1]).sum() == 17
    # A line of 11 pixels by a brush that is smaller than one.
    line = sweep([4, 5], [4, 15], 0.4, [1, 1])
    assert line[4, 5:16].all()
    assert line.sum() == 11
    assert sweep([4.4, 5.4], [4.4, 5.4], 0.1, [1, 1]).sum() == 1


def test_a_brush_paints_nothing_outside_the_picture() -> None:
    assert sweep([-30, -30], [-20, -30], 4, [1, 1]).sum() == 0
    assert sweep([-3, 9], [-3, 9], 2, [1, 1]).sum() == 0
    assert sweep([9, -5], [9, 40], 0.4, [1, 1]).sum() == 30  # across it


def test_the_room_around_a_pixel_ends_at_the_next_label() -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[:, 10:] = 3
    calls = [
        ("shapes", "roomAround", [labels, [20, 30], at, [1, 2], 15]) for at in ([5, 6], [5, 14])
    ]
    # From column 6 to 10, and from 14 to 9, columns of 2 mm.
    assert call_all(*calls) == [8, 10]


def test_a_slice_between_two_discs_holds_the_disc_between() -> None:
    rows, columns = np.indices((40, 40))
    radius = np.hypot(rows - 20, columns - 20)
    small, large, middle = ((radius <= r).astype(np.uint8) for r in (4, 12, 8))
    half, near = call_all(
        *(
            ("shapes", "interpolateMasks", [small, large, share, [40, 40], [1.5, 1.5]])
            for share in (0.5, 0)
        )
    )
    np.testing.assert_array_equal(near.reshape(40, 40), small)
    assert np.count_nonzero(half.reshape(40, 40) != middle) <= 4  # corners of pixels


def test_every_change_can_be_taken_back_and_made_again() -> None:
    labels = np.zeros((2, 2, 3, 3), np.uint8)
    labels[0, 0, 1, 1] = 3
    steps = [
        *(["set", 0, 3], ["set", 1, 3], ["commit"]),  # two voxels of LV in frame 0
        *(["switchSlice", 0], ["commit"]),  # all three of its first slice count no more
        *(["set", 20, 1], ["rollBack"], ["commit"]),
        *(["undo"], ["undo"], ["undo"]),  # the third is past the beginning
        *(["redo"], ["redo"], ["redo"]),
        ["switchSlice", 0],
        ["commit"],
    ]
    (states,) = call_all(("edits", "edit", [labels, labels.shape, steps]))
    assert [state["counts"][0][3] for state in states] == [
        2,
        3,
        3,
        0,
        0,
        0,
        0,
        0,
        3,
        1,
        1,
        3,
        0,
        0,
        3,
        3,
    ]
    assert [s["answer"] for s in states if s["answer"] is not None] == [
        *(True, True, False),  # commits
        *(0, 0),  # the slices of what was taken back; nothing at the third
        *(0, 0),
        True,
    ]
    assert states[10]["labels"].tolist() == labels.ravel().tolist()
    assert [states[n]["changed"] for n in (2, 4, 10, 15)] == [2, 1, 0, 2]
    assert [states[n]["isUnsaved"] for n in (0, 2, 10, 15)] == [False, True, False, True]


def edited_cine(subject: Subject | None = None) -> tuple[Segmentation, np.ndarray, PatientContext]:
    """Ten frames of a beating phantom, and its labels with a larger LV in the first."""
    labels = np.stack([phantom(60, 70, 5)] * 10)
    for t in range(1, 10):
        labels[t, :, 26:34, 31 : 30 + t // 2] = 2  # the wall thickens
    study = Study("scan", scan_of(labels), (1.5, 1.25), 8.0)
    disagreement = np.full(labels.shape, 0.01, np.float16)
    edited = labels.copy()
    edited[0, 2, 20:25, 30:40] = 3
    return (
        Segmentation(study, labels, disagreement),
        edited,
        PatientContext(subject=subject or Subject()),
    )


def automatic_of(segmentation: Segmentation, context: PatientContext) -> dict[str, Any]:
    """What the page sends, revived as the page does."""
    result = analyze_case(segmentation, name="scan", context=context)
    data = edit_data(segmentation, result, context)

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: known(item) for key, item in value.items()}
        if isinstance(value, list):
            return [known(item) for item in value]
        return float("nan") if value is None else value

    return {**data, "indicators": [known(frame) for frame in data["indicators"]]}


def judge_edited(
    segmentation: Segmentation, edited: np.ndarray, context: PatientContext
) -> dict[str, Any]:
    study = segmentation.study
    arguments = [
        *(segmentation.labels, edited, study.voxels.shape, automatic_of(segmentation, context)),
        *([frame.ravel() for frame in study.voxels], {"ed": context.ed, "es": context.es}),
    ]
    (got,) = call_all(("edited_result", "judgeEdited", arguments))
    assert not isinstance(got, str), got
    return got


def test_labels_that_were_not_edited_are_judged_as_on_the_server() -> None:
    segmentation, _, context = edited_cine(Subject("M", 180, 80, 60))
    expected = analyze_case(segmentation, name="scan", context=context)
    got = judge_edited(segmentation, segmentation.labels, context)
    flags = [{"level": f.level, "reason": f.reason} for f in expected.judgement.flags]
    assert got["judgement"]["flags"] == flags
    assert got["judgement"]["verdict"] == expected.judgement.verdict
    indices = {name: value for name, value, _ in got["indices"]}
    assert list(indices) == list(expected.measurements.all_indices)
    assert indices == pytest.approx(dict(expected.measurements.all_indices), rel=1e-12, nan_ok=True)
    assert ["LVEDVi (mL/m2)", indices["LVEDVi (mL/m2)"], "low"] in got["indices"]  # below 52


def test_edited_labels_are_measured_and_never_ok() -> None:
    segmentation, edited, _ = edited_cine()
    context = PatientContext(ed=0, es=9)
    study = segmentation.study
    got = judge_edited(segmentation, edited, context)
    automatic = analyze_case(segmentation, name="scan", context=context)
    measurements = context.measure(frame_volumes(edited, study.voxel_ml, "scan"))
    added = int((edited[0] == 3).sum()) - int((segmentation.labels[0] == 3).sum())
    gain = got["measured"]["indices"]["LVEDV (mL)"] - automatic.measurements.indices["LVEDV (mL)"]
    assert gain == pytest.approx(added * 1.5 * 1.25 * 8 / 1000, abs=1e-9)
    unknown = np.full(edited[0].shape, np.nan, np.float32)
    frames = list(automatic.indicators.frames)  # type: ignore[union-attr]
    frames[0] = frame_indicators(study.voxels[0], edited[0], unknown)
    changed = np.count_nonzero(edited != segmentation.labels)
    words = f"the labels were edited by hand: {changed} voxels in 1 frame"
    image = (*automatic.indicators.image, Flag(OK, words))  # type: ignore[union-attr]
    expected = judge(measurements, frames, image)
    flags = [{"level": f.level, "reason": f.reason} for f in expected.flags]
    assert got["judgement"]["flags"] == flags
    assert got["judgement"]["verdict"] == expected.verdict != "ok"


def test_ed_and_es_that_were_set_are_kept_and_checked() -> None:
    segmentation, edited, _ = edited_cine()
    context = PatientContext(ed=9, es=1)
    got = judge_edited(segmentation, edited, context)
    expected = context.measure(frame_volumes(edited, segmentation.study.voxel_ml, "scan"))
    assert (got["measured"]["ed"], got["measured"]["es"]) == (9, 1)
    assert got["measured"]["warnings"] == list(expected.warnings)
    assert any("the given ED" in warning for warning in expected.warnings)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_saved_map_is_the_servers_file_but_for_its_description(
    kind: Any, axes: tuple[int, ...], tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(0, 900, (36, 40, 3, 2)).astype(np.int16)
    image = kind(array.transpose(*axes, 3), np.diag([1.5, 1.25, 8, 1])[:, [*axes, 3]])
    nib.save(image, tmp_path / "scan.nii")
    study = read_nifti(tmp_path / "scan.nii")
    labels = np.random.default_rng(1).integers(0, 4, study.voxels.shape, np.uint8)
    labels[..., :5, :] = labels[..., -4:] = 0
    segmentation = Segmentation(study, labels, np.zeros(labels.shape, np.float16))
    result = analyze_case(segmentation, name="scan")
    file = edit_data(segmentation, result, PatientContext())["file"]
    rows, columns = labels.shape[2:]
    box = {"rows": [5, rows], "columns": [0, columns - 4]}
    cut = np.ascontiguousarray(labels[..., 5:, : columns - 4])
    head = np.frombuffer(_decoded(file["head"]), np.uint8)
    words = "edited: 50 voxels in 1 frame, ctct 1.2.3"
    (got,) = call_all(
        (
            "edited_files",
            "encodeEdited",
            [cut, {**file, "head": head, "box": box}, words],
        )
    )
    saved = kind.from_bytes(got.tobytes())
    assert saved.header["descrip"].item().decode() == words
    saved.header["descrip"] = b""
    assert saved.to_bytes() == _gunzip(encode_labels(study, labels))


def test_tables_are_quoted_for_spreadsheets() -> None:
    row = {"patient": "=1+1", "flags": 'a "b", c', "score": "-0.5", "edited voxels": 50}
    (got,) = call_all(("edited_files", "encodeTable", [["patient", "score", "flags"], [row]]))
    assert got.splitlines() == [
        "patient,score,flags,edited,edited voxels,edited with",
        '\'=1+1,-0.5,"a ""b"", c",,50,',
    ]


def _decoded(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


def _gunzip(content: bytes) -> bytes:
    import gzip

    return gzip.decompress(content)
