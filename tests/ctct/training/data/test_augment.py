from __future__ import annotations

import math

import pytest
import torch

from ctct.models.grid import sample, z_score
from ctct.training.data.augment import AUGMENTATIONS, Augmentation, bend, mix_amplitudes

OFF = {
    "rotation_degrees": 0,
    "quarter_turns": 0,
    "flip": 0,
    "scale": 0,
    "shift_mm": 0,
    "gamma": 0,
    "bias_field": 0,
    "noise": 0,
    "blur": 0,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(**strengths: float) -> Augmentation:
    return Augmentation(**{**OFF, **strengths})


@pytest.fixture
def images() -> torch.Tensor:
    return 100 * torch.rand(6, 1, 16, 20, generator=generator()) + 1


class TestGeometry:
    def test_no_strength_is_the_identity(self) -> None:
        identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(6, 2, 3)
        torch.testing.assert_close(only().geometry(6, generator()), identity)

    def test_pure_rotation(self) -> None:
        found = only(rotation_degrees=30).geometry(64, generator())
        angle = torch.atan2(found[:, 1, 0], found[:, 0, 0])
        assert angle.abs().max() <= math.radians(30)
        assert angle.std() > math.radians(10)  # uniform in ±30°: 17°
        expected = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), 1)
        torch.testing.assert_close(found[:, :, :2].reshape(64, 4), expected)
        assert found[:, :, 2].eq(0).all()

    def test_quarter_turns(self) -> None:
        linear = only(quarter_turns=1).geometry(64, generator())[:, :, :2].round(decimals=4)
        turns = {tuple(turn.flatten().tolist()) for turn in linear + 0.0}
        assert turns == {(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)}

    def test_as_in_the_code_of_the_paper(self) -> None:
        """Half in quarter turns with one flip, a quarter rotated, a quarter unchanged."""
        linear = AUGMENTATIONS["paper"].geometry(4000, generator())[:, :, :2]
        is_mirrored = torch.linalg.det(linear) < 0
        angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
        is_unchanged = (linear - torch.eye(2)).abs().amax((1, 2)) == 0
        is_rotated = ~is_mirrored & ~is_unchanged
        for found, share in ((is_mirrored, 0.5), (is_rotated, 0.25), (is_unchanged, 0.25)):
            assert found.float().mean() == pytest.approx(share, abs=0.03)  # deviation 0.008
        assert angle[is_rotated].abs().max() <= math.radians(20)
        matrices = {tuple(m.flatten().tolist()) for m in linear[is_mirrored].round() + 0.0}
        assert matrices == {(1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0), (0, -1, -1, 0)}

    def test_flips(self) -> None:
        linear = only(flip=0.5).geometry(64, generator())[:, :, :2]
        assert {tuple(flip.diagonal().tolist()) for flip in linear} == {
            (1, 1),
            (1, -1),
            (-1, 1),
            (-1, -1),
        }

    def test_scale(self) -> None:
        linear = only(scale=0.2).geometry(64, generator())[:, :, :2]
        size = linear[:, 0, 0]
        torch.testing.assert_close(linear, size[:, None, None] * torch.eye(2))
        assert 0.8 <= size.min() < 0.9 < 1.1 < size.max() <= 1.2

    def test_shift(self) -> None:
        found = only(shift_mm=12).geometry(64, generator())
        torch.testing.assert_close(found[:, :, :2], torch.eye(2).expand(64, 2, 2))
        assert 10 < found[:, :, 2].abs().max() <= 12

    def test_flip_mirrors_the_slice(self, images: torch.Tensor) -> None:
        one_mm = torch.ones(6, 2)
        transform = only(flip=1).geometry(6, generator())
        found = sample(images, one_mm, (16, 20), one_mm, transform)
        torch.testing.assert_close(found, images.flip(2, 3), atol=1e-3, rtol=0)


