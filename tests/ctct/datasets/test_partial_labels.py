from __future__ import annotations

import logging

import numpy as np
import pytest

from ctct.datasets.collection import Volume
from ctct.datasets.partial_labels import check_numbers, keep_known
from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE


def volume(name: str = "P1", slices: int = 8, **areas: list[int]) -> Volume:
    """Pixels of 2 × 2.5 mm, 5 mm² each; in slice z, ``areas[s][z]`` of them show structure s."""
    labels = np.zeros((slices, 60, 10), np.uint8)
    for structure, counts in areas.items():
        rows = labels[:, 20 * STRUCTURES.index(structure) :].reshape(slices, -1)
        for z, count in enumerate(counts):
            rows[z, :count] = VALUE[structure]
    return Volume(name, name, np.zeros_like(labels), labels, (2.0, 2.5))


def shown(one: Volume) -> list[int]:
    """Pixels of each structure."""
    assert one.labels is not None
    return [int((one.labels == VALUE[s]).sum()) for s in STRUCTURES]


class TestKeepKnown:
    @pytest.mark.parametrize("structures", [(LV,), (RV,), (MYO,), (RV, LV), (MYO, LV), STRUCTURES])
    def test_what_the_labels_show_is_known(self, structures: tuple[str, ...]) -> None:
        one = volume(**{s: [0, 20, 30, 30, 20, 4, 0, 0] for s in structures})
        found = keep_known(one)
        assert found.known == structures
        np.testing.assert_array_equal(found.labels, one.labels)

    def test_a_stray_voxel_does_not_make_a_structure_known(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = volume("P1_LV", LV=[0, 20, 30, 30, 20, 10], RV=[0, 0, 1])
        found = keep_known(one)
        assert found.known == (LV,)
        assert shown(found) == [0, 0, 110]  # unknown there, as everywhere else
        assert shown(one) == [1, 0, 110]  # the volume itself is unchanged
        assert (
            "P1_LV: 1 pixels of RV in 1 of 5 slices with labels are too few to count" in caplog.text
        )

    @pytest.mark.parametrize(("pixels", "known"), [(4, ()), (5, (RV,))])
    def test_from_25_mm2_on(self, pixels: int, known: tuple[str, ...]) -> None:
        found = keep_known(volume(slices=1, RV=[pixels]))
        assert found.known == known
        assert (found.labels is None) == (not known)

    @pytest.mark.parametrize(("slices", "known"), [(1, (LV,)), (2, (MYO, LV)), (4, (MYO, LV))])
    def test_from_a_quarter_of_the_labelled_slices_on(
        self, slices: int, known: tuple[str, ...]
    ) -> None:
        """Seven slices with the LV: a wall in one of them is no wall that was labelled."""
        found = keep_known(volume(LV=[30] * 7, MYO=[40] * slices))
        assert found.known == known

    def test_without_labels(self) -> None:
        one = Volume("a", "a", np.zeros((1, 4, 4), np.uint8), None, (1, 1))
        assert keep_known(one) is one

    def test_healthy_labels_give_no_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        keep_known(volume(RV=[30] * 4, MYO=[40] * 8, LV=[40] * 7 + [3]))
        assert not caplog.text


def known(name: str, *structures: str) -> Volume:
    return keep_known(volume(name, **{s: [30] * 8 for s in structures}))


class TestCheckNumbers:
    @pytest.mark.parametrize(
        "volumes",
        [
            [known("sbj01_LVED", LV), known("sbj01_RVES", RV)],
            [known("P1_lv", LV), known("P1-rv-es_t03", RV), known("LV2", LV)],
            [known("P1_LV_and_RV", RV, LV)],
            [known("P1", MYO, LV), known("P2", RV)],  # the wall shows which number is the LV
        ],
    )
    def test_names_or_the_wall_confirm_them(self, volumes: list[Volume]) -> None:
        check_numbers(volumes, "data")

    @pytest.mark.parametrize(
        "volumes",
        [
            [known("P1", RV)],  # a mask of 0 and 1, whatever it shows
            [known("P1_LVED", RV)],
            [known("P1_LV", LV), known("P2", LV)],
            [known("P1_LV", RV, LV)],
            [known("silva_1", LV)],
            [known("P1", MYO)],
            [known("P1_RV", RV, MYO)],  # LV 1 and MYO 2, read in the order of ACDC
        ],
    )
    def test_what_nothing_confirms_is_refused(self, volumes: list[Volume]) -> None:
        with pytest.raises(InputError, match=r"data: nothing tells.*are read as.*dataset\.json"):
            check_numbers(volumes, "data")

    def test_some_names_are_given(self) -> None:
        with pytest.raises(InputError, match=r"needed for P0, P1, P2, P3, P4 and 2 more$"):
            check_numbers([known(f"P{n}", LV) for n in range(7)], "data")
