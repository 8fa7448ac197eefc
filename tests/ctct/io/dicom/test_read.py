"""A series of DICOM becomes a study: order, geometry, and what of the odd is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import (
    COLUMN,
    COLUMNS,
    NORMAL,
    ORIGIN,
    ROW,
    ROWS,
    SPACING_MM,
    enhanced,
    frame,
    image,
    pixel,
    save,
    write_cine,
)
from pydicom import dcmread
from pydicom.uid import RLELossless

from ctct.errors import InputError
from ctct.io.read import read_study

EXPECTED = np.array([[frame(t, z) for z in range(6)] for t in range(8)], np.float32)


def at(place: float, shift: tuple[float, float, float] = (0, 0, 0)) -> dict[str, Any]:
    """The attribute that moves an image to a place along the normal."""
    return {"ImagePositionPatient": [*(ORIGIN + 8 * place * NORMAL + np.array(shift))]}


def test_files_in_no_order_become_phases_and_slices(tmp_path: Path) -> None:
    study = read_study(write_cine(tmp_path / "cine"))
    np.testing.assert_array_equal(study.voxels, EXPECTED)
    assert study.name == "cine"
    assert study.spacing_mm == SPACING_MM
    assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)  # not SliceLocation's 5
    assert study.notes == ()


def test_the_affine_is_right_handed_and_ras(tmp_path: Path) -> None:
    study = read_study(write_cine(tmp_path / "cine"))
    column, row, place = 4, 7, 5
    lps = ORIGIN + column * 1.5 * ROW + row * 1.25 * COLUMN + place * 8 * NORMAL
    ras = study.affine @ [column, row, place, 1]
    np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-3)
    assert np.linalg.det(study.affine) > 0


def test_labels_overlay_the_images(tmp_path: Path) -> None:
    study = read_study(write_cine(tmp_path / "cine"))
    labels = np.zeros(study.voxels.shape, np.uint8)
    labels[3, 2, 7, 4] = 3
    assert study.label_encoder is not None
    path = tmp_path / "cine_seg.nii.gz"
    path.write_bytes(study.label_encoder.encode_labels(labels))
    written = nib.load(path)
    assert written.shape == (COLUMNS, ROWS, 6, 8)
    assert np.argwhere(np.asarray(written.dataobj)).tolist() == [[4, 7, 2, 3]]
    assert written.header.get_zooms() == pytest.approx((1.5, 1.25, 8, 0.04), abs=1e-3)
    for affine, code in (written.get_qform(coded=True), written.get_sform(coded=True)):
        assert code == 1  # scanner coordinates
        np.testing.assert_allclose(affine, study.affine, atol=1e-3)


def test_an_enhanced_file_says_the_same(tmp_path: Path) -> None:
    study = read_study(save(enhanced(), tmp_path / "enhanced.dcm"))
    np.testing.assert_array_equal(study.voxels, EXPECTED * 2 + 5)  # rescaled
    assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)
    single = read_study(write_cine(tmp_path / "cine"))
    np.testing.assert_allclose(study.affine, single.affine, atol=1e-6)


def test_phases_of_an_enhanced_file_by_their_share_of_the_cycle(tmp_path: Path) -> None:
    dataset = enhanced()
    for one in dataset.PerFrameFunctionalGroupsSequence:
        own = one.CardiacSynchronizationSequence[0]
        own.NominalPercentageOfCardiacPhase = own.NominalCardiacTriggerDelayTime / 10
        del own.NominalCardiacTriggerDelayTime
    study = read_study(save(dataset, tmp_path / "enhanced.dcm"))
    np.testing.assert_array_equal(study.voxels, EXPECTED * 2 + 5)


def test_each_image_has_its_own_rescaling(tmp_path: Path) -> None:
    def change(phase: int, place: int) -> dict[str, Any]:
        return {"RescaleSlope": "2", "RescaleIntercept": str(phase)}

    study = read_study(write_cine(tmp_path / "cine", change=change))
    assert study.voxels[3, 1, 2, 4] == 2 * pixel(3, 1, 2, 4) + 3


def test_compressed_pixels(tmp_path: Path) -> None:
    for t in range(6):
        for z in range(5):
            one = image(t, z)
            one.compress(RLELossless)
            save(one, tmp_path / "cine" / f"{t}_{z}")
    np.testing.assert_array_equal(read_study(tmp_path / "cine").voxels, EXPECTED[:6, :5])


def test_without_trigger_times_the_phases_are_in_order_of_their_number(tmp_path: Path) -> None:
    write_cine(tmp_path / "cine", change=lambda t, z: {"TriggerTime": None})
    np.testing.assert_array_equal(read_study(tmp_path / "cine").voxels, EXPECTED)


def test_times_that_differ_between_slices_keep_each_slice_in_its_order(tmp_path: Path) -> None:
    write_cine(tmp_path / "cine", change=lambda t, z: {"TriggerTime": 500 * z + (41 + z) * t})
    np.testing.assert_array_equal(read_study(tmp_path / "cine").voxels, EXPECTED)


class TestIncomplete:
    def test_a_missing_phase_is_that_next_to_it(self, tmp_path: Path) -> None:
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
    def test_of_a_slice_that_was_repeated_the_later_counts(
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

    def test_a_slightly_uneven_spacing_is_used_and_said(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z + 0.1 * (z == 3)))
        study = read_study(tmp_path / "cine")
        assert study.slice_spacing_mm == pytest.approx(8)
        assert study.notes == ("slices lie 7.2 to 8.8 mm apart; the mean, 8.00 mm, is used",)

    def test_a_missing_slice_is_refused(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", places=7, change=lambda t, z: None if z == 3 else {})
        with pytest.raises(InputError, match=r"8.0 to 16.0 mm apart, so some are missing"):
            read_study(tmp_path / "cine")

    def test_a_shift_within_the_plane_is_said(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z, tuple(4.0 * (z == 2) * ROW)))
        study = read_study(tmp_path / "cine")
        assert study.notes == ("slices are shifted by up to 4.0 mm in their plane",)

    def test_a_sheared_stack_keeps_its_places(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine", change=lambda t, z: at(z, tuple(3.0 * z * ROW)))
        study = read_study(tmp_path / "cine")
        assert study.slice_spacing_mm == pytest.approx(8)
        lps = ORIGIN + 5 * (8 * NORMAL + 3 * ROW)
        np.testing.assert_allclose((study.affine @ [0, 0, 5, 1])[:3], lps * [-1, -1, 1])

    def test_a_slice_of_another_size_is_left_out_and_said(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine")
        for t in range(8):
            odd = image(t, 6)
            odd.Rows, odd.PixelData = 10, frame(t, 6)[:10].tobytes()
            save(odd, tmp_path / "cine" / f"odd{t}")
        study = read_study(tmp_path / "cine")
        assert study.slices == 6
        assert study.notes == ("8 images of the series have another geometry, left out",)

    def test_pixels_that_end_too_early_name_the_file(self, tmp_path: Path) -> None:
        write_cine(tmp_path / "cine")
        short = image(0, 0)
        short.PixelData = short.PixelData[:100]
        (own,) = (p for p in (tmp_path / "cine").iterdir() if dcmread(p).InstanceNumber == 1)
        save(short, own)
        with pytest.raises(InputError, match=rf"{own}: pixels cannot be read.*export it again"):
            read_study(tmp_path / "cine")
