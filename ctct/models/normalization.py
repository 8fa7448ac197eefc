"""Batch normalization on two grids: each has means and variances of its own.

The crop around the heart shows other tissue than the whole grid, and the mean of their statistics
fits neither. So the grids share all weights but these, as domains do in adaptive batch
normalization (Li et al., Pattern Recognition 80, 2018).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: Beginning of the names of a graph's :class:`OtherStatistics` in its ``state_dict()``.
OTHER_STATISTICS = "other_statistics."

_BUFFERS = ("running_mean", "running_var")


class OtherStatistics(nn.Module):
    """Running statistics for the grid that ``network`` is not on; at first, equal to its own.

    Each is a buffer, named as in ``network`` with "_" for ".".
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        #: Names of the statistics in ``network``; finding them takes a while, exchanging does not.
        self.names = [
            f"{name}.{buffer}"
            for name, module in network.named_modules()
            if isinstance(module, _BatchNorm)
            for buffer in _BUFFERS
        ]
        for name in self.names:
            self.register_buffer(_flat(name), network.get_buffer(name).clone())

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Exchange these with the statistics of ``network``."""
        for name in self.names:
            statistic, other = network.get_buffer(name), self.get_buffer(_flat(name))
            statistic.data, other.data = other.data, statistic.data


def for_other_grid(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The statistics among the ``tensors`` of a graph, by their names for its other grid."""
    return {
        OTHER_STATISTICS + _flat(name): tensor
        for name, tensor in tensors.items()
        if name.split(".")[-1] in _BUFFERS
    }


def _flat(name: str) -> str:
    return name.replace(".", "_")
