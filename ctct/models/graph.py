"""The fused graph: raw slices and their spacing in, label maps at native resolution out.

Everything between is inside, so whoever runs the exported graph needs no code of ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.models.grid import NetworkGrid, normalise, sample


class SegmentationGraph(nn.Module):
    """Both networks, the resampling to and from their grid, and their weighted mean.

    Args:
        cnn: logits (N, C, S, S) from (N, 1, S, S), S = ``grid.size``.
        transformer: the same.
        grid: the networks' grid.
        member_weights: share of each network in the mean of the class probabilities.
        probabilities: also return the class probabilities.

    Shape:
        - ``slices``: (N, 1, H, W) float32, raw intensities at native resolution.
        - ``spacing_mm``: (N, 2) float32, in-plane (row, column) spacing.
        - ``labels``: (N, H, W) uint8; pixels beyond the networks' field of view are background.
        - ``disagreement``: (N, H, W) float32, ½·Σ|p_cnn − p_transformer|, 0…1.
        - ``probabilities`` (when asked for): (N, C, H, W) float32; zero beyond the field of view.
    """

    def __init__(
        self,
        cnn: nn.Module,
        transformer: nn.Module,
        grid: NetworkGrid,
        member_weights: tuple[float, float] = (0.5, 0.5),
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        if min(member_weights) < 0 or sum(member_weights) <= 0:
            raise ConfigError(f"member weights must be >= 0 and not all zero, got {member_weights}")
        self.cnn = cnn
        self.transformer = transformer
        self.grid = grid
        self.probabilities = probabilities
        weights = torch.tensor(member_weights, dtype=torch.float32)
        self.register_buffer("member_weights", weights / weights.sum())
        self.member_weights: Tensor

    def forward(self, slices: Tensor, spacing_mm: Tensor) -> tuple[Tensor, ...]:
        cnn, transformer = self.member_probabilities(slices, spacing_mm)
        mean = self.member_weights[0] * cnn + self.member_weights[1] * transformer
        apart = 0.5 * (cnn - transformer).abs().sum(1, keepdim=True)
        native_size = (slices.shape[-2], slices.shape[-1])
        native = self.to_native(torch.cat((mean, apart), 1), native_size, spacing_mm)
        probabilities, disagreement = native[:, :-1], native[:, -1]
        labels = probabilities.argmax(1).to(torch.uint8)
        if self.probabilities:
            return labels, disagreement, probabilities
        return labels, disagreement

    def member_probabilities(self, slices: Tensor, spacing_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Class probabilities (N, C, S, S) of the CNN and of the Transformer, on their grid."""
        size = (self.grid.size, self.grid.size)
        x = normalise(sample(slices, spacing_mm, size, self._spacing_like(spacing_mm)))
        return self.cnn(x).softmax(1), self.transformer(x).softmax(1)

    def to_native(self, maps: Tensor, size: tuple[int, int], spacing_mm: Tensor) -> Tensor:
        """Maps (N, C, S, S) on the networks' grid back at native (N, C, H, W); zero beyond it."""
        return sample(maps, self._spacing_like(spacing_mm), size, spacing_mm)

    def _spacing_like(self, spacing_mm: Tensor) -> Tensor:
        return torch.full_like(spacing_mm, self.grid.spacing_mm)
