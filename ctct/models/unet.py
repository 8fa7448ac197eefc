"""The CNN: a 2-D U-Net (Ronneberger et al., MICCAI 2015) as sized in Luo et al., MIDL 2022."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ctct.errors import ConfigError

#: Dropout at each level of the encoder, as in the cross-teaching paper's code.
DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)


class ConvBlock(nn.Sequential):
    """Two 3×3 convolutions, each normalized and rectified, with dropout between."""

    def __init__(
        self, in_channels: int, out_channels: int, dropout: float, drop_channels: bool = True
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(inplace=True),
            nn.Dropout2d(dropout) if drop_channels else nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(inplace=True),
        )


class UpBlock(nn.Module):
    """Halve the channels, double the size, join the skip connection, convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, out_channels, 1)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.convolve = ConvBlock(2 * out_channels, out_channels, dropout=0.0)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(self.reduce(x))
        fused: Tensor = self.convolve(torch.cat((skip, x), dim=1))
        return fused


class UNet(nn.Module):
    """U-Net with one block per level; 1.81 M parameters at its default widths.

    Args:
        classes: of the labels.
        channels: of each level.
        dropout: rate of each level.
        drop_channels: whether whole channels are dropped; if not, single values, as published.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S a multiple of 16.
    """

    encoder_parts = ("encoder", "pool")

    def __init__(
        self,
        classes: int = 4,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        dropout: Sequence[float] = DROPOUT,
        drop_channels: bool = True,
    ) -> None:
        super().__init__()
        widths = (1, *channels)
        self.encoder = nn.ModuleList(
            ConvBlock(widths[level], widths[level + 1], dropout[level], drop_channels)
            for level in range(len(channels))
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(
            UpBlock(channels[level + 1], channels[level])
            for level in reversed(range(len(channels) - 1))
        )
        self.head = nn.Conv2d(channels[0], classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, channels, H, W) of each level, the largest maps first."""
        check_sides(x, 2 ** len(self.decoder))
        features: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            features.append(x)
        return features

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits of the features of :meth:`encode`."""
        logits: Tensor = self.head(join_levels(features, self.decoder))
        return logits


def join_levels(features: Sequence[Tensor], blocks: Iterable[nn.Module]) -> Tensor:
    """The largest of an encoder's ``features``, the first, joined by all others from the last up.

    Each of ``blocks`` takes a map and the features of the next larger level.
    """
    *skips, x = features
    for block, skip in zip(blocks, reversed(skips), strict=True):
        x = block(x, skip)
    return x


def check_sides(x: Tensor, multiple: int) -> None:
    """Raise ConfigError unless both sides of ``x`` (N, 1, H, W) are multiples of ``multiple``."""
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        raise ConfigError(
            f"this U-Net takes sides that are multiples of {multiple} pixels, got "
            f"{height}×{width}; resample with ctct.models.grid.sample first"
        )
