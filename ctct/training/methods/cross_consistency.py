"""Cross-consistency: decoders of perturbed features agree with the decoder of the network.

Source: Ouali et al., "Semi-Supervised Semantic Segmentation with Cross-Consistency Training", CVPR
2020; the three perturbations are those of the comparison of Luo et al., MIDL 2022.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ctct.models.swin_hybrid import SwinHybrid
from ctct.models.swin_unet import SwinUNet
from ctct.training.config import UnlabelledSettings
from ctct.training.losses import mean_square
from ctct.training.methods.base import Method, StepInputs


class EncoderDecoder(Protocol):
    """What every network of :func:`~ctct.models.networks.build_network` is."""

    #: Names of the modules that only :meth:`encode` needs.
    encoder_parts: tuple[str, ...]

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, channels, H, W) of each level, the largest maps first."""
        ...

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, S, S) of the features of :meth:`encode`."""
        ...


class CrossConsistency(Method):
    """Mean squared difference between a network and three auxiliary decoders of its features."""

    has_weights = True

    def __init__(self, students: Sequence[nn.Module], settings: UnlabelledSettings) -> None:
        super().__init__(students, settings)
        self.decoders = nn.ModuleList(
            nn.ModuleList(copy_decoder(student) for _ in PERTURBATIONS) for student in students
        )

    def forward(self, step: StepInputs) -> Tensor:
        images = step.batch.mix(step.batch.images)[step.unlabelled]
        loss = torch.zeros((), device=images.device)
        for logits, student, decoders in zip(
            step.logits, step.students, self.decoders, strict=True
        ):
            taught = logits[step.unlabelled].detach().softmax(1)
            features = cast(EncoderDecoder, student).encode(images)
            for decoder, perturb in zip(cast(nn.ModuleList, decoders), PERTURBATIONS, strict=True):
                if isinstance(decoder, SwinUNet | SwinHybrid):
                    decoder.set_grid_size(images.shape[-1])
                perturbed = [perturb(x, step.generator) for x in features]
                decoded = cast(EncoderDecoder, decoder).decode(perturbed)
                difference = decoded.float().softmax(1) - taught
                loss = loss + mean_square(difference) / len(PERTURBATIONS)
        return loss


def copy_decoder(network: nn.Module) -> nn.Module:
    """A copy of an :class:`EncoderDecoder` that can decode but not encode."""
    copied = copy.deepcopy(network)
    for part in cast(EncoderDecoder, network).encoder_parts:
        parent, _, name = part.rpartition(".")
        delattr(copied.get_submodule(parent), name)
    return copied


def add_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each feature changed by up to 30 %."""
    uniform = torch.rand(x.shape[1:], generator=generator, device=x.device)
    return x + x * (0.6 * uniform - 0.3)


def drop_channels(x: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the channels set to zero."""
    kept = torch.rand(*x.shape[:2], 1, 1, generator=generator, device=x.device) < 0.5
    return 2 * x * kept


def drop_activated(x: Tensor, generator: torch.Generator) -> Tensor:
    """The most activated regions set to zero."""
    attention = x.detach().mean(1, keepdim=True)
    highest = attention.amax((2, 3), keepdim=True)
    share = 0.7 + 0.2 * torch.rand((), generator=generator, device=x.device)
    return x * (attention < share * highest)


PERTURBATIONS: tuple[Callable[[Tensor, torch.Generator], Tensor], ...] = (
    add_noise,
    drop_channels,
    drop_activated,
)
