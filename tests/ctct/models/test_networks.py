from __future__ import annotations

import pytest
import torch

from ctct.errors import ConfigError
from ctct.models.networks import build_graph, build_network

CONFIG = {"swin": "nano", "grid_size": 64, "grid_spacing_mm": 1.4, "pretrained": False}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("unet", {"dropout": 0.0}),
        ("swin_unet", {}),
        ("swin_hybrid", {}),
        ("timm:resnet18", {}),
        ("timm:mobilenetv3_small_050", {}),
    ],
)
def test_logits_and_gradients(name: str, changes: dict[str, object]) -> None:
    network = build_network(name, {**CONFIG, **changes})
    logits = network(torch.rand(2, 1, 64, 64))
    assert logits.shape == (2, 4, 64, 64)
    logits.square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None]
    assert not without


def test_dropout_is_relative_to_the_papers() -> None:
    unet = build_network("unet", {**CONFIG, "dropout": 0.5})
    assert [m.p for m in unet.modules() if isinstance(m, torch.nn.Dropout2d)][:5] == [
        0.025,
        0.05,
        0.1,
        0.15,
        0.25,
    ]


def test_a_configuration_of_an_older_version() -> None:
    graph = build_graph(CONFIG)  # does not know of networks by name
    assert [type(n).__name__ for n in (graph.cnn, graph.transformer)] == ["UNet", "SwinUNet"]


@pytest.mark.parametrize("name", ["vnet", "timm:no_such_encoder", "timm:vit_tiny_patch16_224"])
def test_unknown_network(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_network(name, CONFIG)
    assert "\n" not in str(caught.value)
