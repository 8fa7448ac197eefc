"""The fused graph: raw slices and their spacing in, label maps at native resolution out.

Everything between is inside, so whoever runs the exported graph needs no code of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.model_files.variant import Variant
from ctct.models.grid import HeartCrop, NetworkGrid, sample
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
        variant: networks that count, and further outputs.
        heart_crop: a smaller grid on which it also runs, with statistics of batch normalization for
            it; None without one.

    Shape:
        - ``slices``: (N, 1, H, W) float32, raw intensities at native resolution.
        - ``spacing_mm``: (N, 2) float32, in-plane (row, column) spacing.
        - ``labels``: (N, H, W) uint8; pixels beyond the networks' field of view are background.
        - ``disagreement``: (N, H, W) float32, ½·Σ|p_cnn − p_transformer|, 0…1.
        - ``probabilities`` (if the variant has them): (N, C, H, W) float32; zero beyond that field.
    """

    def __init__(
        self,
        cnn: nn.Module,
        transformer: nn.Module,
        grid: NetworkGrid,
        member_weights: tuple[float, float] = (0.5, 0.5),
        variant: Variant | None = None,
        heart_crop: HeartCrop | None = None,
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
        self.full_size = grid.size
        self.heart_crop = heart_crop
        self.other_statistics = OtherStatistics(self) if heart_crop else None

    @contextmanager
    def on_grid(self, size: int) -> Iterator[None]:
        """Run the networks on a grid of ``size`` pixels per side, and on the present one after it.

        A smaller grid, the heart crop, has the spacing and the weights of the whole grid, and
        statistics of batch normalization of its own.

        Raises:
            ConfigError: a network does not work on it.
        """
        before = self.grid.size
        self.set_grid(size)
        try:
            yield
        finally:
            self.set_grid(before)

    def set_grid(self, size: int) -> None:
        """Stay on a grid of ``size`` pixels per side, as for an export; see :meth:`on_grid`."""
        if size == self.grid.size:
            return
        grid = replace(self.grid, size=size)
        for network in (self.cnn, self.transformer):
            if isinstance(network, SwinUNet | SwinHybrid):
                network.set_grid_size(size)
        if self.other_statistics and self.full_size in (size, self.grid.size):
            self.other_statistics.exchange(self)
        self.grid = grid

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Take every tensor of ``state_dict()`` from ``tensors``, by name.

        Statistics of batch normalization for one grid only serve for both.

        Raises:
            RuntimeError: one is missing, or of another shape.
        """
        tensors = for_other_grid(tensors) | dict(tensors)
        names = self.state_dict().keys()
        self.load_state_dict({name: tensors[name] for name in tensors if name in names})

    def forward(self, slices: Tensor, spacing_mm: Tensor) -> tuple[Tensor, ...]:
        x = self.resample_to_grid(slices, spacing_mm)
        members = [self._probabilities(getattr(self, name), x) for name in self.variant.members]
        size = (slices.shape[-2], slices.shape[-1])
        if len(members) == 2:
            mean = self.member_weights[0] * members[0] + self.member_weights[1] * members[1]
            difference = 0.5 * (members[0] - members[1]).abs().sum(1, keepdim=True)
            native = self.resample_to_native(torch.cat((mean, difference), 1), size, spacing_mm)
            probabilities, disagreement = native[:, :-1], native[:, -1]
        else:
            probabilities = self.resample_to_native(members[0], size, spacing_mm)
            disagreement = torch.full_like(probabilities[:, 0], torch.nan)
        labels = probabilities.argmax(1).to(torch.uint8)
        if self.variant.probabilities:
            return labels, disagreement, probabilities
        return labels, disagreement

    def resample_to_grid(
        self, slices: Tensor, spacing_mm: Tensor, view: Tensor | None = None
    ) -> Tensor:
        """The networks' input (N, 1, S, S) of slices (N, 1, H, W): resampled and normalized.

        Args:
            slices: raw intensities.
            spacing_mm: (N, 2).
            view: (N, 2, 3) affine in millimeters about the center, from the grid to the slice;
                identity when left out.
        """
        size = (self.grid.size, self.grid.size)
        spacing_mm = self.grid.slice_spacing_mm((slices.shape[-2], slices.shape[-1]), spacing_mm)
        grid_mm = self._spacing_like(spacing_mm)
        return self.grid.normalize(sample(slices, spacing_mm, size, grid_mm, view))

    def member_probabilities(
        self, slices: Tensor, spacing_mm: Tensor, view: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Class probabilities (N, C, S, S) of the CNN and of the Transformer, on their grid."""
        x = self.resample_to_grid(slices, spacing_mm, view)
        return self._probabilities(self.cnn, x), self._probabilities(self.transformer, x)

    def _probabilities(self, network: nn.Module, x: Tensor) -> Tensor:
        if not self.variant.tta:
            probabilities: Tensor = network(x).softmax(1)
            return probabilities
        # All orientations of all slices are one batch, so that the graph is no larger.
        oriented = torch.cat([orient(x, *orientation) for orientation in ORIENTATIONS])
        p = network(oriented).softmax(1)
        p = p.reshape(len(ORIENTATIONS), -1, *p.shape[1:])  # (8, N, C, S, S)
        restored = [undo_orientation(p[i], *o) for i, o in enumerate(ORIENTATIONS)]
        return torch.stack(restored).mean(0)

    def resample_to_native(
        self,
        maps: Tensor,
        size: tuple[int, int],
        spacing_mm: Tensor,
        view: Tensor | None = None,
    ) -> Tensor:
        """Maps (N, C, S, S) on the networks' grid back at native (N, C, H, W); zero beyond it.

        ``view`` is that of :meth:`resample_to_grid`, the way there.
        """
        back = None
        if view is not None:
            linear = torch.linalg.inv(view[:, :, :2])
            back = torch.cat((linear, -linear @ view[:, :, 2:]), 2)
        spacing_mm = self.grid.slice_spacing_mm(size, spacing_mm)
        return sample(maps, self._spacing_like(spacing_mm), size, spacing_mm, back)

    def _spacing_like(self, spacing_mm: Tensor) -> Tensor:
        return torch.full_like(spacing_mm, self.grid.spacing_mm)


#: Quarter turns, and whether mirrored before them.
ORIENTATIONS = tuple((turns, mirror) for mirror in (False, True) for turns in range(4))


def orient(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """Square maps (N, C, S, S), mirrored left to right if ``mirror``, then in quarter turns."""
    return torch.rot90(x.flip(-1) if mirror else x, turns, (-2, -1))


def undo_orientation(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """The inverse of :func:`orient`."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if mirror else x
