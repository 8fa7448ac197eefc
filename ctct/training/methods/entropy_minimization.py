"""Entropy minimization: each network decides for one class.

Source: Vu et al., "ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
Segmentation", CVPR 2019.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ctct.training.losses import entropy, weighted_mean
from ctct.training.methods.base import Method, StepInputs


class EntropyMinimization(Method):
    """Mean entropy of the class probabilities, over the largest possible, ln C."""

    def forward(self, step: StepInputs) -> Tensor:
        weight = step.unlabelled_pixels()
        loss = torch.zeros((), device=weight.device)
        for logits in step.logits:
            largest = math.log(logits.shape[1])
            loss = loss + weighted_mean(entropy(logits.softmax(1)) / largest, weight)
        return loss
