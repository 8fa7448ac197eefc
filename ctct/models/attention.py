"""Swin networks on a smaller grid than the one they were made for, with the same weights."""

from __future__ import annotations

import math
from functools import cache

from timm.models.swin_transformer import SwinTransformerBlock, get_relative_position_index
from torch import Tensor, nn

from ctct.errors import ConfigError


def fit_attention(network: nn.Module, from_size: int, to_size: int) -> None:
    """Change the Swin blocks of ``network`` from a grid of ``from_size`` to one of ``to_size``.

    Maps and attention windows shrink and grow together, so each map is cut into as many windows as
    before. No weight changes: a smaller window uses the middle of the table of relative positions,
    the entries of its own distances.

    Raises:
        ConfigError: a window's side would not be whole, or larger than its table.
    """
    if from_size == to_size:
        return
    for block in network.modules():
        if not isinstance(block, SwinTransformerBlock):
            continue
        resolution, window = (
            _scale(pair[0], from_size, to_size)
            for pair in (block.input_resolution, block.window_size)
        )
        largest = (math.isqrt(len(block.attn.relative_position_bias_table)) + 1) // 2
        if not resolution or not window or window > largest:
            raise ConfigError(
                f"a Swin network with windows of {largest} pixels, now on a grid of {from_size}, "
                f"does not fit one of {to_size}: choose a smaller multiple of 32 for "
                "--heart-crop-size"
            )
        shift = window // 2 if any(block.target_shift_size) and resolution > window else 0
        block.input_resolution = (resolution, resolution)
        block.window_size, block.shift_size = (window, window), (shift, shift)
        block.window_area = block.attn.window_area = window * window
        block.attn.relative_position_index = _positions(window, largest).to(
            block.attn.relative_position_index.device
        )
        block.init_non_persistent_buffers()  # the mask of shifted windows


def _scale(length: int, from_size: int, to_size: int) -> int:
    """``length`` of a map on the other grid; 0 where it is not whole."""
    return 0 if length * to_size % from_size else length * to_size // from_size


@cache
def _positions(window: int, largest: int) -> Tensor:
    """(w², w²) rows of the table of a window of ``largest`` pixels for one of ``window``."""
    index = get_relative_position_index(largest, largest).view((largest,) * 4)
    middle: Tensor = index[:window, :window, :window, :window].reshape(window**2, window**2)
    return middle
