from __future__ import annotations

import numpy as np
import pytest

from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.rv_base import MODEL, BaseModel, base_indicators, find_extra_slice


def heart(slices: int = 6) -> np.ndarray:
    """(Z, 24, 24), base first: LV of 4 x 4 in a ring of 8 x 8, RV of 6 x 4; the apex is solid."""
    labels = np.zeros((slices, 24, 24), np.uint8)
    labels[:, 8:16, 8:16] = VALUE[MYO]
    labels[:, 10:14, 10:14] = VALUE[LV]
    labels[:, 9:15, 4:8] = VALUE[RV]
    labels[-1] = 0
    labels[-1, 10:14, 10:14] = VALUE[MYO]
    return labels


def with_little_rv_at_the_base() -> np.ndarray:
    """Of the 6 rows of RV one is left in the first slice."""
    labels = heart()
    labels[0, 9:14, 4:8] = 0
    return labels


def test_indicators_by_hand() -> None:
    # RV: 4 of 24 pixels go on. LV and wall: 64 of 64 pixels. Muscle: 5 slices of 64 - 16 and 16
    # pixels at the apex, of 5 · 64 + 16.
    z, found = next(base_indicators(with_little_rv_at_the_base()))
    assert z == 0
    assert found == pytest.approx({"lost": 20 / 24, "wall": 1.0, "muscle": 256 / 336})


def test_the_next_slices_follow_up_to_the_last_but_one() -> None:
    assert [z for z, _ in base_indicators(heart())] == [0, 1, 2, 3]
    assert all(found["lost"] == 0 for _, found in base_indicators(heart()))


def test_an_rv_that_goes_on_stays() -> None:
    assert find_extra_slice(heart()) is None


def test_a_little_rv_beside_the_whole_wall_is_one_slice_too_many_in_either_order() -> None:
    labels = with_little_rv_at_the_base()
    assert find_extra_slice(labels) == 0
    assert find_extra_slice(labels[::-1]) == 5


def test_an_outflow_tract_beyond_the_end_of_the_lv_stays() -> None:
    labels = with_little_rv_at_the_base()
    labels[0][labels[0] != VALUE[RV]] = 0
    assert find_extra_slice(labels) is None


def test_a_thin_wall_speaks_for_the_rv() -> None:
    labels = with_little_rv_at_the_base()
    labels[0, 11:14, 4:8] = VALUE[RV]  # 4 of 6 rows
    assert find_extra_slice(labels) is None
    labels[0, 11:12, 4:8] = 0  # 3 of 6 rows
    thick = find_extra_slice(labels)
    labels[:-1, 9:15, 9:15] = VALUE[LV]
    assert thick == 0
    assert find_extra_slice(labels) is None


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(with_little_rv_at_the_base()[:1], id="a single slice"),
        pytest.param(with_little_rv_at_the_base()[[0, 1, 2, 5]], id="four slices"),
        pytest.param(np.where(heart() == VALUE[RV], 0, heart()), id="no RV"),
        pytest.param(np.where(heart() == VALUE[RV], heart(), 0), id="no LV"),
        pytest.param(np.zeros((6, 24, 24), np.uint8), id="nothing"),
    ],
)
def test_where_base_and_apex_or_the_rv_are_not_known_nothing_is_found(labels: np.ndarray) -> None:
    assert find_extra_slice(labels.astype(np.uint8)) is None


def test_an_rv_apart_from_the_others_is_not_judged() -> None:
    labels = with_little_rv_at_the_base()
    labels[1][labels[1] == VALUE[RV]] = 0
    assert find_extra_slice(labels) is None


def test_the_model_shipped_never_takes_doubt_for_trust() -> None:
    assert min(MODEL.weights.values()) >= 0


def test_chance_by_hand() -> None:
    # 1 / (1 + e^(2 · 0.5 - 1)) = 0.5
    assert BaseModel(1.0, {"lost": 2.0}).chance({"lost": 0.5, "wall": 1.0}) == pytest.approx(0.5)
