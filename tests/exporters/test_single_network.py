"""A network cut out of a pair's graph says what the same network exported alone says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ModelError
from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.precision import GraphPrecision
from ctct.exporters.trained_pair import TrainedPair
from ctct.model_files.model_file import ModelFile, default_model_path, find_model
from ctct.model_files.single_network import network_alone
from ctct.model_files.variant import MEMBERS, Variant, bf16_path
from ctct.runtimes.base import Prediction
from ctct.runtimes.choose import load_runtime, resolve

pytestmark = pytest.mark.slow  # exports take ten seconds and more


@pytest.fixture(scope="module")
def models(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    """A pair of random networks and each of them alone, as ``ctct export`` writes them."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for name, members in {"pair": MEMBERS, **{one: (one,) for one in MEMBERS}}.items():
        path = folder / f"{name}.onnx"
        save_onnx(TrainedPair(small_run, Variant(members)).to_onnx(GraphPrecision("fp32")), path)
        found[name] = find_model(path)
    return found


def said_of_noise(model: ModelFile) -> Prediction:
    voxels = np.random.default_rng(0).random((2, 1, 70, 66), np.float32)
    return load_runtime(resolve(model, "openvino"))(voxels, np.full((2, 2), 3.0, np.float32))


@pytest.mark.parametrize("network", MEMBERS)
def test_it_says_what_the_network_exported_alone_says(
    network: str, models: dict[str, ModelFile], tmp_path: Path
) -> None:
    pair = models["pair"]
    cut = network_alone(pair, network, tmp_path / "cut.onnx")
    labels = said_of_noise(models[network]).labels
    np.testing.assert_array_equal(said_of_noise(cut).labels, labels)
    assert len(np.unique(labels)) > 1
    assert np.any(said_of_noise(pair).labels != labels)
    assert not said_of_noise(cut).disagreement.any()
    assert cut.sha256 != pair.sha256
    assert cut.description == pair.description


@pytest.mark.parametrize("path", [default_model_path(), bf16_path(default_model_path())])
def test_each_network_of_the_bundled_models_is_smaller(path: Path, tmp_path: Path) -> None:
    pair = find_model(path)
    sizes = [
        network_alone(pair, network, tmp_path / f"{network}.onnx").path.stat().st_size
        for network in MEMBERS
    ]
    assert max(sizes) < path.stat().st_size


def test_a_model_without_a_pair_is_refused(models: dict[str, ModelFile], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no pair of networks"):
        network_alone(models["cnn"], "cnn", tmp_path / "out.onnx")
    with pytest.raises(ModelError, match=r"not an \.onnx file"):
        network_alone(ModelFile(Path("model.xml")), "cnn", tmp_path / "out.onnx")
