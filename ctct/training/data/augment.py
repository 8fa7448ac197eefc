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
        style: largest share that another slice of the batch has in the amplitudes of the lowest
            spatial frequencies (Yang and Soatto, CVPR 2020), which hold contrast and shading.
        curve: largest |ln slope| of the four pieces of a rising curve of the intensities.
        coarse: chance of a resolution that is lower by a factor of up to 2.
        field: chance that a margin on one side is empty, up to a tenth of the slice.
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
    style: float = 0.0
    curve: float = 0.0
    coarse: float = 0.0
    field: float = 0.0

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

        def happens(chance: float) -> Tensor:
            return draw(1, 1, 1) < 2 * chance - 1

        # To 0…1, which gamma needs; a scan without negative intensities keeps its zero.
        low = images.amin(dim=(1, 2, 3), keepdim=True).clamp_max(0)
        peak = (images - low).amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
        images = ((images - low) / peak).clamp_min(1e-6)
        if self.style:
            partner = torch.randperm(n, generator=generator, device=images.device)
            images = mix_amplitudes(images, images[partner], self.style * draw(1, 1, 1).abs())
        if self.curve:
            images = bend(images, (self.curve * draw(4)).exp())
        images = images ** (self.gamma * draw(1, 1, 1)).exp()
        coarse = self.bias_field * draw(1, 4, 4)
        field = F.interpolate(coarse, (h, w), mode="bicubic", align_corners=True)
        images = images * field.exp()
        kernel = torch.tensor([1.0, 2.0, 1.0], device=images.device) / 4
        blurred = F.conv2d(images, torch.outer(kernel, kernel)[None, None], padding=1)
        images = torch.where(happens(self.blur), blurred, images)
        if self.coarse:
            factor = 1 + torch.rand((), generator=generator, device=images.device).item()
            size = (round(h / factor), round(w / factor))
            small = F.interpolate(images, size, mode="bilinear", antialias=True)
            images = torch.where(
                happens(self.coarse), F.interpolate(small, (h, w), mode="bilinear"), images
            )
        level = self.noise * draw(1, 1, 1).abs() * images.std(dim=(1, 2, 3), keepdim=True)
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        images = images + level * noise
        if self.field:
            # Distance of each pixel from one of the four sides, 0…1.
            rows, columns = (torch.linspace(0, 1, k, device=images.device) for k in (h, w))
            rows, columns = rows[:, None].expand(h, w), columns.expand(h, w)
            sides = torch.stack((rows, 1 - rows, columns, 1 - columns))
            side = torch.randint(4, (n,), generator=generator, device=images.device)
            margin = 0.1 * draw(1, 1, 1).abs() * happens(self.field)
            images = images * (sides[side][:, None] >= margin)
        return images


def mix_amplitudes(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """Images (N, C, H, W) of 0…1 with a ``share`` of the low-frequency amplitudes of ``others``."""
    spectrum, other = torch.fft.rfft2(images), torch.fft.rfft2(others)
    rows = torch.fft.fftfreq(images.shape[-2], device=images.device)[:, None]
    columns = torch.fft.rfftfreq(images.shape[-1], device=images.device)
    share = share * (rows.square() + columns.square() <= 0.1**2)
    amplitude = (1 - share) * spectrum.abs() + share * other.abs()
    mixed = torch.polar(amplitude, spectrum.angle())
    images = torch.fft.irfft2(mixed, s=images.shape[-2:])
    return images.clamp(1e-6, 1)


def bend(images: Tensor, slopes: Tensor) -> Tensor:
    """Intensities 0…1 of images (N, C, H, W) by a curve through (0, 0) and (1, 1).

    Args:
        images: the images; what lies above 1 stays as far above it.
        slopes: (N, K) of the K equally wide pieces, relative to one another; positive.
    """
    pieces = slopes.shape[1]
    rises = slopes / slopes.sum(1, keepdim=True)
    start = torch.arange(pieces, device=images.device)
    covered = (images[..., None] * pieces - start).clamp(0, 1)  # of each piece
    return (covered * rises[:, None, None, None]).sum(-1) + (images - 1).clamp_min(0)


#: "paper": rotation, flips and crops, as in the published method; "strong": more of geometry and
#: intensity; "scanners": also what makes scans of other scanners, and turned ones, look different.
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
    "scanners": Augmentation(
        rotation_degrees=180,
        quarter_turns=0,
        noise=0.3,
        style=0.8,
        curve=0.7,
        coarse=0.3,
        field=0.1,
    ),
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
