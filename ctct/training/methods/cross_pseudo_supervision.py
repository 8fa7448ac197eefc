"""Cross pseudo supervision: cross-entropy of each network against the other's argmax.

Source: Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision", CVPR
2021. There, both networks are of the same kind: choose --networks unet,unet.
"""

from __future__ import annotations

from torch import Tensor

from ctct.training.losses import cross_entropy
from ctct.training.methods.base import Method, StepInputs


class CrossPseudoSupervision(Method):
    """Each network learns from the other's labels of the same mixed slices."""

    def forward(self, step: StepInputs) -> Tensor:
        cnn, transformer = step.logits
        weight = step.unlabelled_pixels()
        to_cnn = cross_entropy(cnn, transformer.detach().argmax(1), weight)
        to_transformer = cross_entropy(transformer, cnn.detach().argmax(1), weight)
        return to_cnn + to_transformer
