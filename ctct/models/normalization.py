"""Batch normalization on two grids: each has means and variances of its own.

What a window around the heart shows differs from what the whole grid does, and the mean of their
statistics fits neither. So the grids share all weights but these, as domains do in adaptive batch
normalization (Li et al., Pattern Recognition 80, 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: What the names of a graph's :class:`OtherStatistics` begin with.
OTHER = "other_statistics."

_BUFFERS = ("running_mean", "running_var")


class OtherStatistics(nn.Module):
    """Running statistics of ``network`` for the grid that it is not on; at first, its own.

    Buffers, under the names they have in ``network`` with "_" for ".".
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, statistic in _statistics(network):
            self.register_buffer(name, statistic.clone())

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Give ``network`` these, and keep those that it has."""
        for name, own in _statistics(network):
            kept = self.get_buffer(name)
            own.data, kept.data = kept.data, own.data


def for_other_grid(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The statistics among the ``tensors`` of a graph, by their names for its other grid."""
    return {OTHER + _flat(k): v for k, v in tensors.items() if k.split(".")[-1] in _BUFFERS}


def _statistics(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            for buffer in _BUFFERS:
                yield _flat(f"{name}.{buffer}"), module.get_buffer(buffer)


def _flat(name: str) -> str:
    return name.replace(".", "_")
