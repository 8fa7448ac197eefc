from __future__ import annotations

import pytest
import torch

from ctct.errors import ConfigError
from ctct.models.names import check_networks
from ctct.models.networks import build_graph, build_network

CONFIG = {"swin": "nano", "grid_size": 64, "grid_spacing_mm": 1.4, "pretrained": False}


def test_dropout_is_relative_to_the_papers() -> None:
    unet = build_network("unet", {**CONFIG, "dropout": 0.5})
    assert [m.p for m in unet.modules() if isinstance(m, torch.nn.Dropout2d)][:5] == [
        0.025,
        0.05,
        0.1,
        0.15,
        0.25,
    ]


def test_a_configuration_of_an_older_version_without_names() -> None:
    graph = build_graph(CONFIG)  # does not know of networks by name
    assert [type(n).__name__ for n in (graph.cnn, graph.transformer)] == ["UNet", "SwinUNet"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vnet", "unknown network 'vnet'; choose unet, swin_unet, swin_hybrid, or timm:"),
        ("timm:no_such_encoder", r"timm:no_such_encoder: no encoder .* timm\.list_models\(\)"),
        ("timm:vit_tiny_patch16_224", "no encoder that this timm can make .*downsampling"),
        ("timm:swin_tiny_patch4_window7_224", "does not take 64×64 pixels .*--grid-size"),
    ],
)
def test_networks_that_cannot_be_built(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_network(name, CONFIG)
    assert "\n" not in str(caught.value)


def test_the_trial_of_the_grid_leaves_an_encoder_of_timm_as_it_was() -> None:
    network = build_network("timm:resnet18", {**CONFIG, "heart_crop_size": 32})
    assert all(module.training for module in network.modules())
    counters = [v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")]
    assert counters
    assert not any(counters)


@pytest.mark.parametrize("names", [(), ("unet",), ("unet", "unet", "unet")])
def test_a_pair_is_two(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=f"--networks takes two names.*got {len(names)}"):
        check_networks(names)
