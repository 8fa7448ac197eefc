"""Random changes of geometry and intensity, drawn for each slice of a batch.

Geometry is returned as an affine that the sampling rule composes with its own, so an augmented
slice is interpolated once. All draws come from a generator that the caller passes, on its device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the changes; zero switches one off.

    Attributes:
        rotation_degrees: largest rotation either way.
        quarter_turns: chance that the slice is also turned by a random right angle.
        flip: chance of each of the two flips.
        exclusive: draw as in the code of the paper instead: half of the slices are turned by a
            random right angle and flipped along one axis, half of the others rotated.
        crop: draw the position of the grid at random, within the slice.
        nearest: take the nearest pixel instead of interpolating.
        scale: largest relative change of size; a scale and its inverse are equally probable.
        shift_mm: largest shift along each axis either way.
        gamma: largest |ln γ| of the contrast curve.
        bias_field: largest |ln gain| of the smooth multiplicative field.
        noise: largest standard deviation of the noise, in units of the slice's own.
        blur: chance of a 3×3 binomial blur.
    """

    rotation_degrees: float = 45.0
    quarter_turns: float = 0.3
    flip: float = 0.5
    exclusive: bool = False
    crop: bool = False
    nearest: bool = False
    scale: float = 0.2
    shift_mm: float = 12.0
    gamma: float = 0.5
    bias_field: float = 0.4
    noise: float = 0.2
    blur: float = 0.2

    def geometry(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, 2, 3) random affines in millimeters about the center, in (row, column) order."""
        device = generator.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(n, *shape, generator=generator, device=device)

        def either_way() -> Tensor:
            return 2 * uniform() - 1

        turns = torch.randint(4, (n,), generator=generator, device=device)
        angle = math.radians(self.rotation_degrees) * either_way()
        scale = (1 + self.scale) ** either_way()
        if self.exclusive:
            kind, axis = uniform(), uniform() < 0.5
            is_turned = kind < 0.5
            angle = torch.where(is_turned, turns * (math.pi / 2), angle * (kind < 0.75))
            flips = 1 - 2 * (is_turned[:, None] & torch.stack((axis, ~axis), 1)).float()
        else:
            turns = turns * (uniform() < self.quarter_turns)
            angle = angle + turns * (math.pi / 2)
            flips = 1 - 2 * (uniform(2) < self.flip).float()
        cos, sin = scale * angle.cos(), scale * angle.sin()
        linear = torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)
        shift = self.shift_mm * torch.stack((either_way(), either_way()), 1)
        return torch.cat((linear * flips[:, None, :], shift[:, :, None]), 2)

    def intensity(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Contrast, bias field, blur and noise on raw intensities (N, 1, H, W) of any scale."""
        n, _, h, w = images.shape

        def draw(*shape: int) -> Tensor:
            return 2 * torch.rand(n, *shape, generator=generator, device=images.device) - 1

        # To 0…1, which gamma needs; a scan without negative intensities keeps its zero.
        low = images.amin(dim=(1, 2, 3), keepdim=True).clamp_max(0)
        peak = (images - low).amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        images = ((images - low) / peak).clamp_min(1e-6)
        images = images ** (self.gamma * draw(1, 1, 1)).exp()
        coarse = self.bias_field * draw(1, 4, 4)
        field = F.interpolate(coarse, (h, w), mode="bicubic", align_corners=True)
        images = images * field.exp()
        kernel = torch.tensor([1.0, 2.0, 1.0], device=images.device) / 4
        blurred = F.conv2d(images, torch.outer(kernel, kernel)[None, None], padding=1)
        images = torch.where(draw(1, 1, 1) < 2 * self.blur - 1, blurred, images)
        level = self.noise * draw(1, 1, 1).abs() * images.std(dim=(1, 2, 3), keepdim=True)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        return images + level * noise


#: "paper": rotation, flips and crops, as in the published method; "strong": everything.
AUGMENTATIONS = {
    "paper": Augmentation(
        rotation_degrees=20,
        exclusive=True,
        crop=True,
        nearest=True,
        scale=0,
        shift_mm=0,
        gamma=0,
        bias_field=0,
        noise=0,
        blur=0,
    ),
    "strong": Augmentation(),
}


#: Largest relative change of size on the whole grid, if hearts have one size on heart crops.
WIDE_SCALE = 0.6


def rectangles(
    n: int,
    size: int,
    chance: float,
    generator: torch.Generator,
    sides: tuple[float, float] = (0.2, 0.6),
) -> Tensor:
    """(n, size, size) masks for CutMix (Yun et al., ICCV 2019), each true in one rectangle or none.

    The rectangle's center lies in the middle half of the slice, where the heart is; parts beyond
    the slice are cut off.

    Args:
        n: number of masks.
        size: pixels per side.
        chance: of a rectangle; without one the mask is false everywhere.
        generator: of the draws; the masks are on its device.
        sides: smallest and largest side, as a fraction of ``size``.
    """

    def draw(low: float, high: float) -> Tensor:
        values = torch.rand(n, 2, generator=generator, device=generator.device)
        return low + (high - low) * values

    center, half_side = draw(0.25, 0.75), draw(*sides) / 2
    used = torch.rand(n, generator=generator, device=generator.device) < chance
    position = (torch.arange(size, device=generator.device) + 0.5) / size
    rows, columns = (
        (position - center[:, k, None]).abs() <= half_side[:, k, None] for k in range(2)
    )  # (n, size) each
    return rows[:, :, None] & columns[:, None, :] & used[:, None, None]
