from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.io.label_maps import read_labels
from ctct.measurement.subject import Subject
from ctct.measurement.volumes import INDEX_COLUMNS, frame_volumes, measure_frames


def test_two_voxels_of_11_by_12_by_10_mm() -> None:
    labels = np.zeros((1, 1, 2, 2), np.uint8)
    labels[0, 0, 0] = 3
    (frame,) = frame_volumes(labels, voxel_ml=1.1 * 1.2 * 10 / 1000)
    assert frame.volume_ml == {"RV": 0.0, "MYO": 0.0, "LV": pytest.approx(0.0264)}


def test_indices_by_hand() -> None:
    labels = np.zeros((3, 1, 10, 10), np.uint8)
    for t, (rv, myo, lv) in enumerate([(20, 12, 18), (30, 10, 20), (15, 14, 8)]):
        labels[t].flat[: rv + myo + lv] = [1] * rv + [2] * myo + [3] * lv
    measured = measure_frames(frame_volumes(labels, voxel_ml=2.0))
    assert (measured.ed, measured.es) == (1, 2)
    assert measured.indices == pytest.approx(
        {
            "LVEDV (mL)": 40,
            "LVESV (mL)": 16,
            "LVSV (mL)": 24,
            "LVEF (%)": 60,
            "RVEDV (mL)": 60,
            "RVESV (mL)": 30,
            "RVSV (mL)": 30,
            "RVEF (%)": 50,
            "LVM (g)": 21,  # 10 voxels x 2 mL x 1.05 g/mL
            "LVM ES (g)": 29.4,  # 14 voxels
            "LVSV/RVSV": 0.8,  # 24 / 30
        }
    )
    assert tuple(measured.indices) == INDEX_COLUMNS


def test_requested_phases_win_over_the_curve() -> None:
    labels = np.zeros((2, 1, 4, 4), np.uint8)
    labels[1] = 3
    measured = measure_frames(frame_volumes(labels, 1.0), ed=0, es=1)
    assert (measured.ed, measured.es) == (0, 1)
    assert math.isnan(measured.indices["LVEF (%)"])  # EDV is 0


@pytest.mark.parametrize(("frames", "doubtful"), [(2, False), (3, True), (7, True), (8, False)])
def test_ed_and_es_among_few_frames_are_doubtful(frames: int, doubtful: bool) -> None:
    labels = np.zeros((frames, 1, 10, 10), np.uint8)
    for t in range(frames):  # 100, 80, 60, 40, 20, 40, … voxels
        labels[t].flat[: 20 + 20 * abs(4 - t)] = 3
    volumes = frame_volumes(labels, voxel_ml=1.0)
    shown = f"{frames} frames are too few to find ED and ES among them; name both where known"
    assert (shown in measure_frames(volumes).warnings) is doubtful
    assert (shown in measure_frames(volumes, ed=0).warnings) is doubtful
    assert shown not in measure_frames(volumes, ed=0, es=1).warnings


def test_given_phases_far_from_the_extreme_volumes_are_noted() -> None:
    labels = np.zeros((4, 1, 10, 10), np.uint8)
    for t, lv in enumerate((20, 17, 10, 8)):
        labels[t].flat[:lv] = 3
    frames = frame_volumes(labels, voxel_ml=2.0)
    # 15 % of the largest volume, 40 mL, are 6 mL: frame 1 with 34 mL and frame 2 with 20 are near.
    assert not [w for w in measure_frames(frames, 1, 2).warnings if "the given" in w]
    assert [w for w in measure_frames(frames, 2, 1).warnings if "the given" in w] == [
        "the LV has 20 mL in frame 2, the given ED, and 40 mL in frame 0, the largest volume",
        "the LV has 34 mL in frame 1, the given ES, and 16 mL in frame 3, the smallest volume",
    ]


def test_one_frame_has_volumes_but_no_indices() -> None:
    measured = measure_frames(frame_volumes(np.ones((1, 1, 2, 2), np.uint8), 0.5))
    assert measured.frames[0].volume_ml["RV"] == 2.0
    assert measured.indices == {}


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="got \\(2, 2\\)"):
        frame_volumes(np.zeros((2, 2), np.uint8), 1.0)
    with pytest.raises(InputError, match="no frame"):
        measure_frames([])


def test_volumes_of_manual_labels_are_counted_voxels_to_a_millionth() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, (2, 9, 31, 37)).astype(np.uint8)
    voxel_ml = 1.36719 * 1.36719 * 10 / 1000
    for frame, volumes in zip(labels, frame_volumes(labels, voxel_ml), strict=True):
        for value, structure in ((1, "RV"), (2, "MYO"), (3, "LV")):
            by_hand = sum(int(v == value) for v in frame.ravel().tolist()) * voxel_ml
            assert abs(volumes.volume_ml[structure] - by_hand) < 1e-6


def test_the_body_adds_its_indices() -> None:
    labels = np.zeros((2, 1, 10, 10), np.uint8)
    for t, lv in enumerate((60, 20)):
        labels[t].flat[:lv] = 3
    subject = Subject("M", height_cm=180, weight_kg=80, heart_rate_bpm=60)
    indices = measure_frames(frame_volumes(labels, 2.0), subject=subject).all_indices
    assert indices["LVEDVi (mL/m2)"] == pytest.approx(60)  # 120 mL over sqrt(180 x 80 / 3600) = 2
    assert indices["LVCO (L/min)"] == pytest.approx(4.8)  # 80 mL x 60
    assert indices["LVCOi (L/min/m2)"] == pytest.approx(2.4)


@pytest.mark.real_data
def test_real_manual_contours_give_the_volumes_of_their_reference(scd: Path) -> None:
    with (scd / "reference.csv").open(newline="") as file:
        references = list(csv.DictReader(file))
    for row in references:
        frames = []
        for phase in ("ed_gt", "es_gt_cavity"):
            study, labels = read_labels(scd / f"{row['patient']}_{phase}.nii.gz")
            # The slices lie as far apart as the positions say; the files' own header agrees.
            assert study.slice_spacing_mm == pytest.approx(float(row["slice_step_mm_from_ipp"]))
            frames += frame_volumes(labels, study.voxel_ml)
        indices = measure_frames(frames).indices
        for index, column in (
            ("LVEDV (mL)", "edv_ml_gt"),
            ("LVESV (mL)", "esv_ml_gt"),
            ("LVEF (%)", "ef_pct_gt"),
            ("LVM (g)", "lv_mass_g_gt"),
        ):
            assert indices[index] == pytest.approx(float(row[column]), rel=0.005)
