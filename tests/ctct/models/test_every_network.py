"""What every network must do; a new one needs a line in :data:`NETWORKS` and no further test.

Logits on the grid that went in, gradients everywhere, a clear refusal of sizes that do not fit,
weights that survive saving, and an export that agrees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ctct.errors import ConfigError
from ctct.model_files.variant import Variant
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import NetworkGrid
from ctct.models.networks import build_network
from ctct.training.methods.cross_consistency import copy_decoder

SIZE = 64
CONFIG: dict[str, Any] = {
    "swin": "nano",
    "grid_size": SIZE,
    "grid_spacing_mm": 1.5,
    "pretrained": False,
}


MULTIPLE, EXACT = "multiples of {} pixels, got 72×65", "takes 64×64 pixels, got 72×65"
#: What the refusal of 72 × 65 pixels says of the sizes that fit.
NETWORKS = {
    "unet": MULTIPLE.format(16),
    "swin_unet": EXACT,
    "swin_hybrid": EXACT,
    "timm:resnet18": MULTIPLE.format(32),
}


def build(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(name, CONFIG)


def images(n: int = 2, size: int = SIZE) -> torch.Tensor:
    return torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@torch.no_grad()
def test_logits_of_every_class_on_the_grid_that_went_in(name: str) -> None:
    network = build(name).eval()
    for n in (1, 3):
        logits = network(images(n))
        assert (logits.shape, logits.dtype) == ((n, 4, SIZE, SIZE), torch.float32)
        assert logits.isfinite().all()


def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = build(name).train()
    network(images()).square().mean().backward()
    without = [
        parameter
        for parameter, value in network.named_parameters()
        if value.grad is None or not value.grad.isfinite().all()
    ]
    assert not without


def test_a_size_that_does_not_fit_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(ConfigError, match=r"resample with ctct\.models\.grid\.sample") as caught:
        build(name).eval()(torch.zeros(1, 1, 72, 65))
    assert NETWORKS[name] in str(caught.value)


@torch.no_grad()
def test_a_copy_without_the_encoder_decodes_its_features(name: str) -> None:
    network = build(name).eval()
    copied = copy_decoder(network)
    assert sum(p.numel() for p in copied.parameters()) < sum(
        p.numel() for p in network.parameters()
    )
    features = network.encode(images())
    sizes = [x.shape[-1] for x in features]
    assert sizes == sorted(sizes, reverse=True)
    torch.testing.assert_close(copied.decode(features), network(images()), rtol=0, atol=1e-5)


@torch.no_grad()
def test_evaluation_is_deterministic_and_slices_do_not_mix(name: str) -> None:
    network = build(name).eval()
    first = network(images(3))
    torch.testing.assert_close(network(images(3)), first, rtol=0, atol=0)
    torch.testing.assert_close(network(images(3)[1:2]), first[1:2], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_weights_survive_saving(name: str, tmp_path: Path) -> None:
    network, other = build(name), build(name, seed=5).eval()
    network.train()(images())  # statistics of batch normalization are saved too
    expected = network.eval()(images())
    assert not torch.allclose(other(images()), expected)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(other(images()), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_export_agrees(name: str) -> None:
    """On slices of another number and size than those it was traced with."""
    onnx_graph = pytest.importorskip("ctct.exporters.onnx_graph")
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build(name)
    network.train()(images())
    variant = Variant(members=("cnn",), probabilities=True)
    graph = SegmentationGraph(
        network, nn.Identity(), NetworkGrid(SIZE, 1.5), variant=variant
    ).eval()
    model = onnx_graph.to_onnx(graph, {}).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    slices, spacing_mm = 100 * torch.rand(3, 1, 70, 50), torch.tensor([[1.2, 1.4]] * 3)
    inputs = {"slices": slices.numpy(), "spacing_mm": spacing_mm.numpy()}
    labels, _, probabilities = session.run(None, inputs)
    with torch.no_grad():
        expected, _, expected_probabilities = graph(slices, spacing_mm)
    assert (labels.shape, labels.dtype) == ((3, 70, 50), np.uint8)
    assert (labels == expected.numpy()).mean() > 0.999
    np.testing.assert_allclose(probabilities, expected_probabilities.numpy(), atol=1e-3)
