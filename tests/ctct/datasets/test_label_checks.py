from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests_support import phantom

from ctct.datasets.collection import Volume
from ctct.datasets.label_checks import check_label_order
from ctct.errors import InputError


def volume(name: str, values: tuple[int, ...] = (1, 2, 3), slices: int = 3) -> Volume:
    labels = np.array([0, *values], np.uint8)[phantom(40, 44, slices)]
    return Volume(name.split("_")[0], name, labels * 50, labels, (1.5, 1.5))


def test_the_right_order() -> None:
    check_label_order([volume("P1"), volume("P2"), replace(volume("P3"), labels=None)], "data")
    check_label_order([], "data")


@pytest.mark.parametrize("values", list(itertools.permutations((1, 2, 3)))[1:])
def test_every_other_order_is_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"data: labels look exchanged: .* try --label-order mnms"):
        check_label_order([volume("P1", values), volume("P2", values)], "data")


@pytest.mark.parametrize("values", [(3, 2, 1), (1, 3, 2)])
@pytest.mark.parametrize("slices", [1, 3])
def test_one_patient_among_many_is_named(values: tuple[int, int, int], slices: int) -> None:
    many = [volume(f"P{n}") for n in range(20)]
    with pytest.raises(InputError, match="data: labels of P9 look exchanged"):
        check_label_order([*many[:9], volume("P9", values, slices), *many[10:]], "data")


def test_one_frame_of_a_patient_is_named() -> None:
    with pytest.raises(InputError, match="labels of P1_ES look exchanged"):
        check_label_order([volume("P1_ED"), volume("P1_ES", (3, 2, 1))], "data")
