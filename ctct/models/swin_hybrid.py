"""The Transformer for few images: Swin stages between a convolutional stem and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from timm.models.swin_transformer import SwinTransformerStage
from torch import Tensor, nn

from ctct.models.attention import fit_attention
from ctct.models.swin_unet import DEPTHS, HEADS, WIDTHS, check_grid, check_input
from ctct.models.unet import UpBlock, join_levels


class SwinHybrid(nn.Module):
    """Swin Transformer encoder (Liu et al., ICCV 2021) with convolutions at its two ends.

    Without ImageNet weights a pure Swin-UNet learns slowly from few images. Here strided
    convolutions stand in for the cut into patches (Xiao et al., NeurIPS 2021), and the U-Net's
    decoder for the Swin one, as in Swin UNETR (Hatamizadeh et al., BrainLes 2021).

    Args:
        size: a key of :data:`~ctct.models.swin_unet.WIDTHS`; "nano" has 6.6 M parameters and
            "tiny" 26 M.
        grid_size: pixels per side of the input, a multiple of 32.
        classes: of the labels.
        drop_path: largest rate of stochastic depth.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S = ``grid_size``.
    """

    encoder_parts = ("at_full", "at_half", "to_quarter", "norm", "stages")

    def __init__(
        self, size: str = "nano", grid_size: int = 160, classes: int = 4, drop_path: float = 0.1
    ) -> None:
        super().__init__()
        window = check_grid(size, grid_size)
        width = WIDTHS[size]
        self.grid_size = grid_size
        # Multiples of 16 channels: with others, bf16 batch normalization is ten times slower on
        # a CPU.
        full, half = width // 3, 2 * width // 3
        self.at_full = _convolution(1, full)
        self.at_half = nn.Sequential(_convolution(full, half, stride=2), _convolution(half, half))
        self.to_quarter = nn.Conv2d(half, width, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(width)
        rates = iter(torch.linspace(0, drop_path, sum(DEPTHS)).tolist())
        self.stages = nn.ModuleList(
            SwinTransformerStage(
                dim=width * 2 ** max(level - 1, 0),
                out_dim=width * 2**level,
                input_resolution=(grid_size // 4 // 2 ** max(level - 1, 0),) * 2,
                depth=depth,
                downsample=level > 0,
                num_heads=heads,
                window_size=window,
                drop_path=list(islice(rates, depth)),
            )
            for level, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True))
        )
        channels = (full, half, *(width * 2**level for level in range(len(DEPTHS))))
        self.decoder = nn.ModuleList(
            UpBlock(channels[level + 1], channels[level])
            for level in reversed(range(len(channels) - 1))
        )
        self.head = nn.Conv2d(full, classes, 3, padding=1)

    def set_grid_size(self, grid_size: int) -> None:
        """Take inputs of another size, see :func:`~ctct.models.attention.fit_attention`."""
        fit_attention(self, self.grid_size, grid_size)
        self.grid_size = grid_size

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, channels, H, W) of each level, the largest maps first."""
        check_input(x, self.grid_size)
        features = [self.at_full(x)]
        features.append(self.at_half(features[-1]))
        x = self.norm(self.to_quarter(features[-1]).permute(0, 2, 3, 1))  # (N, S/4, S/4, width)
        for stage in self.stages:
            x = stage(x)
            features.append(x.permute(0, 3, 1, 2))
        return features

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits of the features of :meth:`encode`."""
        logits: Tensor = self.head(join_levels(features, self.decoder))
        return logits


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(inplace=True),
    )
