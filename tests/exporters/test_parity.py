from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ctct.exporters.parity import LIMITS, Limits, Parity, compare
from ctct.inference.segmentation import Segmentation
from ctct.io.study import Study

#: One voxel is 1 × 1 × 10 mm = 0.01 mL.
STUDY = Study("made", np.ones((2, 1, 40, 40), np.float32), (1.0, 1.0), 10.0)


def segmentation(ed: int, es: int, rv: int = 100, disagreement: float = 0.25) -> Segmentation:
    """Two frames with ``ed`` and ``es`` voxels of LV, 100 of MYO and ``rv`` of RV each."""
    labels = np.zeros((2, 1600), np.uint8)
    for frame, lv in enumerate((ed, es)):
        labels[frame, :lv] = 3
        labels[frame, 1000:1100] = 2
        labels[frame, 1200 : 1200 + rv] = 1
    labels = labels.reshape(2, 1, 40, 40)
    return Segmentation(STUDY, labels, np.full(labels.shape, disagreement, np.float16))


def test_equal_segmentations() -> None:
    parity = compare([segmentation(800, 400)], [segmentation(800, 400)])
    assert parity == Parity(1.0, {"RV": 1.0, "MYO": 1.0, "LV": 1.0}, 0.0, 0.0, 0.0, 0.0)
    assert all(limits.failures(parity) == [] for limits in LIMITS.values())


def test_worked_by_hand() -> None:
    parity = compare([segmentation(800, 400)], [segmentation(700, 420, disagreement=0.75)])
    assert parity.agreement == 1 - 120 / 3200  # 100 voxels at ED, 20 at ES
    # Both frames together: 1200 and 1120 voxels, of which 700 + 400 in common.
    assert parity.dice == {"RV": 1.0, "MYO": 1.0, "LV": 2 * 1100 / 2320}
    assert parity.disagreement == 0.5
    assert parity.edv_ml == pytest.approx(1.0)  # 100 voxels
    assert parity.esv_ml == pytest.approx(0.2)
    assert parity.ef_points == pytest.approx(50 - 100 * 280 / 700)  # 50 % and 40 %


def test_ed_and_es_are_frames_of_the_reference() -> None:
    """A candidate that swaps ED and ES must not pass."""
    parity = compare([segmentation(800, 400)], [segmentation(400, 800)])
    assert parity.edv_ml == pytest.approx(4.0)


def test_the_worst_study_and_ventricle_decide() -> None:
    same, worse = segmentation(800, 400), segmentation(800, 400, rv=60)
    parity = compare([same, same, same], [same, worse, same])
    assert parity.edv_ml == parity.esv_ml == pytest.approx(0.4)  # RV 40 voxels too few
    assert parity.ef_points == 0.0  # no RV contracts


def test_a_missing_structure() -> None:
    parity = compare([segmentation(800, 400)], [segmentation(0, 0)])
    assert parity.dice["LV"] == 0.0
    assert parity.ef_points == math.inf
    assert LIMITS["int8"].failures(parity) == [
        "Dice LV 0.0000 < 0.99",
        "ΔEDV 8.00 mL > 1.5 mL",
        "ΔESV 4.00 mL > 1.5 mL",
        "ΔEF inf > 0.7 points",
    ]


def test_structures_that_neither_has_are_named() -> None:
    parity = compare([segmentation(800, 400, rv=0)], [segmentation(800, 400, rv=0)])
    assert parity.untested == ("RV",)
    assert parity.dice == {"MYO": 1.0, "LV": 1.0}
    assert str(parity).endswith(", not tested as absent: RV")
    assert LIMITS["fp32"].failures(parity) == []


def test_a_structure_that_only_the_candidate_has_is_tested() -> None:
    parity = compare([segmentation(800, 400, rv=0)], [segmentation(800, 400, rv=9)])
    assert (parity.untested, parity.dice["RV"]) == ((), 0.0)


@pytest.mark.parametrize("precision", LIMITS)
def test_nothing_segmented_does_not_pass(precision: str) -> None:
    empty = segmentation(0, 0)
    empty = replace(empty, labels=np.zeros_like(empty.labels))
    parity = compare([empty, empty], [empty, empty])
    assert parity.untested == ("RV", "MYO", "LV")
    assert LIMITS[precision].failures(parity) == ["nothing was segmented in any study"]


def test_numbers_that_are_not_finite_are_none_in_json() -> None:
    parity = compare([segmentation(800, 400)], [segmentation(0, 0, disagreement=math.nan)])
    plain = json.loads(json.dumps(parity.to_dict(), allow_nan=False))
    assert (plain["ef_points"], plain["disagreement"], plain["esv_ml"]) == (None, None, 4.0)


def test_the_volume_of_a_single_frame() -> None:
    study = replace(STUDY, voxels=STUDY.voxels[:1])
    one, other = (
        Segmentation(study, s.labels[:1], s.disagreement[:1])
        for s in (segmentation(800, 0), segmentation(750, 0))
    )
    parity = compare([one], [other])
    assert (parity.edv_ml, parity.esv_ml, parity.ef_points) == (pytest.approx(0.5), 0.0, 0.0)


def test_nan_does_not_pass() -> None:
    parity = replace(compare([segmentation(8, 4)], [segmentation(8, 4)]), agreement=math.nan)
    assert Limits(agreement=0.5).failures(parity) == ["agreement nan < 0.5"]


@pytest.mark.parametrize(
    ("precision", "value", "passes"),
    [("fp16", 0.9981, True), ("fp16", 0.9979, False), ("int8", 0.991, True), ("int8", 0.98, False)],
)
def test_limits_of_dice(precision: str, value: float, passes: bool) -> None:
    parity = Parity(0.9999, {"RV": value, "MYO": 1.0, "LV": 1.0}, 0.0, 0.0, 0.0, 0.0)
    assert (LIMITS[precision].failures(parity) == []) is passes
