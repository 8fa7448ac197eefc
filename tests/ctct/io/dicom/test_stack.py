"""The images of a series are put in order, and irregularities are noted or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import NORMAL, ORIGIN, ROW, frame, image, save, write_cine

from ctct.cases.read import read_study
from ctct.errors import InputError

EXPECTED = np.array([[frame(t, z) for z in range(6)] for t in range(8)], np.float32)


def at(place: float, shift: tuple[float, float, float] = (0, 0, 0)) -> dict[str, Any]:
    """The attribute that puts an image at a position along the normal."""
    return {"ImagePositionPatient": [*(ORIGIN + 8 * place * NORMAL + np.array(shift))]}


def test_without_trigger_times_the_phases_are_in_order_of_their_number(tmp_path: Path) -> None:
    write_cine(tmp_path / "cine", change=lambda t, z: {"TriggerTime": None})
    np.testing.assert_array_equal(read_study(tmp_path / "cine").voxels, EXPECTED)


def test_times_that_differ_between_slices_keep_each_slice_in_its_order(tmp_path: Path) -> None:
    write_cine(tmp_path / "cine", change=lambda t, z: {"TriggerTime": 500 * z + (41 + z) * t})
    np.testing.assert_array_equal(read_study(tmp_path / "cine").voxels, EXPECTED)


class TestIncomplete:
    def test_a_missing_phase_is_replaced_by_the_nearest(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: None if (t, z) == (0, 2) else {})
        study = read_study(tmp_path / "cine")
        np.testing.assert_array_equal(study.voxels[0, 2], frame(1, 2))
        np.testing.assert_array_equal(study.voxels[1:], EXPECTED[1:])
        assert study.notes == ("slice 2 has 7 phases, the others 8: the nearest in time is used",)

    def test_several_missing_phases_are_refused(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: None if z == 2 and 2 < t < 6 else {})
        with pytest.raises(InputError, match="slice 2 has 5 phases, the others 8; too many"):
            read_study(tmp_path / "cine")

    def test_a_missing_phase_without_times_is_refused(self, tmp_path: Path) -> None:
        def change(t: int, z: int) -> dict[str, Any] | None:
            return None if (t, z) == (3, 2) else {"TriggerTime": None}

        write_cine(tmp_path / "cine", change=change)
        with pytest.raises(InputError, match="8, 8, 7, 8, 8, 8 images and no TriggerTime"):
            read_study(tmp_path / "cine")

    @pytest.mark.parametrize("timed", [True, False])
    def test_the_later_images_of_a_repeated_slice_are_used(
        self, tmp_path: Path, timed: bool
    ) -> None:
        times = {} if timed else {"TriggerTime": None}
        write_cine(tmp_path / "cine", change=lambda t, z: times)
        for t in range(8):
            again = image(t, 2, InstanceNumber=1000 + t, **times)
            again.PixelData = frame(t, 9).tobytes()
            save(again, tmp_path / "cine" / f"again{t}")
        study = read_study(tmp_path / "cine")
        np.testing.assert_array_equal(study.voxels[:, 2], [frame(t, 9) for t in range(8)])
        assert study.notes == ("images that were there twice: 8; the later ones are used",)

    def test_a_slightly_uneven_spacing_is_used_and_noted(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z + 0.1 * (z == 3)))
        study = read_study(tmp_path / "cine")
        assert study.slice_spacing_mm == pytest.approx(8)
        assert study.notes == ("slices lie 7.2 to 8.8 mm apart; the mean, 8.00 mm, is used",)

    def test_a_missing_slice_is_refused(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", places=7, change=lambda t, z: None if z == 3 else {})
        with pytest.raises(InputError, match=r"8.0 to 16.0 mm apart, so some are missing"):
            read_study(tmp_path / "cine")

    def test_a_shift_within_the_plane_is_noted(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z, tuple(4.0 * (z == 2) * ROW)))
        study = read_study(tmp_path / "cine")
        assert study.notes == ("slices are shifted by up to 4.0 mm in their plane",)

    def test_a_sheared_stack_keeps_its_positions(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z, tuple(3.0 * z * ROW)))
        study = read_study(tmp_path / "cine")
        assert study.slice_spacing_mm == pytest.approx(8)
        lps = ORIGIN + 5 * (8 * NORMAL + 3 * ROW)
        np.testing.assert_allclose((study.affine @ [0, 0, 5, 1])[:3], lps * [-1, -1, 1])

    def test_a_slice_of_another_size_is_left_out_and_noted(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine")
        for t in range(8):
            odd = image(t, 6)
            odd.Rows, odd.PixelData = 10, frame(t, 6)[:10].tobytes()
            save(odd, tmp_path / "cine" / f"odd{t}")
        study = read_study(tmp_path / "cine")
        assert study.slices == 6
        assert study.notes == ("8 images of the series have another geometry, left out",)
