"""A small pair with random weights, as a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ctct.models.checkpoint import ModelDescription, save_checkpoint
from ctct.models.networks import build_graph

CONFIG = {
    "networks": ["unet", "swin_hybrid"],
    "swin": "nano",
    "grid_size": 64,
    "grid_spacing_mm": 3.0,
    "pretrained": False,
    "data": "/somewhere/private",
    "unlabelled": ["/somewhere/private/too"],
    "validation": "/somewhere/private.txt",
    "init_from": "/somewhere/private/run",
}


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with random weights, whose batch normalization has seen some noise."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    graph = build_graph(CONFIG).train()
    with torch.no_grad():
        graph(torch.rand(4, 1, 64, 64), torch.full((4, 2), 3.0))
    graph.member_weights.copy_(torch.tensor([0.7, 0.3]))
    scores = {"cnn": 0.9, "transformer": 0.8, "ensemble": 0.91}
    save_checkpoint(folder, graph.eval(), ModelDescription(CONFIG, 5, (0.7, 0.3), scores))
    return folder
