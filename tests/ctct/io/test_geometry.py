from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from ctct.errors import InputError
from ctct.io.geometry import measure_slice_step

NORMAL = np.array([0.0, 0.0, 1.0])


def measure(
    positions: list[tuple[float, float, float]],
) -> tuple[npt.NDArray[np.float64], float, tuple[str, ...]]:
    return measure_slice_step(np.array(positions), NORMAL, 1.5, "p1", "add them")


def test_an_even_stack() -> None:
    step, slice_mm, notes = measure([(5, 6, 0), (5, 6, 8), (5, 6, 16)])
    assert step.tolist() == [0, 0, 8]
    assert slice_mm == 8
    assert notes == ()


def test_a_single_slice_has_no_spacing() -> None:
    step, slice_mm, notes = measure([(5, 6, 7)])
    assert step.tolist() == NORMAL.tolist()
    assert math.isnan(slice_mm)
    assert notes == ()


def test_a_sheared_stack_has_an_oblique_step_and_no_note() -> None:
    step, slice_mm, notes = measure([(0, 0, 0), (3, 0, 8), (6, 0, 16)])
    assert step.tolist() == [3, 0, 8]
    assert slice_mm == 8  # along the normal, not the length of the step
    assert notes == ()


def test_uneven_gaps_are_noted_up_to_a_fifth() -> None:
    # Gaps of 9.5 and 6.5 mm: the mean is 8 mm, the deviation 1.5 mm < 0.2 × 8 mm.
    _, slice_mm, notes = measure([(0, 0, 0), (0, 0, 9.5), (0, 0, 16)])
    assert slice_mm == 8
    assert notes == ("slices lie 6.5 to 9.5 mm apart; the mean, 8.00 mm, is used",)


def test_larger_gaps_are_refused() -> None:
    with pytest.raises(InputError, match=r"^p1: slices lie 8\.0 to 16\.0 mm apart.*; add them$"):
        measure([(0, 0, 0), (0, 0, 8), (0, 0, 24)])


def test_the_places_of_the_gaps_are_named() -> None:
    with pytest.raises(InputError, match=r"missing, between slices 1 and 2, 3 and 4 \(from 0\);"):
        measure([(0, 0, z) for z in (0, 8, 24, 32, 56, 64)])


def test_a_shift_of_more_than_a_pixel_is_noted() -> None:
    assert measure([(0, 0, 0), (1.4, 0, 8), (0, 0, 16)])[2] == ()
    (note,) = measure([(0, 0, 0), (0, 1.6, 8), (0, 0, 16)])[2]
    assert note == "slices are shifted by up to 1.6 mm in their plane"
