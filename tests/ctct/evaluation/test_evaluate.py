from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.eulerangles import euler2mat

from ctct.errors import InputError
from ctct.evaluation.evaluate import EvaluationOptions, evaluate_folder
from ctct.evaluation.summary import (
    Findings,
    Quantity,
    assess_indices,
    compare_evaluations,
    summarize_scores,
)

AFFINE = np.diag([1.5, 2.0, 8.0, 1.0])  # a voxel is 0.024 mL


def save(path: Path, array: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.ones((4, 4, 2), np.uint8) if array is None else array
    nib.save(nib.Nifti1Image(array, affine), path)


def heart(lv: int, rv: int = 4, slices: int = 3) -> np.ndarray:
    """(columns, rows, slices): ``lv`` columns of LV, 2 of MYO, ``rv`` of RV; 6 rows."""
    labels = np.zeros((20, 8, slices), np.uint8)
    labels[:lv, 1:7] = 3
    labels[lv : lv + 2, 1:7] = 2
    labels[12 : 12 + rv, 1:7] = 1
    return labels


def test_pairs_are_found_in_nested_folders_and_the_rest_is_listed(tmp_path: Path) -> None:
    save(tmp_path / "out" / "a_seg.nii.gz")
    save(tmp_path / "out" / "lonely_seg.nii.gz")
    save(tmp_path / "in" / "deep" / "a_gt.nii.gz")
    save(tmp_path / "in" / "deep" / "unseen_gt.nii.gz")
    found = evaluate_folder(tmp_path / "out", tmp_path / "in")
    (score,) = found.scores
    assert (score.patient, score.case, score.frame) == ("a", "a", 0)
    assert score.mean_dice == 1.0
    assert found.unreferenced == ("lonely",)
    assert found.unpredicted == ("unseen",)


def test_files_without_a_suffix_go_by_their_names(tmp_path: Path) -> None:
    save(tmp_path / "out" / "a.nii.gz")
    save(tmp_path / "in" / "a.nii.gz")
    assert evaluate_folder(tmp_path / "out", tmp_path / "in").scores[0].case == "a"


def test_references_are_found_in_the_folders_of_the_scans(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        save(tmp_path / "out" / f"{patient}_sax_seg.nii.gz")
        save(tmp_path / "in" / patient / "sax_gt.nii.gz")
    save(tmp_path / "out" / "p3_frame01_seg.nii.gz")
    save(tmp_path / "in" / "p3" / "p3_frame01_gt.nii.gz")
    found = evaluate_folder(tmp_path / "out", tmp_path / "in")
    assert [score.case for score in found.scores] == ["p1_sax", "p2_sax", "p3_frame01"]
    assert not found.unpredicted + found.unreferenced


def test_two_references_of_one_name(tmp_path: Path) -> None:
    for folder in "ab":
        save(tmp_path / folder / "x_gt.nii.gz")
    with pytest.raises(InputError, match="has the same name"):
        evaluate_folder(tmp_path, tmp_path)


def test_metrics_by_hand_in_mm_and_in_voxels(tmp_path: Path) -> None:
    save(tmp_path / "x_gt.nii.gz", heart(lv=6))
    save(tmp_path / "x_seg.nii.gz", heart(lv=4))
    (score,) = evaluate_folder(tmp_path, tmp_path).scores
    lv = score.metrics["LV"]
    assert lv["Dice"] == pytest.approx(2 * 4 / (4 + 6))
    assert lv["Jaccard"] == pytest.approx(4 / 6)
    # The far edge lies two columns of 1.5 mm away, and the other surfaces on each other.
    assert lv["HD95"] == pytest.approx(3.0)
    assert score.metrics["RV"] == {"Dice": 1, "Jaccard": 1, "HD95": 0, "ASSD": 0}
    assert set(score.regions) == {"base", "mid", "apex"}
    assert score.regions["mid"]["LV"] == pytest.approx(0.8)
    found = evaluate_folder(tmp_path, tmp_path, EvaluationOptions(voxel_units=True))
    assert found.unit == "voxels"
    assert found.scores[0].metrics["LV"]["HD95"] == pytest.approx(2.0)
    (quick,) = evaluate_folder(tmp_path, tmp_path, EvaluationOptions(distances=False)).scores
    assert math.isnan(quick.metrics["LV"]["HD95"])


def test_empty_masks_are_counted_and_never_a_distance_of_zero(tmp_path: Path) -> None:
    for case, predicted, reference in (("one", 0, 4), ("both", 0, 0)):
        save(tmp_path / f"{case}_seg.nii.gz", heart(4, predicted))
        save(tmp_path / f"{case}_gt.nii.gz", heart(4, reference))
    found = evaluate_folder(tmp_path, tmp_path)
    both_empty, one_empty = found.scores
    assert (both_empty.empty["RV"], one_empty.empty["RV"], one_empty.empty["LV"]) == (
        "both",
        "prediction",
        "",
    )
    assert (both_empty.metrics["RV"]["Dice"], one_empty.metrics["RV"]["Dice"]) == (1, 0)
    summary = summarize_scores(found)[Quantity("all", "RV", "HD95")]
    assert (summary.count, summary.undefined) == (0, 2)


def only(structure: int, labels: np.ndarray) -> np.ndarray:
    """The labels of one structure, as if the others had not been contoured."""
    return labels * (labels == structure)


def test_ventricles_contoured_in_stacks_of_their_own_are_joined(tmp_path: Path) -> None:
    # Columns of LV or RV by reference and prediction, five slices each; no myocardium.
    for name, structure, reference, predicted in (
        ("c_LVED", 3, heart(8, 0, 5), heart(8, 2, 5)),
        ("c_LVES", 3, heart(4, 0, 5), heart(2, 2, 5)),
        ("c_RVED", 1, heart(1, 6, 5), heart(9, 6, 5)),
        ("c_RVES", 1, heart(1, 3, 5), heart(9, 3, 5)),
    ):
        save(tmp_path / f"{name}_gt.nii.gz", only(structure, reference))
        save(tmp_path / f"{name}_seg.nii.gz", predicted)
    findings = Findings.from_evaluation(evaluate_folder(tmp_path, tmp_path))
    found = findings.evaluation
    assert [(s.patient, s.phase) for s in found.scores] == [("c", "ED"), ("c", "ES")] * 2
    # LV: 1 at ED, 2 x 2 / (2 + 4) at ES; the RV agrees. What else is predicted does not count.
    assert [s.mean_dice for s in found.scores] == pytest.approx([1, 2 / 3, 1, 1])
    averages = findings.averages
    assert averages[Quantity("all", "LV", "Dice")].mean == pytest.approx(5 / 6)
    assert averages[Quantity("all", "RV", "Dice")].mean == 1
    assert averages[Quantity("all", "MYO", "Dice")].count == 0
    assert findings.unlabelled == {"RV": 2, "MYO": 4, "LV": 2}
    assert ("all", "base", "MYO") not in findings.slices
    # A column is 6 rows x 5 slices x 0.024 mL = 0.72 mL.
    prediction, reference = found.indices["c"]
    assert reference["LVEDV (mL)"] == pytest.approx(8 * 0.72)
    assert (reference["LVEF (%)"], prediction["LVEF (%)"]) == pytest.approx((50, 75))
    assert (reference["RVEDV (mL)"], reference["RVEF (%)"]) == pytest.approx((6 * 0.72, 50))
    assert math.isnan(prediction["LVM (g)"])
    assert findings.agreements["LVM (g)"].count == 0


def test_a_structure_in_no_reference_is_not_scored(tmp_path: Path) -> None:
    for case in "ab":
        save(tmp_path / f"{case}_seg.nii.gz", heart(4))
        save(tmp_path / f"{case}_gt.nii.gz", heart(4, rv=0))
    found = evaluate_folder(tmp_path, tmp_path)
    assert [score.mean_dice for score in found.scores] == [1, 1]
    assert {score.empty["RV"] for score in found.scores} == {"not labelled"}
    # Once a reference of the set has it, the others say that it is not there: three slices may
    # show a heart without it.
    save(tmp_path / "b_gt.nii.gz", heart(4))
    a, b = evaluate_folder(tmp_path, tmp_path).scores
    assert (a.metrics["RV"]["Dice"], b.metrics["RV"]["Dice"]) == (0, 1)
    assert a.slices["mid"]["RV"] == (0, 0, 1, 1)


def test_myocardium_contoured_at_ed_only(tmp_path: Path) -> None:
    es = heart(4, 0, 5)
    save(tmp_path / "p_gt.nii.gz", np.stack([heart(8, 0, 5), only(3, es)], -1))
    save(tmp_path / "p_seg.nii.gz", np.stack([heart(8, 3, 5), heart(4, 3, 5)], -1))
    found = evaluate_folder(tmp_path, tmp_path)
    assert [(s.phase, s.mean_dice) for s in found.scores] == [("ED", 1), ("ES", 1)]
    assert found.indices["p"].reference["LVM (g)"] == pytest.approx(2 * 0.72 * 1.05)
    assert math.isnan(found.indices["p"].reference["LVM ES (g)"])


def test_phases_in_names_count_before_volumes(tmp_path: Path) -> None:
    for name, columns in (("p_ED", 4), ("p_ES", 6)):
        save(tmp_path / f"{name}_gt.nii.gz", heart(columns))
        save(tmp_path / f"{name}_seg.nii.gz", heart(columns))
    found = evaluate_folder(tmp_path, tmp_path)
    assert [(s.patient, s.phase) for s in found.scores] == [("p", "ED"), ("p", "ES")]
    assert found.indices["p"].reference["LVEF (%)"] == pytest.approx(100 * (4 - 6) / 4)


def test_exchanged_labels_are_scored_on_request(tmp_path: Path) -> None:
    save(tmp_path / "x_seg.nii.gz", np.array([0, 3, 2, 1], np.uint8)[heart(6)])
    save(tmp_path / "x_gt.nii.gz", heart(6))
    (score,) = evaluate_folder(tmp_path, tmp_path, EvaluationOptions(allow_exchanged=True)).scores
    assert score.exchanged == {"RV": "LV", "LV": "RV"}
    assert score.mean_dice == pytest.approx(1 / 3)


def test_volumes_agree_at_the_phases_of_info_cfg(tmp_path: Path) -> None:
    for number, predicted, reference in ((1, 4, 4), (12, 8, 6)):
        save(tmp_path / "p" / f"p_frame{number:02}_gt.nii.gz", heart(reference))
        save(tmp_path / "out" / f"p_frame{number:02}_seg.nii.gz", heart(predicted))
    found = evaluate_folder(tmp_path / "out", tmp_path)
    assert [score.phase for score in found.scores] == ["ES", "ED"]  # by the volumes
    prediction, reference = found.indices["p"]
    # A column is 6 rows x 3 slices x 0.024 mL = 0.432 mL.
    assert (reference["LVEDV (mL)"], prediction["LVEDV (mL)"]) == pytest.approx(
        (6 * 0.432, 8 * 0.432)
    )
    assert (reference["LVEF (%)"], prediction["LVEF (%)"]) == pytest.approx((100 / 3, 50))
    assert assess_indices(found)["LVEF (%)"].bias == pytest.approx(50 - 100 / 3)
    (tmp_path / "p" / "Info.cfg").write_text("ED: 1\nES: 12\n")
    found = evaluate_folder(tmp_path / "out", tmp_path)
    assert [score.phase for score in found.scores] == ["ED", "ES"]
    assert Quantity("ED", "LV", "Dice") in summarize_scores(found)


def test_frames_of_a_cine_without_a_contour_are_left_out(tmp_path: Path) -> None:
    reference = np.stack([heart(6), np.zeros_like(heart(6)), heart(3)], axis=-1)
    save(tmp_path / "c_gt.nii.gz", reference)
    save(tmp_path / "c_seg.nii.gz", np.stack([heart(6)] * 3, axis=-1))
    found = evaluate_folder(tmp_path, tmp_path)
    assert [(s.frame, s.phase) for s in found.scores] == [(0, "ED"), (2, "ES")]
    assert found.indices["c"][1]["LVEF (%)"] == pytest.approx(50)


def test_pairs_that_cannot_be_compared_are_listed_and_the_others_scored(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 20.0
    half = heart(6).astype(np.float32)
    half[0, 1, 0] = 2.5
    exchanged = np.array([0, 3, 2, 1], np.uint8)[heart(6)]
    bad = {
        "affine": (heart(6), moved, "lies up to 20.0 mm from"),
        "empty": (heart(6), AFFINE, "no label at all"),
        "float": (half, AFFINE, "holds 2.5"),
        "frames": (np.stack([heart(6)] * 2, -1), AFFINE, "(2, 3, 8, 20) voxels"),
        "order": (exchanged, AFFINE, "--label-order"),
        "shape": (heart(6)[:-1], AFFINE, "(1, 3, 8, 19) voxels"),
        "spacing": (heart(6), np.diag([1.0, 2, 8, 1]), "voxels of"),
        "values": (heart(6) + 4, AFFINE, "label map holds 4, 5, 6, 7; expected 0 and 1 (RV)"),
    }
    for case, (array, affine, _) in bad.items():
        save(tmp_path / f"{case}_seg.nii.gz", array, affine)
        save(tmp_path / f"{case}_gt.nii.gz", heart(6) * (case != "empty"))
    with pytest.raises(InputError, match=r"affines differ.*; 7 more cannot be compared$"):
        evaluate_folder(tmp_path, tmp_path)
    save(tmp_path / "good_seg.nii.gz", heart(6))
    save(tmp_path / "good_gt.nii.gz", heart(6))
    found = evaluate_folder(tmp_path, tmp_path)
    assert [score.case for score in found.scores] == ["good"]
    assert list(found.failed) == list(bad)
    for case, (_, _, message) in bad.items():
        assert message in found.failed[case]
        assert case in found.failed[case]


@pytest.mark.parametrize(
    ("values", "message"),
    [  # label of RV, MYO and LV in the prediction
        ((3, 2, 1), "RV is LV of the reference, LV is RV of the reference"),
        ((2, 1, 3), "RV is MYO of the reference, MYO is RV of the reference"),
        ((1, 3, 2), "MYO is LV of the reference, LV is MYO of the reference"),
        ((2, 3, 1), "RV is LV of the reference, MYO is RV of the reference, LV is MYO"),
        ((3, 1, 2), "RV is MYO of the reference, MYO is LV of the reference, LV is RV"),
        ((0, 0, 1), "RV is LV of the reference"),  # LV alone, labelled 1
        ((0, 2, 1), "RV is LV of the reference"),
    ],
)
def test_every_exchange_of_labels_is_noticed(
    tmp_path: Path, values: tuple[int, int, int], message: str
) -> None:
    save(tmp_path / "x_seg.nii.gz", np.array([0, *values], np.uint8)[heart(6)])
    save(tmp_path / "x_gt.nii.gz", heart(6))
    with pytest.raises(InputError, match=message) as error:
        evaluate_folder(tmp_path, tmp_path)
    assert ("e.g. mnms" in str(error.value)) == (values[2] == 1 and values[1] in (0, 2))


def test_labels_exchanged_in_one_frame_of_a_cine_are_noticed(tmp_path: Path) -> None:
    frames = [heart(6), heart(4), heart(5)]
    save(tmp_path / "x_gt.nii.gz", np.stack(frames, -1))
    frames[1] = np.array([0, 1, 3, 2], np.uint8)[frames[1]]
    save(tmp_path / "x_seg.nii.gz", np.stack(frames, -1))
    with pytest.raises(InputError, match="MYO is LV of the reference"):
        evaluate_folder(tmp_path, tmp_path)


def test_a_bad_segmentation_is_scored_and_not_taken_for_exchanged_labels(tmp_path: Path) -> None:
    bad = heart(6)
    bad[:8, 1:7] = 2  # myocardium over all of the left ventricle
    save(tmp_path / "x_seg.nii.gz", bad)
    save(tmp_path / "x_gt.nii.gz", heart(6))
    (score,) = evaluate_folder(tmp_path, tmp_path).scores
    assert score.metrics["LV"]["Dice"] == 0
    assert score.metrics["MYO"]["Dice"] == pytest.approx(2 * 2 / (8 + 2))


@pytest.mark.parametrize(
    ("axes", "flips"),
    [
        ((0, 1, 2), (1, -1, 1)),
        ((0, 1, 2), (-1, -1, -1)),
        ((1, 0, 2), (1, 1, 1)),
        ((1, 0, 2), (-1, 1, -1)),
        ((2, 0, 1), (1, 1, 1)),
        ((2, 1, 0), (1, -1, -1)),
    ],
)
def test_the_same_grid_in_another_order_of_axes_is_the_same(
    tmp_path: Path, axes: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    turn = np.eye(4)  # oblique, as short-axis slices are
    turn[:3, :3] = euler2mat(0.9, -0.6, 0.3)
    affine = turn @ AFFINE
    frames = np.stack([heart(6), heart(4)], -1)
    save(tmp_path / "x_gt.nii.gz", frames, affine)
    image = nib.Nifti1Image(frames, affine)
    order = np.array([(axes.index(n), flips[n]) for n in range(3)])
    stored = image.as_reoriented(order)
    assert stored.shape != image.shape or not np.array_equal(stored.affine, affine)
    nib.save(stored, tmp_path / "x_seg.nii.gz")
    scores = evaluate_folder(tmp_path, tmp_path).scores
    assert [score.mean_dice for score in scores] == [1.0, 1.0]


def test_labels_that_lie_elsewhere_are_still_refused(tmp_path: Path) -> None:
    save(tmp_path / "x_gt.nii.gz", heart(6))
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])  # without moving the origin to the other end
    save(tmp_path / "x_seg.nii.gz", heart(6), flipped)
    with pytest.raises(InputError, match="lies up to"):
        evaluate_folder(tmp_path, tmp_path)


def test_label_order_is_an_option(tmp_path: Path) -> None:
    save(tmp_path / "x_seg.nii.gz", np.array([0, 3, 2, 1], np.uint8)[heart(6)])
    save(tmp_path / "x_gt.nii.gz", heart(6))
    (score,) = evaluate_folder(tmp_path, tmp_path, EvaluationOptions(label_order="mnms")).scores
    assert score.mean_dice == 1.0


def test_comparison_of_two_folders(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    for n in range(6):
        save(tmp_path / "gt" / f"{n}_gt.nii.gz", heart(8))
        save(tmp_path / "first" / f"{n}_seg.nii.gz", heart(8))
        save(tmp_path / "second" / f"{n}_seg.nii.gz", heart(7 - n))
    save(tmp_path / "odd" / "x_seg.nii.gz", heart(8))
    save(tmp_path / "gt" / "x_gt.nii.gz", heart(8))
    first, second, odd = (
        evaluate_folder(tmp_path / name, tmp_path / "gt") for name in ("first", "second", "odd")
    )
    found = compare_evaluations(first, second)[Quantity("all", "LV", "Dice")]
    assert found.p == pytest.approx(2 / 64)
    expected = np.mean([1 - 2 * k / (k + 8) for k in range(2, 8)])
    assert found.difference.mean == pytest.approx(expected)
    with pytest.raises(InputError, match="share no case"):
        compare_evaluations(first, odd)


@pytest.mark.real_data
def test_real_manual_labels_against_themselves(acdc: Path, tmp_path: Path) -> None:
    folder = acdc / "patient002"
    for number in ("01", "12"):
        target = tmp_path / f"patient002_frame{number}_seg.nii.gz"
        target.symlink_to(folder / f"patient002_frame{number}_gt.nii.gz")
    found = evaluate_folder(tmp_path, folder)
    assert {score.mean_dice for score in found.scores} == {1.0}
    assert [score.phase for score in found.scores] == ["ED", "ES"]
