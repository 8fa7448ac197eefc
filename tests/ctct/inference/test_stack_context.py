from __future__ import annotations

import numpy as np
import pytest

from ctct.inference.segmentation import Segmentation, clean_components
from ctct.inference.stack_context import remove_rv_above_base
from ctct.io.study import Study
from ctct.labels import LV, MYO, RV, VALUE


def frame(rv_rows: int = 12) -> np.ndarray:
    """(8, 64, 64), base first, with RV of 12 rows, but in the first slice of ``rv_rows``."""
    labels = np.zeros((8, 64, 64), np.uint8)
    labels[:, 24:44, 24:44] = VALUE[MYO]
    labels[:, 29:39, 29:39] = VALUE[LV]
    labels[:, 28:40, 14:24] = VALUE[RV]
    labels[0, 28 + rv_rows : 40, 14:24] = 0
    labels[-1] = 0
    labels[-1, 29:39, 29:39] = VALUE[MYO]
    return labels


def study(labels: np.ndarray, order: object = slice(None)) -> Study:
    """A scan whose slices are alike to their neighbors, in that order."""
    generator = np.random.default_rng(0)
    steps = generator.normal(0, 1, (labels.shape[1], *labels.shape[2:]))
    slices = np.cumsum(steps, axis=0)[order]
    return Study(
        "scan", np.repeat(slices[None], len(labels), 0).astype(np.float32), (1.5, 1.5), 8.0
    )


def test_one_slice_too_many_is_removed_and_the_input_is_left_alone() -> None:
    labels = frame(2)[None]
    before = labels.copy()
    found = remove_rv_above_base(labels, study(labels))
    expected = labels.copy()
    expected[0, 0][expected[0, 0] == VALUE[RV]] = 0
    assert (found == expected).all()
    assert (labels == before).all()


def test_a_whole_heart_stays_the_same_array() -> None:
    labels = frame()[None]
    assert remove_rv_above_base(labels, study(labels)) is labels


@pytest.mark.parametrize("slices", [1, 4])
def test_few_slices_stay(slices: int) -> None:
    labels = frame(2)[None, :slices]
    assert remove_rv_above_base(labels, study(labels)) is labels


def test_slices_out_of_order_stay() -> None:
    labels = frame(2)[None]
    shuffled = study(labels, [0, 4, 1, 5, 2, 6, 3, 7])
    assert remove_rv_above_base(labels, shuffled) is labels


def removed_in(labels: np.ndarray) -> list[int]:
    """Frames from which the RV of the first slice was removed."""
    found = remove_rv_above_base(labels, study(labels))
    return [t for t in range(len(labels)) if (found[t] != labels[t]).any()]


def test_in_a_cine_one_frame_alone_does_not_decide() -> None:
    alone = np.stack([frame(2 if t == 3 else 12) for t in range(8)])
    assert removed_in(alone) == []
    together = np.stack([frame(2 if t in (3, 4) else 12) for t in range(8)])
    assert removed_in(together) == [3, 4]
    around_the_end = np.stack([frame(2 if t in (0, 7) else 12) for t in range(8)])
    assert removed_in(around_the_end) == [0, 7]
    beside_none = np.stack([frame({3: 2, 4: 0}.get(t, 12)) for t in range(8)])
    assert removed_in(beside_none) == [3]


def test_a_few_frames_decide_alone() -> None:
    assert removed_in(np.stack([frame(), frame(2)])) == [1]


def test_what_lies_above_the_base_does_not_count_as_removed() -> None:
    labels = frame(2)[None]
    raw = Segmentation(study(labels), labels, np.zeros(labels.shape, np.float16))
    found = clean_components(raw)
    assert not (found.labels[0, 0] == VALUE[RV]).any()
    assert found.removed == (0,)
