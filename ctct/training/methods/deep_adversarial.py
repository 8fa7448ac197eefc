"""Deep adversarial network: segmentations of unlabelled slices must pass as those of labelled ones.

Source: Zhang et al., "Deep Adversarial Networks for Biomedical Image Segmentation Utilizing
Unannotated Images", MICCAI 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ctct.labels import CLASSES
from ctct.training.config import UnlabelledSettings
from ctct.training.methods.base import Method, StepInputs


class Discriminator(nn.Sequential):
    """Logit that a segmentation belongs to a labelled slice.

    Shape:
        (N, classes + 1, H, W), probabilities and the slice → (N,).
    """

    def __init__(self, width: int = 32) -> None:
        widths = (len(CLASSES) + 1, width, 2 * width, 4 * width, 8 * width)
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
            for a, b in pairwise(widths)
        ]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1), nn.Flatten(0))
        super().__init__(*blocks, *head)


class DeepAdversarial(Method):
    """Each network deceives a discriminator, which learns at the same time to tell them apart."""

    has_weights = True

    def __init__(self, students: Sequence[nn.Module], settings: UnlabelledSettings) -> None:
        super().__init__(students, settings)
        self.discriminators = nn.ModuleList(Discriminator() for _ in students)

    def forward(self, step: StepInputs) -> Tensor:
        images = step.batch.mix(step.batch.images)
        n, labelled = len(images), len(step.batch.labels)
        is_labelled = (torch.arange(n, device=images.device) < labelled).float()
        loss = torch.zeros((), device=images.device)
        for logits, discriminator in zip(step.logits, self.discriminators, strict=True):
            shown = torch.cat((logits.softmax(1), images), 1)
            # The network learns through the discriminator, whose weights are constants here, ...
            constants = {name: p.detach() for name, p in discriminator.named_parameters()}
            judged = functional_call(discriminator, constants, (shown[step.unlabelled],))
            loss = loss + binary_cross_entropy(judged, torch.ones_like(judged))
            # ... and the discriminator from segmentations that are constants.
            loss = loss + binary_cross_entropy(discriminator(shown.detach()), is_labelled)
        return loss


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the slices (N,)."""
    return F.binary_cross_entropy_with_logits(logits.float(), target)
