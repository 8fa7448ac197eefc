from __future__ import annotations

import numpy as np
import pytest

from ctct.errors import InputError
from ctct.labels import CLASSES, COLORS, ORDERS, STRUCTURES, VALUE, bounding_box, remap


def test_ctct_works_in_the_acdc_order() -> None:
    assert CLASSES == ("background", "RV", "MYO", "LV")
    assert (
        {name: VALUE[name] for name in STRUCTURES} == ORDERS["acdc"] == {"RV": 1, "MYO": 2, "LV": 3}
    )


def test_every_structure_has_a_color_of_its_own() -> None:
    assert set(COLORS) == set(STRUCTURES)
    assert len(set(COLORS.values())) == len(STRUCTURES)
    assert all(0 <= channel <= 255 for color in COLORS.values() for channel in color)


@pytest.mark.parametrize("order", ["mnms", "ukbb", "monai"])
def test_remap_swaps_the_ventricles(order: str) -> None:
    # There the left ventricle is 1 and the right one 3.
    label_map = np.array([[0, 1], [2, 3]], np.uint8)
    found = remap(label_map, source=order)
    assert found.tolist() == [[0, 3], [2, 1]]
    assert found.dtype == np.uint8


@pytest.mark.parametrize("source", ORDERS)
@pytest.mark.parametrize("target", ORDERS)
def test_remap_there_and_back(source: str, target: str) -> None:
    label_map = np.random.default_rng(0).integers(0, 4, (2, 3, 4, 5))
    there = remap(label_map, source, target)
    for structure in STRUCTURES:
        np.testing.assert_array_equal(
            there == ORDERS[target][structure], label_map == ORDERS[source][structure]
        )
    np.testing.assert_array_equal(remap(there, target, source), label_map)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i8", ">i2"])
def test_remap_takes_every_integer(dtype: str) -> None:
    assert remap(np.array([3, 0], dtype), "mnms").tolist() == [1, 0]


def test_remap_of_nothing_is_nothing() -> None:
    assert remap(np.zeros((0, 4), np.uint8)).shape == (0, 4)


@pytest.mark.parametrize("value", [4, -1, 255, 256, 70000])
def test_remap_refuses_a_value_without_a_name(value: int) -> None:
    with pytest.raises(InputError) as caught:
        remap(np.array([0, 1, value]), "mnms")
    message = str(caught.value)
    assert f"holds {value}; expected 0 and 1 (LV), 2 (MYO), 3 (RV)" in message
    assert "\n" not in message


def test_remap_tells_a_scan_from_a_label_map() -> None:
    with pytest.raises(InputError, match=r"^holds 19 different values, from 0 to 18, as a scan"):
        remap(np.arange(19) + np.zeros((3, 1), int), {"LV": 1})
    with pytest.raises(
        InputError, match="holds 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16"
    ):
        remap(np.arange(17), {"LV": 1})


@pytest.mark.parametrize("orders", [("siemens", "acdc"), ("acdc", "siemens")])
def test_remap_refuses_an_unknown_order(orders: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="'siemens'; choose one of acdc, mnms, ukbb, monai"):
        remap(np.zeros(3, np.uint8), *orders)


def test_the_rows_and_columns_that_hold_labels() -> None:
    maps = np.zeros((2, 3, 8, 9), np.uint8)
    maps[0, 1, 2, 5] = 1
    maps[1, 2, 6, 7] = 3
    assert bounding_box(maps) == (slice(2, 7), slice(5, 8))
    rows, columns = bounding_box(maps, margin=2)
    assert (rows.start, columns.start) == (0, 3)
    assert maps[..., rows, columns].shape == (2, 3, 8, 6)  # no rows or columns beyond the last
    assert bounding_box(np.zeros((3, 4, 5), np.uint8), margin=1) == (slice(0, 4), slice(0, 5))
