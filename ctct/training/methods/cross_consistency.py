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

from ctct.errors import ConfigError
from ctct.models.unet import decode
from ctct.training.config import UnlabelledSettings
from ctct.training.losses import mean_square
from ctct.training.methods.base import Method, StepInputs


class Encoder(Protocol):
    """A network that gives its features."""

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features (N, channels, H, W) of each level, the largest maps first."""
        ...


class CrossConsistency(Method):
    """Mean squared difference between a network and three auxiliary decoders of its features."""

    def __init__(self, students: Sequence[nn.Module], settings: UnlabelledSettings) -> None:
        super().__init__(students, settings)
        for student in students:
            if not hasattr(student, "encode"):
                raise ConfigError(
                    f"--method cross_consistency takes the networks unet and swin_hybrid, whose "
                    f"decoders it copies; got {type(student).__name__}"
                )
        self.decoders = nn.ModuleList(
            nn.ModuleList(AuxiliaryDecoder(student) for _ in PERTURBATIONS) for student in students
        )

    def forward(self, step: StepInputs) -> Tensor:
        images = step.batch.mix(step.batch.images)[step.unlabelled]
        loss = torch.zeros((), device=images.device)
        for logits, student, decoders in zip(
            step.logits, step.students, self.decoders, strict=True
        ):
            taught = logits[step.unlabelled].detach().softmax(1)
            features = cast(Encoder, student).encode(images)
            for decoder, perturb in zip(cast(nn.ModuleList, decoders), PERTURBATIONS, strict=True):
                perturbed = [perturb(x, step.generator) for x in features]
                difference = decoder(perturbed).float().softmax(1) - taught
                loss = loss + mean_square(difference) / len(PERTURBATIONS)
        return loss


class AuxiliaryDecoder(nn.Module):
    """A copy of a network's decoder and head; logits (N, C, S, S) of its features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.decoder = copy.deepcopy(cast(nn.ModuleList, network.decoder))
        self.head = copy.deepcopy(cast(nn.Module, network.head))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return decode(features, self.decoder, self.head)


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
