"""Swin networks on a smaller grid than the one they were made for, with the same weights."""

from __future__ import annotations

import math

from timm.models.swin_transformer import SwinTransformerBlock, get_relative_position_index
from torch import Tensor, nn

from ctct.errors import ConfigError


def fit_attention(network: nn.Module, grid_size: int, wanted: int) -> None:
    """Make the Swin blocks of ``network``, which fit ``grid_size``, fit ``wanted`` instead.

    Maps and attention windows shrink and grow together, so each map is cut into as many windows as
    before. No weight changes: a smaller window uses the middle of the table of relative positions,
    the entries of its own distances.

    Raises:
        ConfigError: the windows would not be whole, or larger than their tables.
    """
    for block in network.modules():
        if not isinstance(block, SwinTransformerBlock):
            continue
        resolution, window = (
            _scaled(pair[0], grid_size, wanted)
            for pair in (block.input_resolution, block.window_size)
        )
        largest = (math.isqrt(len(block.attn.relative_position_bias_table)) + 1) // 2
        if not resolution or not window or window > largest:
            raise ConfigError(
                f"a Swin network with windows of {largest} pixels, now on a grid of {grid_size}, "
                f"does not fit one of {wanted}: choose a smaller multiple of 32 for --heart-crop"
            )
        shift = window // 2 if any(block.target_shift_size) and resolution > window else 0
        block.input_resolution = (resolution, resolution)
        block.window_size, block.shift_size = (window, window), (shift, shift)
        block.window_area = block.attn.window_area = window * window
        block.attn.relative_position_index = _positions(window, largest).to(
            block.attn.relative_position_index.device
        )
        block.init_non_persistent_buffers()  # the mask of shifted windows


def _scaled(length: int, grid_size: int, wanted: int) -> int:
    """``length`` of a map on the grid wanted; 0 where that is not whole."""
    return 0 if length * wanted % grid_size else length * wanted // grid_size


def _positions(window: int, largest: int) -> Tensor:
    """(w², w²) rows of the table of a window of ``largest`` pixels for one of ``window``."""
    whole = get_relative_position_index(largest, largest).view((largest,) * 4)
    index: Tensor = whole[:window, :window, :window, :window].reshape(window**2, window**2)
    return index
