"""Reading a DICOM series: voxels, geometry, rescaling and labels."""

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

from ctct.cases.read import read_study
from ctct.errors import InputError

EXPECTED = np.array([[frame(t, z) for z in range(6)] for t in range(8)], np.float32)


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


def test_an_enhanced_file_gives_the_same_study(tmp_path: Path) -> None:
    study = read_study(save(enhanced(), tmp_path / "enhanced.dcm"))
    np.testing.assert_array_equal(study.voxels, EXPECTED * 2 + 5)  # rescaled
    assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)
    single = read_study(write_cine(tmp_path / "cine"))
    np.testing.assert_allclose(study.affine, single.affine, atol=1e-6)


def test_phases_of_an_enhanced_file_by_percentage_of_the_cycle(tmp_path: Path) -> None:
    dataset = enhanced()
    for one in dataset.PerFrameFunctionalGroupsSequence:
        sequence = one.CardiacSynchronizationSequence[0]
        sequence.NominalPercentageOfCardiacPhase = sequence.NominalCardiacTriggerDelayTime / 10
        del sequence.NominalCardiacTriggerDelayTime
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


def test_pixels_that_end_too_early_name_the_file(tmp_path: Path) -> None:
    write_cine(tmp_path / "cine")
    short = image(0, 0)
    short.PixelData = short.PixelData[:100]
    (first,) = (p for p in (tmp_path / "cine").iterdir() if dcmread(p).InstanceNumber == 1)
    save(short, first)
    with pytest.raises(InputError, match=rf"{first}: pixels cannot be read.*export it again"):
        read_study(tmp_path / "cine")
