from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.nn import functional as F

from ctct.errors import ConfigError
from ctct.models.grid import NetworkGrid, centered_coordinates, sample, unit_range, z_score


def spacing(row_mm: float, column_mm: float, n: int = 1) -> Tensor:
    return torch.tensor([[row_mm, column_mm]]).expand(n, 2)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def smooth(*shape: int) -> Tensor:
    """A blob a third of the image wide: interpolating it twice hardly changes it."""
    axes = [torch.linspace(-3, 3, n) for n in shape]
    return torch.exp(-(axes[0][:, None] ** 2 + axes[1][None, :] ** 2) / 2)[None, None]


class TestNetworkGrid:
    @pytest.mark.parametrize("size", [0, 16, 100, -32])
    def test_size(self, size: int) -> None:
        with pytest.raises(ConfigError, match=f"multiple of 32, got {size}"):
            NetworkGrid(size)

    @pytest.mark.parametrize("spacing_mm", [0.0, 0.1, 5.1, float("nan"), -1.5])
    def test_spacing(self, spacing_mm: float) -> None:
        with pytest.raises(ConfigError, match=f"got {spacing_mm}"):
            NetworkGrid(160, spacing_mm)


class TestCoordinates:
    def test_worked_by_hand(self) -> None:
        # Two output columns 3 mm apart lie at -1.5 and 1.5 mm; four input columns of 2 mm reach
        # from -4 to 4 mm, so x is -1.5 / 4 and 1.5 / 4. One output row lies at 0 mm.
        found = centered_coordinates((1, 2), spacing(9, 3), (5, 4), spacing(1, 2))
        torch.testing.assert_close(found, torch.tensor([[[[-0.375, 0.0], [0.375, 0.0]]]]))

    def test_transform_worked_by_hand(self) -> None:
        # Output (row, column) = (0, 1.5) mm goes to row 2·0 + 1·1.5 + 0.5 = 2 mm and
        # column 0 + 3·1.5 - 1 = 3.5 mm; the input reaches 2.5 mm by 4 mm either way.
        transform = torch.tensor([[[2.0, 1.0, 0.5], [0.0, 3.0, -1.0]]])
        found = centered_coordinates((1, 2), spacing(9, 3), (5, 4), spacing(1, 2), transform)
        torch.testing.assert_close(found[0, 0, 1], torch.tensor([3.5 / 4, 2 / 2.5]))

    def test_each_slice_has_its_own_spacing(self) -> None:
        found = centered_coordinates(
            (1, 2), spacing(3, 3, 2), (4, 4), torch.tensor([[1.0, 2.0], [1.0, 1.0]])
        )
        # 1.5 mm of a reach of 4 · 2 / 2 = 4 mm, and of 4 · 1 / 2 = 2 mm
        torch.testing.assert_close(found[:, 0, 1, 0], torch.tensor([0.375, 0.75]))

    def test_the_way_back_is_the_inverse(self) -> None:
        # Forth and back are scalings about the center, in units of either field of view, whose
        # last pixel of n lies at 1 - 1/n. One scaling must undo the other.
        forth = centered_coordinates((7, 6), spacing(1.5, 1.5), (9, 8), spacing(1.2, 1.7))
        back = centered_coordinates((9, 8), spacing(1.2, 1.7), (7, 6), spacing(1.5, 1.5))
        scale_forth = forth[0, -1, -1] / torch.tensor([1 - 1 / 6, 1 - 1 / 7])  # (x, y)
        scale_back = back[0, -1, -1] / torch.tensor([1 - 1 / 8, 1 - 1 / 9])
        torch.testing.assert_close(scale_forth * scale_back, torch.ones(2))


