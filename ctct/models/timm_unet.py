"""A U-Net whose encoder is a network of timm, built by segmentation_models.pytorch."""

from __future__ import annotations

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.models.imagenet import ask_hub
from ctct.models.unet import check_sides


class TimmUNet(nn.Module):
    """The decoder of ``smp.Unet`` on an encoder of timm.

    Args:
        encoder: a name that ``timm.list_models()`` knows, as in ``resnet34``.
        grid_sizes: sides of the inputs that it must take. Most encoders take any multiple of 32,
            a Swin Transformer of timm only the size that it was made for.
        classes: of the labels.
        pretrained: start the encoder from timm's weights, which it downloads. Where the model hub
            cannot be reached a warning says so and the start is random.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S a multiple of 32.

    Raises:
        ConfigError: timm has no such encoder, its maps do not halve in size from level to level, or
            it does not take inputs of these sizes.
    """

    encoder_parts = ("unet.encoder",)

    def __init__(
        self,
        encoder: str,
        grid_sizes: Sequence[int] = (),
        classes: int = 4,
        pretrained: bool = False,
    ) -> None:
        super().__init__()

        def make(weights: bool | None) -> smp.Unet:
            name = f"tu-{encoder}"
            return smp.Unet(name, encoder_weights=weights, in_channels=1, classes=classes)

        loaded = ask_hub(f"timm:{encoder}", lambda: make(True)) if pretrained else None
        self.from_imagenet = loaded is not None
        try:
            self.unet = make(None) if loaded is None else loaded
        except Exception as error:  # timm and its hub client raise errors of many kinds
            raise ConfigError(
                f"timm:{encoder}: no encoder that this timm can make ({_reason(error)}); "
                "timm.list_models() names them"
            ) from error
        self.unet.eval()  # so that the trials leave the statistics of batch normalization alone
        for size in grid_sizes:
            try:
                with torch.no_grad():
                    self.unet(torch.zeros(1, 1, size, size))
            except Exception as error:
                raise ConfigError(
                    f"timm:{encoder}: does not take {size}×{size} pixels ({_reason(error)}); "
                    "choose another encoder, --grid-size or --heart-crop-size"
                ) from error
        self.unet.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """The input, and features (N, channels, H, W) of each level, the largest maps first."""
        check_sides(x, 32)
        features: list[Tensor] = self.unet.encoder(x)
        return features

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits of the features of :meth:`encode`."""
        logits: Tensor = self.unet.segmentation_head(self.unet.decoder(features))
        return logits


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
