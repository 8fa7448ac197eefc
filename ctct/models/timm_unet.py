"""A U-Net whose encoder is any network of timm that gives maps at several sizes."""

from __future__ import annotations

from itertools import pairwise

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from ctct.errors import ConfigError
from ctct.models.unet import ConvBlock, UpBlock

#: Channels of the decoder, finest first; the first belongs to the full resolution.
CHANNELS = (16, 32, 64, 128, 256, 512)


class TimmUNet(nn.Module):
    """timm's encoder with the U-Net's decoder.

    Args:
        encoder: a name that ``timm.list_models()`` knows, as in ``resnet34``.
        pretrained: start the encoder from timm's weights, which it downloads.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S a multiple of 32.

    Raises:
        ConfigError: timm has no such encoder, or it gives no maps that halve in size.
    """

    def __init__(self, encoder: str, classes: int = 4, pretrained: bool = False) -> None:
        super().__init__()
        try:
            self.encoder = timm.create_model(
                encoder, features_only=True, in_chans=1, pretrained=pretrained
            )
        except Exception as error:  # timm and its hub client raise errors of many kinds
            reason = " ".join(str(error).split())[:150]
            raise ConfigError(
                f"timm:{encoder}: no encoder that this timm can make ({reason}); "
                "timm.list_models() names them"
            ) from error
        reductions = self.encoder.feature_info.reduction()
        if any(2 * fine != coarse for fine, coarse in pairwise(reductions)):
            raise ConfigError(f"timm:{encoder}: its maps do not halve in size, but go {reductions}")
        #: How often the finest map of the encoder is halved already.
        self.first_level = reductions[0].bit_length() - 1
        self.adapt = nn.ModuleList(
            nn.Conv2d(channels, CHANNELS[self.first_level + i], 1)
            for i, channels in enumerate(self.encoder.feature_info.channels())
        )
        levels = self.first_level + len(reductions)
        #: Maps of the slice itself at the sizes that the encoder leaves out.
        self.fine = nn.ModuleList(
            ConvBlock(1, CHANNELS[level], dropout=0.0) for level in range(self.first_level)
        )
        self.decoder = nn.ModuleList(
            UpBlock(CHANNELS[level + 1], CHANNELS[level]) for level in reversed(range(levels - 1))
        )
        self.head = nn.Conv2d(CHANNELS[0], classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [
            block(F.avg_pool2d(x, 2**level) if level else x)
            for level, block in enumerate(self.fine)
        ]
        skips += [
            adapt(features) for adapt, features in zip(self.adapt, self.encoder(x), strict=True)
        ]
        x = skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits
