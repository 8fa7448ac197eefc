"""The networks by name, and the pair of them that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import HeartCrop, NetworkGrid
from ctct.models.names import SWIN_HYBRID, SWIN_UNET, TIMM, UNET, unknown_network
from ctct.models.swin_hybrid import SwinHybrid
from ctct.models.swin_unet import SwinUNet
from ctct.models.unet import DROPOUT, UNet

#: Settings that decide which weights a graph has.
ARCHITECTURE = ("networks", "swin", "grid_size", "grid_spacing_mm")

#: What applies where a configuration of an older version lacks a setting.
FORMER_DEFAULTS: Mapping[str, Any] = {
    "networks": (UNET, SWIN_UNET),
    "grid": "spacing",
    "intensities": "z_score",
    "dropout": 1.0,
    "dropout_of": "channels",
    "drop_path": 0.1,
    "heart_crop_size": 0,
    "heart_extent_mm": 0.0,
}


def build_graph(config: Mapping[str, Any]) -> SegmentationGraph:
    """Both networks of a configuration, freshly initialized, in their graph.

    The first network is the graph's ``cnn`` and the second its ``transformer``, whatever they are.
    A setting that a configuration of an older version lacks has its former default.

    Args:
        config: settings as :meth:`ctct.training.config.TrainingConfig.to_dict` gives them.

    Raises:
        ConfigError: a network is unknown, or does not fit the grid.
    """
    config = {**FORMER_DEFAULTS, **config}
    first, second = config["networks"]
    grid, heart_crop = grids(config)
    return SegmentationGraph(
        build_network(first, config), build_network(second, config), grid, heart_crop=heart_crop
    )


def grids(config: Mapping[str, Any]) -> tuple[NetworkGrid, HeartCrop | None]:
    """The grid of whole slices, and that of heart crops, of the graph that ``config`` describes.

    Raises:
        ConfigError: there is no such grid.
    """
    config = {**FORMER_DEFAULTS, **config}
    grid = NetworkGrid(
        config["grid_size"],
        config["grid_spacing_mm"],
        stretch=config["grid"] == "resize",
        intensities=config["intensities"],
    )
    crop_size = config["heart_crop_size"]
    return grid, HeartCrop(crop_size, config["heart_extent_mm"]) if crop_size else None


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config`` says of a graph's weights and of their grid, to compare two by."""
    known = {**FORMER_DEFAULTS, **config}
    values = {name: known[name] for name in (*ARCHITECTURE, "grid", "intensities")}
    return values | {"networks": tuple(known["networks"])}


def build_network(name: str, config: Mapping[str, Any]) -> nn.Module:
    """The network called ``unet``, ``swin_unet``, ``swin_hybrid`` or ``timm:ENCODER``.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S = ``config["grid_size"]``.

    Raises:
        ConfigError: there is no such network, or it does not fit the grid.
        RuntimeUnavailableError: a package that it needs is not installed.
    """
    config = {**FORMER_DEFAULTS, **config}
    pretrained, drop_path = bool(config["pretrained"]), config["drop_path"]
    if name == UNET:
        rates = [config["dropout"] * p for p in DROPOUT]
        return UNet(dropout=rates, drop_channels=config["dropout_of"] == "channels")
    if name == SWIN_UNET:
        return SwinUNet(
            config["swin"], config["grid_size"], drop_path=drop_path, pretrained=pretrained
        )
    if name == SWIN_HYBRID:
        return SwinHybrid(config["swin"], config["grid_size"], drop_path=drop_path)
    if name.startswith(TIMM):
        try:
            from ctct.models.timm_unet import TimmUNet
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"{name}: needs {error.name}; {how_to_install('train')}"
            ) from error
        sizes = [size for size in (config["grid_size"], config["heart_crop_size"]) if size]
        return TimmUNet(name.removeprefix(TIMM), sizes, pretrained=pretrained)
    raise ConfigError(unknown_network(name))
