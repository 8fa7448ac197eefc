from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ctct.errors import ConfigError, InputError, ModelError, OutputError, ParityError
from ctct.exporters import export as export_module
from ctct.exporters.export import Attempt, export, verify
from ctct.exporters.formats import FORMATS, ExportJob, convert_to_openvino
from ctct.exporters.onnx_graph import save_onnx
from ctct.exporters.parity import LIMITS, Limits, Parity
from ctct.exporters.precision import GraphPrecision
from ctct.exporters.request import FORMAT_NAMES, PRECISIONS, ExportRequest
from ctct.exporters.trained_pair import TrainedPair
from ctct.io.nifti import encode_study
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant, heart_crop_path
from ctct.models.checkpoint import load_checkpoint, save_checkpoint
from ctct.models.normalization import OtherStatistics
from ctct.runtimes.openvino_cpu import OpenVinoRuntime
from ctct.synthetic import synthetic_cine


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short synthetic cine, for the gate."""
    folder = tmp_path_factory.mktemp("scans")
    for stem, content in encode_study(*synthetic_cine(seed=0, frames=2, slices=5)).items():
        (folder / f"{stem}.nii.gz").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def pair(scans: Path) -> TrainedPair:
    """The bundled pair, which is verified on that cine."""
    pair = TrainedPair("default", Variant(), verify_on=scans)
    assert len(pair.reference) == 1
    return pair


def damaged(model: onnx.ModelProto, damage: Callable[[np.ndarray], np.ndarray]) -> onnx.ModelProto:
    """A copy with ``damage`` applied to the weights of the convolutions."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if len(tensor.dims) == 4 and tensor.data_type == onnx.TensorProto.FLOAT:
            values = damage(onnx.numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return copy


def two_bits(weights: np.ndarray) -> np.ndarray:
    """Weights rounded to four levels per layer."""
    step = np.abs(weights).max() / 2
    return np.clip(np.round(weights / step), -2, 1) * step


@pytest.mark.slow
class TestGate:
    def test_passes_the_unchanged_graph(self, pair: TrainedPair, tmp_path: Path) -> None:
        save_onnx(pair.to_onnx(GraphPrecision("fp32")), tmp_path / "m.onnx")
        attempt = verify(
            pair, GraphPrecision("fp32"), OpenVinoRuntime(tmp_path / "m.onnx", keep=False)
        )
        assert attempt.failures == ()
        assert attempt.runtime == "openvino"
        assert attempt.parity is not None
        assert attempt.parity.agreement >= 0.9999
        assert pair.reference[0].labels.max() == 3  # the scan shows a heart

    @pytest.mark.parametrize("damage", [two_bits, lambda weights: weights + 0.02])
    def test_rejects_a_damaged_graph(
        self, damage: Callable[[np.ndarray], np.ndarray], pair: TrainedPair, tmp_path: Path
    ) -> None:
        model = damaged(pair.to_onnx(GraphPrecision("fp32")), damage)
        save_onnx(model, tmp_path / "m.onnx")
        runtime = OpenVinoRuntime(tmp_path / "m.onnx", keep=False)
        for precision in LIMITS:
            assert verify(pair, GraphPrecision(precision), runtime).failures

    def test_writes_nothing_that_fails(
        self, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(job: ExportJob) -> Path:
            path = job.folder / "model.onnx"
            save_onnx(damaged(job.pair.to_onnx(job.precision), two_bits), path)
            return path

        monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write))
        with pytest.raises(ParityError, match=r"no onnx model was written.*agreement") as raised:
            export("default", tmp_path / "out", ExportRequest(verify_on=scans))
        assert raised.value.exit_code == 6
        assert list((tmp_path / "out").iterdir()) == []

    def test_falls_back_when_a_precision_fails(
        self, small_run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(export_module.LIMITS, "fp16", Limits(dice=1.1))
        monkeypatch.setitem(export_module.LIMITS, "fp32", Limits(volume_ml=1e9, ef_points=1e9))
        request = ExportRequest(("onnx", "triton"), "fp16", verify_on=scans)
        artifact, repository = export(small_run, tmp_path, request)
        assert len(repository.attempts) == 3
        tried = [str(attempt.precision) for attempt in artifact.attempts]
        assert tried == ["fp16", "fp16 in the cnn, fp32 in the other", "fp32"]
        assert find_model(artifact.path).description["precision"] == "fp32"
        sidecar = json.loads((tmp_path / "model.onnx.json").read_text())
        attempts = sidecar["verification"]["attempts"]
        assert [attempt["precision"] for attempt in attempts] == tried
        assert "Dice" in attempts[0]["failures"][0]
        assert attempts[2]["failures"] == []
        assert sidecar["description"]["precision"] == "fp32"


@pytest.mark.slow
def test_every_format(scans: Path, tmp_path: Path) -> None:
    names = ["onnx", "openvino", "triton"]
    if importlib.util.find_spec("tensorrt_rtx"):
        names.append("engine")
    stages: list[str] = []
    request = ExportRequest(tuple(names), "fp16", verify_on=scans)
    artifacts = export("default", tmp_path, request, stages.append)
    assert [artifact.format for artifact in artifacts] == [*names, "onnx", "openvino"]
    assert all(str(a.attempts[-1].precision) == "fp16" for a in artifacts)
    assert any(stage.startswith("openvino: verifying fp16") for stage in stages)
    assert not list(tmp_path.glob(".*"))
    description = find_model().description
    for name in ("model.onnx", "model.xml", "model.engine")[: 2 + ("engine" in names)]:
        exported = find_model(tmp_path / name).description
        assert exported["precision"] == "fp16"
        assert exported["grid"].items() >= description["grid"].items()
        assert exported["license"] == description["license"]
        sidecar = json.loads((tmp_path / f"{name}.json").read_text())
        (attempt,) = sidecar["verification"]["attempts"]
        assert attempt["parity"]["dice"]["LV"] > 0.998
    config = (tmp_path / "triton" / "ctct" / "config.pbtxt").read_text()
    assert "max_batch_size: 32" in config
    again = export("default", tmp_path, replace(request, formats=("triton", "openvino")))
    assert [artifact.path for artifact in again] == [
        tmp_path / name for name in ("triton", "model.xml", "model.heart_crop.xml")
    ]


@pytest.mark.slow
def test_without_verification(small_run: Path, tmp_path: Path) -> None:
    (artifact,) = export(small_run, tmp_path, ExportRequest(verify=False))
    assert str(artifact.attempts[0]) == "fp32: not verified"
    sidecar = json.loads((tmp_path / "model.onnx.json").read_text())
    assert sidecar["verification"] == {
        "studies": [],
        "attempts": [Attempt(GraphPrecision("fp32")).to_dict()],
    }


def convolution(path: Path, kind: int, opset: int) -> Path:
    """A file of one convolution in floats of ``kind``."""
    tensor, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    weights = onnx.helper.make_tensor("w", kind, [1, 1, 1, 1], [1.0])
    nodes = [
        node("Cast", ["x"], ["c"], to=kind),
        node("Conv", ["c", "w"], ["d"]),
        node("Cast", ["d"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    x, y = (tensor(name, onnx.TensorProto.FLOAT, [1, 1, 4, 4]) for name in "xy")
    graph = onnx.helper.make_graph(nodes, "convolution", [x], [y], [weights])
    opsets = [onnx.helper.make_opsetid("", opset)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


class TestRuntimeOfTheGate:
    def test_onnx_is_loaded_in_onnx_runtime(self, tmp_path: Path) -> None:
        loaded = FORMATS["onnx"].load(convolution(tmp_path / "m.onnx", onnx.TensorProto.FLOAT, 18))
        assert (loaded.runtime.name, loaded.unloadable_in) == ("onnxruntime", {})

    def test_where_onnx_runtime_cannot_load_it_openvino_verifies_it_and_says_so(
        self, tmp_path: Path
    ) -> None:
        path = convolution(tmp_path / "m.onnx", onnx.TensorProto.BFLOAT16, 22)
        loaded = FORMATS["onnx"].load(path)
        assert loaded.runtime.name == "openvino"
        (name,) = loaded.unloadable_in
        assert name == "ONNX Runtime on the CPU"
        assert "Conv(22)" in loaded.unloadable_in[name]
        assert loaded.unloadable_in[name].endswith("use --runtime openvino")
        assert str(tmp_path) not in loaded.unloadable_in[name]
        parity = Parity(1.0, {"LV": 1.0}, 0.0, 0.0, 0.0, 0.0)
        attempt = Attempt(GraphPrecision("bf16"), "openvino", parity, (), loaded.unloadable_in)
        assert str(attempt).endswith("passed; ONNX Runtime on the CPU cannot load it")
        assert attempt.to_dict()["unloadable_in"] == loaded.unloadable_in

    def test_a_file_that_neither_loads_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_text("no model")
        with pytest.raises(ModelError, match=r"m\.onnx: not a model of ctct"):
            FORMATS["onnx"].load(tmp_path / "m.onnx")

    def test_without_onnx_runtime_openvino_verifies_it_and_a_warning_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        loaded = FORMATS["onnx"].load(convolution(tmp_path / "m.onnx", onnx.TensorProto.FLOAT, 18))
        assert (loaded.runtime.name, loaded.unloadable_in) == ("openvino", {})
        assert "ONNX Runtime is not installed" in caplog.text


@pytest.mark.slow
def test_a_pair_trained_with_heart_crops_is_exported_on_both_grids(
    small_run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, description = load_checkpoint(small_run)
    graph.other_statistics = OtherStatistics(graph)
    for statistic in graph.other_statistics.buffers():
        statistic.mul_(0.5)  # unlike those of the full grid
    config = description.config | {"heart_crop_size": 32, "heart_extent_mm": 80.0}
    save_checkpoint(tmp_path, graph, replace(description, config=config))
    monkeypatch.setitem(export_module.LIMITS, "fp32", Limits(0.999, volume_ml=1e9, ef_points=1e9))
    request = ExportRequest(("onnx", "openvino"), verify_on=scans)
    artifacts = export(tmp_path, tmp_path / "out", request)
    assert [artifact.path.name for artifact in artifacts] == [
        *("model.onnx", "model.xml", "model.heart_crop.onnx", "model.heart_crop.xml")
    ]
    for artifact in artifacts[:2]:
        found = find_model(artifact.path)
        assert found.description["grid"]["size"] == 64
        assert found.heart_crop is not None
        assert found.heart_crop.path == heart_crop_path(artifact.path)
        small_grid = found.heart_crop.description["grid"]
        assert (small_grid["size"], small_grid["heart_extent_mm"]) == (32, 80.0)
    small, _ = load_checkpoint(artifacts[2].path)
    assert small.grid.size == 32
    name = "encoder.0.1.running_mean"
    halved = 0.5 * graph.cnn.get_buffer(name)
    torch.testing.assert_close(small.cnn.get_buffer(name), halved, rtol=1e-3, atol=1e-4)
    # The ONNX files of both grids together restore the whole pair.
    restored, _ = load_checkpoint(artifacts[0].path)
    weights = graph.state_dict()
    for name, tensor in restored.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4, msg=name)
    artifacts[2].path.unlink()
    assert load_checkpoint(artifacts[0].path)[0].other_statistics is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": ()}, "one or more of onnx, openvino, engine, triton, monai-bundle"),
        ({"formats": ("tflite",)}, "--format must be .*; got 'tflite'"),
        ({"precision": "fp8"}, "--precision must be one of fp32, fp16, bf16, int8, got 'fp8'"),
        (
            {"formats": ("onnx", "engine"), "variant": Variant(probabilities=True)},
            "leave out --probabilities",
        ),
    ],
)
def test_an_impossible_request_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportRequest(**settings)


def test_names_of_formats_and_precisions() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES
    assert tuple(LIMITS) == PRECISIONS


@pytest.mark.parametrize("setting", ["verify_on", "calibration"])
def test_a_missing_folder_of_scans_is_refused(
    setting: str, small_run: Path, tmp_path: Path
) -> None:
    request = ExportRequest(**{setting: tmp_path / "missing"})
    with pytest.raises(InputError, match="missing"):
        export(small_run, tmp_path / "out", request)
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "text.safetensors").write_text("no model")
    for source in ("missing", "missing.onnx", "text.onnx", "text.safetensors", "."):
        with pytest.raises(ModelError, match=source.strip(".") or "model.safetensors"):
            export(tmp_path / source, tmp_path / "out", ExportRequest())
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out: cannot write there"):
        export(small_run, tmp_path / "out", ExportRequest())


def test_openvino_refuses_what_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for name in ("text.onnx", "missing.onnx"):
        with pytest.raises(ModelError, match=f"{name}: OpenVINO cannot convert it"):
            convert_to_openvino(tmp_path / name, tmp_path / "model.xml")


class TestCommand:
    @pytest.mark.slow
    def test_predict_takes_an_openvino_model(
        self, ctct: Callable[..., Any], small_run: Path, scans: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        done = ctct("export", small_run, "-o", out, "--format", "openvino", "--no-verify")
        assert done.code == 0, done.err
        assert done.out.splitlines()[1] == "  fp32: not verified"
        assert {p.name for p in out.iterdir()} == {"model.xml", "model.bin", "model.xml.json"}
        assert ctct("info", "--model", out / "model.xml").code == 0
        done = ctct("predict", scans, "-o", tmp_path / "labels", "--model", out / "model.xml")
        assert done.code == 0, done.err
        arguments = ("predict", scans, "-o", tmp_path / "l", "--model", out / "model.xml")
        done = ctct(*arguments, "--runtime", "torch")
        assert done.code == 7
        assert "torch cannot run a file in OpenVINO's format" in done.err

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (("no_such_run",), 7, "no_such_run: not a model; give"),
            (("default", "--batch", "8,4,16"), 2, "MIN <= OPT <= MAX"),
            (("default", "--size", "0,256,512"), 2, "--size 0,256,512"),
            (("default", "--batch", "many"), 2, "--batch many: give MIN,OPT,MAX"),
            (("default", "--members", "gan"), 2, "--members must be"),
            (("default", "--precision", "int8", "--calibration", "empty"), 4, "empty"),
            (("default", "--verify-on", "empty"), 4, "empty"),
        ],
    )
    def test_an_error_is_one_line(
        self,
        arguments: tuple[str, ...],
        code: int,
        message: str,
        ctct: Callable[..., Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("empty").mkdir()
        done = ctct("export", *arguments, "-o", "out")
        assert done.code == code, done.err
        assert message in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not Path("out").exists() or not list(Path("out").iterdir())

    def test_a_truncated_file(self, ctct: Callable[..., Any], tmp_path: Path) -> None:
        content = find_model().path.read_bytes()
        (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
        done = ctct("export", tmp_path / "cut.onnx", "-o", tmp_path / "out")
        assert done.code == ModelError.exit_code
        assert "not a model of ctct" in done.err
