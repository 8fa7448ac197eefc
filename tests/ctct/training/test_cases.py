from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from ctct.errors import InputError
from ctct.models.grid import NetworkGrid
from ctct.training.cases import LabelledVolume, SliceSet, read_labelled, read_splits


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def identity(n: int) -> Tensor:
    return torch.eye(2, 3).expand(n, 2, 3)


def volume(
    patient: str = "a", size: tuple[int, int] = (40, 36), spacing_mm: tuple[float, float] = (1, 1)
) -> LabelledVolume:
    """Two slices whose only bright pixels are those of the LV, an ellipse off the centre."""
    rows, columns = np.indices(size)
    radius = np.hypot(rows - size[0] / 2 - 3, (columns - size[1] / 2 + 2) / 1.5)
    labels = np.select([radius < 5, radius < 8], [3, 2], 0).astype(np.uint8)
    labels = np.repeat(labels[None], 2, 0)
    return LabelledVolume(patient, "x", np.float32(200) * (labels == 3), labels, spacing_mm)


class TestReadSplits:
    def test_lists_in_published_order(self, acdc: Path) -> None:
        assert read_splits(acdc / "splits.json") == (["patient002", "patient001"], ["patient003"])

    @pytest.mark.parametrize(
        "content", ["", "not json", "[]", "{}", '{"train_in_published_order": []}', "3", None]
    )
    def test_anything_else_is_refused(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "splits.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(InputError) as caught:
            read_splits(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "'train_in_published_order' and 'validation'" in str(caught.value)


class TestReadLabelled:
    def test_every_frame_of_the_patients_named(self, acdc: Path) -> None:
        found = list(read_labelled(acdc, ["patient003", "patient001"]))
        assert [(v.patient, v.name) for v in found] == [
            ("patient003", "patient003_frame01"),
            ("patient001", "patient001_frame01"),
        ]
        first = found[0]
        assert first.voxels.shape == first.labels.shape == (3, 36, 40)
        assert (first.voxels.dtype, first.labels.dtype) == (np.float32, np.uint8)
        assert first.spacing_mm == pytest.approx((1.5, 1.4), rel=1e-6)
        # The phantom's blood is 200 in the LV and 180 in the RV, its wall 80.
        means = [first.voxels[first.labels == value].mean() for value in range(4)]
        assert means == pytest.approx([20, 180, 80, 200], abs=1)  # noise of 5 on 300 or more

    def test_patient_without_labels(self, acdc: Path) -> None:
        with pytest.raises(InputError, match=r"patient009: no \*_gt\.nii\.gz"):
            list(read_labelled(acdc, ["patient009"]))

    def test_labels_of_another_shape(self, acdc: Path) -> None:
        path = acdc / "patient001" / "patient001_frame01_gt.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((36, 41, 3), np.uint8), np.diag([1.4, 1.5, 10, 1])), path)
        with pytest.raises(InputError) as caught:
            list(read_labelled(acdc, ["patient001"]))
        assert str(caught.value).startswith(f"{path}: labels are (1, 3, 41, 36)")
        assert "(1, 3, 40, 36)" in str(caught.value)


class TestDraw:
    def test_half_is_labelled(self) -> None:
        slices = SliceSet([volume("a"), volume("b"), volume("c")], labelled=["b"])
        assert (slices.labelled, slices.unlabelled) == ([2, 3], [0, 1, 4, 5])
        numbers = slices.draw(200, generator())
        assert len(numbers) == 200
        assert set(numbers[:100]) == {2, 3}
        assert set(numbers[100:]) == {0, 1, 4, 5}

    def test_all_are_labelled_where_none_is_not(self) -> None:
        slices = SliceSet([volume("a"), volume("b")], labelled=["a", "b"])
        numbers = slices.draw(200, generator())
        assert len(numbers) == 200
        assert set(numbers) == {0, 1, 2, 3}

    def test_the_generator_decides(self) -> None:
        slices = SliceSet([volume("a"), volume("b")], labelled=["a"])
        assert slices.draw(50, generator()) == slices.draw(50, generator())


class TestOnGrid:
    def test_the_native_grid_changes_nothing(self) -> None:
        # 40 × 36 pixels of 1 mm lie in rows 12 to 51 and columns 14 to 49 of 64 of 1 mm.
        native = volume()
        images, labels = SliceSet([native], ["a"]).on_grid(
            [1, 0], NetworkGrid(64, 1.0), identity(2)
        )
        assert (images.shape, labels.shape) == ((2, 1, 64, 64), (2, 64, 64))
        inner = (slice(12, 52), slice(14, 50))
        np.testing.assert_array_equal(labels[:, *inner], native.labels)
        np.testing.assert_allclose(images[:, 0, *inner], native.voxels, atol=1e-3)
        labels[:, *inner] = 0
        assert labels.eq(0).all()

    def test_labels_stay_on_the_image(self) -> None:
        # Turned 25°, made 1.3 times smaller, moved: the image is bright, above half, just where
        # the label is LV, for its edge is shared with one other class only.
        c, s = 1.3 * math.cos(math.radians(25)), 1.3 * math.sin(math.radians(25))
        transform = torch.tensor([[[c, -s, 4.0], [s, c, -6.0]]])
        slices = SliceSet([volume(spacing_mm=(1.2, 1.7))], ["a"])
        images, labels = slices.on_grid([0], NetworkGrid(64, 1.1), transform)
        assert labels.eq(3).sum() > 50
        assert torch.equal(images[:, 0] > 100, labels == 3)
        still = slices.on_grid([0], NetworkGrid(64, 1.1), identity(1))[1]
        assert not torch.equal(still, labels)

    def test_a_slice_is_the_same_beside_a_larger_one(self) -> None:
        small, large = volume("a", (30, 32)), volume("b", (44, 36), (1.2, 0.9))
        slices, grid = SliceSet([small, large], ["a"]), NetworkGrid(64, 1.0)
        together = slices.on_grid([0, 2], grid, identity(2))
        for i, number in enumerate([0, 2]):
            alone = slices.on_grid([number], grid, identity(1))
            torch.testing.assert_close(together[0][i], alone[0][0], atol=1e-3, rtol=0)
            assert torch.equal(together[1][i], alone[1][0])
