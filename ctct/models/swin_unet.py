"""The Transformer: Swin-UNet (Cao et al., arXiv 2105.05537) built from timm's Swin blocks.

The encoder is timm's Swin Transformer; the decoder mirrors it with timm's Swin stages, patch
expanding and skip connections. Feature maps are channels-last, (N, H, W, C), as in timm.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import timm
import torch
from timm.models.swin_transformer import SwinTransformer, SwinTransformerStage
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.models.attention import fit_attention
from ctct.models.imagenet import ask_hub
from ctct.models.unet import join_levels

log = logging.getLogger(__name__)

#: Embedding width of each named size. Both use depths 2, 2, 2, 2 and 3, 6, 12, 24 heads;
#: "tiny" is the network of the cross-teaching paper (27 M parameters at 224²), "nano" has 7 M.
WIDTHS = {"nano": 48, "tiny": 96}
DEPTHS = (2, 2, 2, 2)
HEADS = (3, 6, 12, 24)
PATCH = 4
IMAGENET_MODEL = "swin_tiny_patch4_window7_224"


class PatchExpand(nn.Module):
    """Make the map ``factor`` times larger per side by moving channels into space.

    Shape:
        (N, H, W, C) → (N, factor·H, factor·W, out_channels).
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(in_channels, factor * factor * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        f = self.factor
        x = self.expand(x).view(n, h, w, f, f, -1)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(n, h * f, w * f, -1)
        normed: Tensor = self.norm(x)
        return normed


class DecoderStage(nn.Module):
    """Expand, join the encoder's map of the same size, and mix with Swin blocks."""

    def __init__(self, channels: int, size: int, heads: int, window: int, drop_path: float) -> None:
        super().__init__()
        self.expand = PatchExpand(2 * channels, channels, 2)
        self.fuse = nn.Linear(2 * channels, channels)
        self.blocks = SwinTransformerStage(
            dim=channels,
            out_dim=channels,
            input_resolution=(size, size),
            depth=2,
            downsample=False,
            num_heads=heads,
            window_size=window,
            drop_path=drop_path,
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        mixed: Tensor = self.blocks(self.fuse(torch.cat((self.expand(x), skip), dim=-1)))
        return mixed


class SwinUNet(nn.Module):
    """A U-shaped network of shifted-window attention.

    Args:
        size: a key of :data:`WIDTHS`.
        grid_size: pixels per side of the input; ``grid_size / 32`` must be whole.
        window: attention window; every map's side must be a multiple of it, or without it,
            the side of the smallest map is used (7 at 224², 5 at 160²).
        drop_path: largest rate of stochastic depth.
        pretrained: start the encoder, and the decoder's blocks of the same width, from ImageNet
            weights ("tiny" only). Where the model hub cannot be reached a warning says so and the
            start is random.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S = ``grid_size``.
    """

    encoder_parts = ("encoder",)

    def __init__(
        self,
        size: str = "nano",
        grid_size: int = 160,
        classes: int = 4,
        window: int | None = None,
        drop_path: float = 0.1,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        window = check_grid(size, grid_size, window)
        width = WIDTHS[size]
        self.grid_size = grid_size
        self.encoder = SwinTransformer(
            img_size=grid_size,
            patch_size=PATCH,
            in_chans=1,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depths=DEPTHS,
            num_heads=HEADS,
            window_size=window,
            drop_path_rate=drop_path,
        )
        self.encoder.patch_embed.strict_img_size = False  # the grid changes; check_input checks
        self.decoder = nn.ModuleList(
            DecoderStage(
                width * 2**level, grid_size // PATCH // 2**level, HEADS[level], window, drop_path
            )
            for level in reversed(range(len(DEPTHS) - 1))
        )
        self.norm = nn.LayerNorm(width)
        self.expand = PatchExpand(width, width, PATCH)
        self.head = nn.Linear(width, classes)
        self.from_imagenet = pretrained and self._load_imagenet(width, window)

    def set_grid_size(self, grid_size: int) -> None:
        """Take inputs of another size, see :func:`~ctct.models.attention.fit_attention`."""
        fit_attention(self, self.grid_size, grid_size)
        self.grid_size = grid_size

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, channels, H, W) of each level, the largest maps first."""
        check_input(x, self.grid_size)
        x = self.encoder.patch_embed(x)  # (N, S/4, S/4, C)
        features: list[Tensor] = []
        for stage in self.encoder.layers:
            x = stage(x)
            features.append(x)
        features[-1] = self.encoder.norm(x)
        return [x.permute(0, 3, 1, 2) for x in features]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits of the features of :meth:`encode`."""
        x = join_levels([x.permute(0, 2, 3, 1) for x in features], self.decoder)
        logits: Tensor = self.head(self.expand(self.norm(x)))  # (N, S, S, classes)
        return logits.permute(0, 3, 1, 2)

    def _load_imagenet(self, width: int, window: int) -> bool:
        """Take the ImageNet weights of timm's Swin-T; whether there are any that can be reached."""
        if width != WIDTHS["tiny"]:
            log.warning("no ImageNet weights of this width exist; the Transformer starts at random")
            return False
        source = ask_hub(
            "swin_unet",
            lambda: timm.create_model(
                IMAGENET_MODEL,
                pretrained=True,
                in_chans=1,
                img_size=self.grid_size,
                window_size=window,
            ),
        )
        if source is None:
            return False
        self.take_encoder(source.state_dict())
        return True

    def take_encoder(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors of a Swin Transformer that fit, also to the blocks of the decoder.

        A stage of the decoder takes the blocks of the encoder's stage of the same width, as in the
        code of Swin-UNet.
        """
        mirrored = {
            f"decoder.{len(self.decoder) - 1 - level}.blocks.blocks.": f"layers.{level}.blocks."
            for level in range(len(self.decoder))
        }
        state = self.state_dict()
        for name, tensor in state.items():
            source = name.removeprefix("encoder.")
            for ours, theirs in mirrored.items():
                source = source.replace(ours, theirs)
            if source in tensors and tensors[source].shape == tensor.shape:
                tensor.copy_(tensors[source])


def check_grid(size: str, grid_size: int, window: int | None = None) -> int:
    """The attention window, in pixels per side, of a network of a named size on a grid.

    Raises:
        ConfigError: there is no such size, or the window does not fit the grid.
    """
    if size not in WIDTHS:
        raise ConfigError(f"unknown Swin size {size!r}; choose one of {', '.join(WIDTHS)}")
    smallest = grid_size // 32
    window = window or smallest
    if grid_size < 32 or grid_size % 32 or smallest % window:
        raise ConfigError(
            f"Swin networks need a grid of 32 x window x k pixels; got grid {grid_size}, "
            f"window {window}: use window {max(smallest, 1)} or another grid"
        )
    return window


def check_input(x: Tensor, grid_size: int) -> None:
    """Raise ConfigError unless ``x`` (N, 1, H, W) has the size that a Swin network takes."""
    if x.shape[-2] != grid_size or x.shape[-1] != grid_size:
        raise ConfigError(
            f"this Swin network takes {grid_size}×{grid_size} pixels, got "
            f"{x.shape[-2]}×{x.shape[-1]}; resample with ctct.models.grid.sample first"
        )
