"""Names of the networks, for settings that are checked where torch is not installed."""

from __future__ import annotations

from collections.abc import Sequence

from ctct.errors import ConfigError

UNET, SWIN_UNET, SWIN_HYBRID = "unet", "swin_unet", "swin_hybrid"
#: What the name of a U-Net on an encoder of timm begins with, as in ``timm:resnet34``.
TIMM = "timm:"


def check_networks(names: Sequence[str]) -> None:
    """Raise ConfigError unless ``names`` are the names of two networks."""
    if len(names) != 2:
        raise ConfigError(f"--networks takes two names, as in unet,swin_unet; got {len(names)}")
    for name in names:
        if name not in (UNET, SWIN_UNET, SWIN_HYBRID) and not str(name).startswith(TIMM):
            raise ConfigError(unknown_network(name))


def unknown_network(name: str) -> str:
    """The complaint about a network that does not exist."""
    return (
        f"unknown network {name!r}; choose {UNET}, {SWIN_UNET}, {SWIN_HYBRID}, or {TIMM} and an "
        f"encoder of timm, as in {TIMM}resnet34"
    )