class TestIntensity:
    def test_no_strength_is_the_identity(self, images: torch.Tensor) -> None:
        # Up to a factor, which the normalization that follows takes out.
        found = only().intensity(images, generator())
        torch.testing.assert_close(z_score(found), z_score(images), atol=1e-5, rtol=0)

    def test_gamma_bends_the_contrast_curve(self, images: torch.Tensor) -> None:
        found = only(gamma=0.5).intensity(images, generator())
        relative = images / images.amax(dim=(1, 2, 3), keepdim=True)
        inner = relative < 0.9
        for slice_found, slice_relative, at in zip(found, relative, inner, strict=True):
            power = slice_found[at].log() / slice_relative[at].log()  # one γ for the whole slice
            torch.testing.assert_close(power, power.mean().expand_as(power), atol=1e-3, rtol=0)
            assert abs(power.mean().log().item()) <= 0.5

    def test_bias_field_is_smooth_and_bounded(self, images: torch.Tensor) -> None:
        found = only(bias_field=0.4).intensity(images, generator())
        gain = (found / images * images.amax(dim=(1, 2, 3), keepdim=True)).log()
        assert 0.1 < gain.abs().max() < 0.4 * 1.5  # bicubic interpolation overshoots a little
        # Knots at most 0.8 apart, 15 / 3 = 5 rows from one to the next: 0.16 a row if linear.
        assert gain.diff(dim=2).abs().max() < 2 * 0.16

    def test_blur_everywhere(self) -> None:
        image = torch.zeros(1, 1, 5, 5)
        image[0, 0, 2, 2] = 16.0
        found = only(blur=1).intensity(image, generator())
        # (1 2 1)/4 twice: sixteenths of 1 2 1, 2 4 2, 1 2 1
        expected = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
        torch.testing.assert_close(found[0, 0, 1:4, 1:4], expected, atol=1e-5, rtol=0)

    def test_noise_has_the_level_of_the_slice(self) -> None:
        images = torch.rand(64, 1, 32, 32, generator=generator())
        added = only(noise=0.2).intensity(images, generator()) - images / images.amax(
            dim=(1, 2, 3), keepdim=True
        )
        level = added.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
        assert 0.15 < level.max() < 0.22
        assert level.min() < 0.05

    def test_lower_resolution(self) -> None:
        stripes = torch.tensor([0.0, 1.0]).repeat(16).expand(4, 1, 32, 32)
        found = only(coarse=1).intensity(stripes, generator())
        assert found.std(dim=(1, 2, 3)).max() < 0.9 * stripes[0].std()
        assert (found.mean(dim=(1, 2, 3)) - 0.5).abs().max() < 0.02

    def test_an_empty_margin_on_one_side(self) -> None:
        found = only(field=1).intensity(torch.ones(64, 1, 41, 41), generator())
        empty = found == 0
        width = empty.all(-1).sum(-1) + empty.all(-2).sum(-1)  # rows or columns
        assert 1 <= width.max() <= 4  # a tenth of 40 steps
        assert not empty[:, :, 4:-4, 4:-4].any()
        sides = torch.stack(
            [empty[:, 0, 0].all(1), empty[:, 0, -1].all(1), empty[:, 0, :, 0].all(1)]
        )
        assert sides.any(1).all()

    @pytest.mark.parametrize("name", AUGMENTATIONS)
    def test_blank_slice_stays_finite(self, name: str) -> None:
        found = AUGMENTATIONS[name].intensity(torch.zeros(4, 1, 16, 16), generator())
        assert found.isfinite().all()


class TestMixAmplitudes:
    def test_no_share_changes_nothing(self) -> None:
        images = torch.rand(3, 1, 16, 17, generator=generator()).clamp_min(1e-6)
        found = mix_amplitudes(images, images.flip(0), torch.zeros(3, 1, 1, 1))
        torch.testing.assert_close(found, images, atol=1e-5, rtol=0)

    def test_the_mean_is_the_lowest_frequency(self) -> None:
        dark, bright = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.6)
        found = mix_amplitudes(dark, bright, torch.full((1, 1, 1, 1), 0.25))
        torch.testing.assert_close(found, torch.full((1, 1, 8, 8), 0.75 * 0.2 + 0.25 * 0.6))

    def test_edges_stay(self) -> None:
        step = torch.zeros(1, 1, 32, 32)
        step[..., 16:] = 0.5
        found = mix_amplitudes(step, torch.rand(1, 1, 32, 32), torch.ones(1, 1, 1, 1))
        assert found[..., 16].mean() - found[..., 15].mean() > 0.3


def test_bend_by_hand() -> None:
    images = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 1.2]).reshape(1, 1, 1, 6)
    found = bend(images, torch.tensor([[3.0, 1.0]]))  # ¾ of the rise in the first half
    expected = torch.tensor([0.0, 0.375, 0.75, 0.875, 1.0, 1.2]).reshape(1, 1, 1, 6)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(bend(images, torch.ones(1, 4)), images)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_generator_decides(images: torch.Tensor, seed: int) -> None:
    def draw(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        own, augmentation = generator(number), Augmentation()
        return augmentation.geometry(6, own), augmentation.intensity(images, own)

    for again, first, other in zip(draw(seed), draw(seed), draw(seed + 1), strict=True):
        assert torch.equal(again, first)
        assert not torch.allclose(first, other)


def test_the_global_generator_is_left_alone(images: torch.Tensor) -> None:
    before = torch.get_rng_state()
    Augmentation().geometry(6, generator())
    Augmentation().intensity(images, generator())
    assert torch.equal(torch.get_rng_state(), before)
