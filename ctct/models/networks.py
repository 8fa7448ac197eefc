"""The networks by name, and the pair of them that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import HeartCrop, NetworkGrid
from ctct.models.names import SWIN_HYBRID, SWIN_UNET, TIMM, UNET, unknown_network
from ctct.models.swin_hybrid import SwinHybrid
from ctct.models.swin_unet import SwinUNet
from ctct.models.unet import DROPOUT, UNet

#: The pair of the cross-teaching paper.
DEFAULT_PAIR = (UNET, SWIN_UNET)

#: Settings that decide which weights a graph has.
ARCHITECTURE = ("networks", "swin", "grid_size", "grid_spacing_mm")
#: Further such settings, with the value of a configuration that lacks them.
LATER_ARCHITECTURE = {"grid": "spacing", "intensities": "z_score"}


def build_graph(config: Mapping[str, Any]) -> SegmentationGraph:
    """Both networks of a configuration, freshly initialized, in their graph.

    The first network is the graph's ``cnn`` and the second its ``transformer``, whatever they are.
    A setting that a configuration of an older version lacks has its former default.

    Args:
        config: settings as :meth:`ctct.training.config.TrainingConfig.to_dict` gives them.

    Raises:
        ConfigError: a network is unknown, or does not fit the grid.
    """
    first, second = config.get("networks", DEFAULT_PAIR)
    return SegmentationGraph(
        build_network(first, config),
        build_network(second, config),
        NetworkGrid(
            config["grid_size"],
            config["grid_spacing_mm"],
            stretch=config.get("grid") == "resize",
            intensities=config.get("intensities", "z_score"),
        ),
        heart_crop=heart_crop(config),
    )


def heart_crop(config: Mapping[str, Any]) -> HeartCrop | None:
    """The smaller grid around the heart of a configuration, if it has one."""
    size = config.get("heart_crop_size", 0)
    return HeartCrop(size, config.get("heart_extent_mm", 0.0)) if size else None


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of :data:`ARCHITECTURE` in ``config``, to compare two configurations by."""
    values = {name: config[name] for name in ARCHITECTURE[1:]}
    values |= {name: config.get(name, value) for name, value in LATER_ARCHITECTURE.items()}
    return {ARCHITECTURE[0]: tuple(config.get(ARCHITECTURE[0], DEFAULT_PAIR)), **values}


def build_network(name: str, config: Mapping[str, Any]) -> nn.Module:
    """The network called ``unet``, ``swin_unet``, ``swin_hybrid`` or ``timm:ENCODER``.

    Shape:
        (N, 1, S, S) → (N, classes, S, S) logits, S = ``config["grid_size"]``.

    Raises:
        ConfigError: there is no such network, or it does not fit the grid.
        RuntimeUnavailableError: a package that it needs is not installed.
    """
    pretrained = bool(config["pretrained"])
    if name == UNET:
        rates = [config.get("dropout", 1.0) * p for p in DROPOUT]
        return UNet(dropout=rates, drop_channels=config.get("dropout_of") != "values")
    drop_path = config.get("drop_path", 0.1)
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
                f"{name}: needs {error.name}; pip install 'ctct[train]'"
            ) from error
        sizes = [size for size in (config["grid_size"], config.get("heart_crop_size")) if size]
        return TimmUNet(name.removeprefix(TIMM), sizes, pretrained=pretrained)
    raise ConfigError(unknown_network(name))
