"""The fused graph: raw slices and their spacing in, label maps at native resolution out.

Everything between is inside, so whoever runs the exported graph needs no code of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.model_files.variant import Variant
from ctct.models.grid import NetworkGrid, normalize, sample
from ctct.models.normalization import OtherStatistics, for_other_grid
from ctct.models.swin_hybrid import SwinHybrid
from ctct.models.swin_unet import SwinUNet


class SegmentationGraph(nn.Module):
    """Both networks, the resampling to and from their grid, and their weighted mean.

    Args:
        cnn: logits (N, C, S, S) from (N, 1, S, S), S = ``grid.size``.
        transformer: the same.
        grid: the networks' grid.
        member_weights: share of each network in the mean of the class probabilities.
        variant: what else it does, or leaves out.
        heart_crop: whether it is for smaller grids too, with statistics of batch normalization for
            these.

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
        variant: Variant | None = None,
        heart_crop: bool = False,
    ) -> None:
        super().__init__()
        if min(member_weights) < 0 or sum(member_weights) <= 0:
            raise ConfigError(f"member weights must be >= 0 and not all zero, got {member_weights}")
        self.cnn = cnn
        self.transformer = transformer
        self.grid = grid
        self.variant = variant or Variant()
        weights = torch.tensor(member_weights, dtype=torch.float32)
        self.register_buffer("member_weights", weights / weights.sum())
        self.member_weights: Tensor
        self.whole = grid.size
        self.other_statistics = OtherStatistics(self) if heart_crop else None

    def fit(self, size: int) -> None:
        """Use a grid of ``size`` pixels a side, of the same spacing and with the same weights.

        Between its whole grid and a smaller one it changes the statistics of batch normalization.

        Raises:
            ConfigError: a network does not work on it.
        """
        if size == self.grid.size:
            return
        grid = NetworkGrid(size, self.grid.spacing_mm)
        for network in (self.cnn, self.transformer):
            if isinstance(network, SwinUNet | SwinHybrid):
                network.fit(size)
        if self.other_statistics and self.whole in (size, self.grid.size):
            self.other_statistics.exchange(self)
        self.grid = grid

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Take every tensor of ``state_dict()`` from ``tensors``, by name.

        Where these hold statistics of batch normalization of one grid only, the other has them too.

        Raises:
            RuntimeError: one is missing, or of another shape.
        """
        own = self.state_dict()
        tensors = for_other_grid(tensors) | dict(tensors)
        self.load_state_dict({k: v for k, v in tensors.items() if k in own})

    def forward(self, slices: Tensor, spacing_mm: Tensor) -> tuple[Tensor, ...]:
        x = self.to_grid(slices, spacing_mm)
        each = [self._probabilities(getattr(self, name), x) for name in self.variant.members]
        size = (slices.shape[-2], slices.shape[-1])
        if len(each) == 2:
            mean = self.member_weights[0] * each[0] + self.member_weights[1] * each[1]
            apart = 0.5 * (each[0] - each[1]).abs().sum(1, keepdim=True)
            native = self.to_native(torch.cat((mean, apart), 1), size, spacing_mm)
            probabilities, disagreement = native[:, :-1], native[:, -1]
        else:
            probabilities = self.to_native(each[0], size, spacing_mm)
            disagreement = torch.full_like(probabilities[:, 0], torch.nan)
        labels = probabilities.argmax(1).to(torch.uint8)
        if self.variant.probabilities:
            return labels, disagreement, probabilities
        return labels, disagreement

    def to_grid(self, slices: Tensor, spacing_mm: Tensor) -> Tensor:
        """What the networks see, (N, 1, S, S), of slices (N, 1, H, W)."""
        size = (self.grid.size, self.grid.size)
        return normalize(sample(slices, spacing_mm, size, self._spacing_like(spacing_mm)))

    def member_probabilities(self, slices: Tensor, spacing_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Class probabilities (N, C, S, S) of the CNN and of the Transformer, on their grid."""
        x = self.to_grid(slices, spacing_mm)
        return self._probabilities(self.cnn, x), self._probabilities(self.transformer, x)

    def _probabilities(self, network: nn.Module, x: Tensor) -> Tensor:
        if not self.variant.tta:
            alone: Tensor = network(x).softmax(1)
            return alone
        # All orientations of all slices are one batch, so that the graph is no larger.
        views = [turned(x, turns, mirror) for turns, mirror in ORIENTATIONS]
        p = network(torch.cat(views)).softmax(1)
        p = p.reshape(len(views), -1, *p.shape[1:])  # (8, N, C, S, S)
        back = [turned_back(p[i], *orientation) for i, orientation in enumerate(ORIENTATIONS)]
        return torch.stack(back).mean(0)

    def to_native(self, maps: Tensor, size: tuple[int, int], spacing_mm: Tensor) -> Tensor:
        """Maps (N, C, S, S) on the networks' grid back at native (N, C, H, W); zero beyond it."""
        return sample(maps, self._spacing_like(spacing_mm), size, spacing_mm)

    def _spacing_like(self, spacing_mm: Tensor) -> Tensor:
        return torch.full_like(spacing_mm, self.grid.spacing_mm)


#: Quarter turns, and whether mirrored before them.
ORIENTATIONS = tuple((turns, mirror) for mirror in (False, True) for turns in range(4))


def turned(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """Square maps (N, C, S, S), mirrored left to right if asked, then turned by right angles."""
    return torch.rot90(x.flip(-1) if mirror else x, turns, (-2, -1))


def turned_back(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """The inverse of :func:`turned`."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if mirror else x
