from __future__ import annotations

import pytest
import torch

from ctct.errors import ConfigError
from ctct.models.grid import NetworkGrid
from ctct.models.networks import build_graph, build_network

CONFIG = {"swin": "nano", "grid_size": 160, "grid_spacing_mm": 1.5, "pretrained": False}


@pytest.mark.parametrize("name", ["swin_unet", "swin_hybrid"])
def test_a_smaller_grid_uses_the_middle_of_the_position_tables(name: str) -> None:
    # Windows of 5 pixels at 160², of 3 at 96²: tables of 9 × 9 distances, -4…4, and of 5 × 5, -2…2.
    network = build_network(name, CONFIG).eval()
    made_for_it = build_network(name, {**CONFIG, "grid_size": 96}).eval()
    weights = network.state_dict()
    for key, table in weights.items():
        if key.endswith("relative_position_bias_table"):
            weights[key] = table.view(9, 9, -1)[2:7, 2:7].flatten(0, 1)
    made_for_it.load_state_dict(weights)
    large, small = torch.rand(1, 1, 160, 160), torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        before = network(large)
        network.set_grid_size(96)
        torch.testing.assert_close(network(small), made_for_it(small))
        network.set_grid_size(160)
        torch.testing.assert_close(network(large), before, rtol=0, atol=0)


@pytest.mark.parametrize("size", [100, 112, 192])
def test_a_grid_that_the_windows_do_not_fit(size: int) -> None:
    network = build_network("swin_hybrid", CONFIG)
    with pytest.raises(ConfigError, match=f"windows of 5 pixels.*{size}"):
        network.set_grid_size(size)


def test_a_graph_takes_its_networks_along() -> None:
    graph = build_graph({**CONFIG, "networks": ("unet", "swin_hybrid")}).eval()
    slices, spacing = torch.rand(1, 1, 120, 120), torch.tensor([[1.5, 1.5]])
    with graph.on_grid(96), torch.no_grad():
        assert graph.grid == NetworkGrid(96, 1.5)
        assert graph.resample_to_grid(slices, spacing).shape == (1, 1, 96, 96)
        assert graph(slices, spacing)[0].shape == (1, 120, 120)
    assert graph.grid == NetworkGrid(160, 1.5)