class TestSample:
    def test_same_grid_is_the_identity(self) -> None:
        images = noise(2, 3, 7, 10)
        found = sample(images, spacing(1.3, 0.9, 2), (7, 10), spacing(1.3, 0.9, 2))
        torch.testing.assert_close(found, images, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("degrees", [0, 30])
    def test_agrees_with_scipy(self, degrees: float) -> None:
        image = noise(1, 1, 20, 17)
        rotation = np.radians(degrees)
        linear = np.array(
            [[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]]
        )
        shift = np.array([2.0, -1.0])
        transform = torch.tensor(np.c_[linear, shift], dtype=torch.float32)[None]
        found = sample(image, spacing(1.2, 1.7), (12, 14), spacing(1.5, 1.6), transform)

        # Millimeters from the center of the output, moved, then in pixels of the input.
        rows_mm = (np.arange(12) - 5.5) * 1.5
        columns_mm = (np.arange(14) - 6.5) * 1.6
        position = np.einsum(
            "ij,jrc->irc", linear, np.stack(np.meshgrid(rows_mm, columns_mm, indexing="ij"))
        )
        position += shift[:, None, None]
        pixel = [position[0] / 1.2 + 9.5, position[1] / 1.7 + 8.0]
        expected = map_coordinates(image[0, 0].numpy(), pixel, order=1, mode="grid-constant")
        np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-5)

    def test_pixel_of_twice_the_size_is_the_mean_of_four(self) -> None:
        image = torch.arange(16.0).reshape(1, 1, 4, 4)
        found = sample(image, spacing(1, 1), (2, 2), spacing(2, 2))
        # (0 + 1 + 4 + 5) / 4 = 2.5, and so on
        torch.testing.assert_close(found[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))

    def test_beyond_the_input_is_zero(self) -> None:
        found = sample(torch.ones(1, 1, 2, 2), spacing(1, 1), (6, 6), spacing(1, 1))
        assert torch.equal(found[0, 0], F.pad(torch.ones(2, 2), (2, 2, 2, 2)))

    @pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 2), (0, 7)])
    def test_symmetric_padding_changes_nothing(self, rows: int, columns: int) -> None:
        images = noise(2, 1, 21, 18)
        wide = F.pad(images, (columns, columns, rows, rows))
        native, grid = spacing(1.4, 1.1, 2), spacing(1.5, 1.5, 2)
        torch.testing.assert_close(
            sample(wide, native, (32, 32), grid),
            sample(images, native, (32, 32), grid),
            atol=1e-5,
            rtol=0,
        )

    @pytest.mark.parametrize("size", [(60, 48), (51, 65)])
    @pytest.mark.parametrize("native", [(0.8, 0.8), (1.5, 1.1)])
    def test_there_and_back(self, size: tuple[int, int], native: tuple[float, float]) -> None:
        image = smooth(*size)
        there = sample(image, spacing(*native), (96, 96), spacing(1, 1))
        back = sample(there, spacing(1, 1), size, spacing(*native))
        # Off the last pixels, where the zero outside is mixed in, only interpolation is lost.
        inner = (..., slice(3, -3), slice(3, -3))
        torch.testing.assert_close(back[inner], image[inner], atol=0.02, rtol=0)

    def test_transform_is_undone_by_its_inverse(self) -> None:
        linear = torch.tensor([[0.9, -0.3], [0.25, 1.1]])
        shift = torch.tensor([[2.0], [-3.0]])
        forth = torch.cat((linear, shift), 1)[None]
        inverse = torch.linalg.inv(linear)
        back = torch.cat((inverse, -inverse @ shift), 1)[None]
        image, one = smooth(64, 64), spacing(1, 1)
        moved = sample(image, one, (96, 96), one, forth)
        assert (sample(moved, one, (64, 64), one) - image).abs().max() > 0.1
        returned = sample(moved, one, (64, 64), one, back)
        inner = (..., slice(8, -8), slice(8, -8))
        torch.testing.assert_close(returned[inner], image[inner], atol=0.02, rtol=0)


class TestNormalize:
    def test_worked_by_hand(self) -> None:
        # 1, 1, 3, 3: mean 2, standard deviation 1
        found = z_score(torch.tensor([1.0, 1, 3, 3]).reshape(1, 1, 2, 2))
        torch.testing.assert_close(found.flatten(), torch.tensor([-1.0, -1, 1, 1]))

    def test_each_slice_for_itself(self) -> None:
        images = torch.cat((noise(1, 1, 8, 8), 50 + 9 * noise(1, 1, 8, 8)))
        found = z_score(images, clip=100)
        torch.testing.assert_close(found.mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.std((1, 2, 3), correction=0), torch.ones(2))

    def test_outliers_are_clipped(self) -> None:
        image = torch.zeros(1, 1, 10, 10)
        # One pixel of 100: mean 0.01, deviation sqrt(0.01 · 0.99) = 0.0995, z = 9.95
        image[0, 0, 4, 4] = 1.0
        assert z_score(image).max() == 4
        assert z_score(image, clip=20).max().item() == pytest.approx(9.95, abs=0.01)

    @pytest.mark.parametrize("value", [0.0, 0.1, -0.7, 1234.567, 65535.0, 3e30, 1e-20])
    def test_constant_slice_gives_zero(self, value: float) -> None:
        found = z_score(torch.full((1, 1, 160, 160), value))
        torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("scale", [1e-6, 0.01, 1000.0, 1e30])
    @pytest.mark.parametrize("offset", [0.0, 5.0, -20.0])
    def test_scale_and_offset_do_not_matter(self, scale: float, offset: float) -> None:
        images = noise(2, 1, 16, 16)
        torch.testing.assert_close(
            z_score(scale * (images + offset)), z_score(images), atol=1e-4, rtol=0
        )

    @pytest.mark.parametrize("peak", [65535.0, 2.0**32, 1e20, 3e38])
    def test_huge_intensities(self, peak: float) -> None:
        images = peak * noise(1, 1, 64, 64).clamp(-1, 1)
        found = z_score(images)
        assert found.isfinite().all()
        assert found.std() == pytest.approx(1, abs=0.01)


class TestUnitRange:
    def test_each_slice_for_itself(self) -> None:
        images = torch.tensor([[[[-2.0, 0.0], [2.0, 6.0]]], [[[0.0, 1e30], [5e29, 0.0]]]])
        expected = torch.tensor([[[[0.0, 0.25], [0.5, 1.0]]], [[[0.0, 1.0], [0.5, 0.0]]]])
        torch.testing.assert_close(unit_range(images), expected)

    def test_constant_slice_gives_zero(self) -> None:
        assert unit_range(torch.full((1, 1, 4, 4), 7.0)).eq(0).all()


def test_the_spacing_that_stretches_a_slice() -> None:
    true_mm = torch.tensor([[0.7, 3.0]])
    stretch = NetworkGrid(32, 1.5, stretch=True)
    # 32 pixels of 1.5 mm are 48 mm: 16 rows of 3 mm, 96 columns of 0.5 mm
    torch.testing.assert_close(
        stretch.slice_spacing_mm((16, 96), true_mm), torch.tensor([[3.0, 0.5]])
    )
    assert NetworkGrid(32, 1.5).slice_spacing_mm((16, 96), true_mm) is true_mm
