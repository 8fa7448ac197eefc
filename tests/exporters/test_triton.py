from __future__ import annotations

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from trt_support import write_tiny_onnx

from ctct.errors import ConfigError, ModelError, OutputError
from ctct.exporters.triton import config_text, onnx_types, write_triton_repository
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import default_model_path
from ctct.model_files.sidecar import EngineRecord, write_engine_record

pb = pytest.importorskip("tritonclient.grpc.model_config_pb2")
TYPES = {
    "slices": "float32",
    "spacing_mm": "float32",
    "labels": "uint8",
    "disagreement": "float32",
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    labels = {"background": 0, "RV": 1}
    return write_tiny_onnx(tmp_path / "tiny.onnx", labels=labels, license='"CC" \\ é')


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "a.engine"
    path.write_bytes(b"engine")
    write_engine_record(path, RECORD)
    return path


RECORD = EngineRecord(
    engine_sha256=hashlib.sha256(b"engine").hexdigest(),
    model_sha256="0" * 64,
    package="tensorrt",
    version="10.9",
    gpu="NVIDIA L4",
    capability=(8, 9),
    targets=(),
    precision="fp16",
    profile=EngineProfile((1, 8, 24), (32, 256, 320)),
    types=TYPES | {"disagreement": "float16"},
    description={"labels": {"background": 0}},
)


def read_config(folder: Path) -> Any:
    """``config.pbtxt``, read as Triton does."""
    text = (folder / "config.pbtxt").read_text("utf-8")
    return text_format.Parse(text, pb.ModelConfig())


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("model", ["tiny", "bundled"])
def test_tensors_are_those_of_the_onnx_file(model: str, tiny: Path, tmp_path: Path) -> None:
    path = tiny if model == "tiny" else default_model_path()
    folder = write_triton_repository(tmp_path / "repository", path)
    assert files(tmp_path / "repository") == ["ctct/1/model.onnx", "ctct/config.pbtxt"]
    assert (folder / "1" / "model.onnx").read_bytes() == path.read_bytes()
    config = read_config(folder)
    assert config.name == "ctct"
    graph = onnx.load(path).graph
    types = {onnx.TensorProto.FLOAT: pb.TYPE_FP32, onnx.TensorProto.UINT8: pb.TYPE_UINT8}
    for described, values in ((config.input, graph.input), (config.output, graph.output)):
        assert [(t.name, t.data_type, list(t.dims)) for t in described] == [
            (
                value.name,
                types[value.type.tensor_type.elem_type],
                [d.dim_value or -1 for d in value.type.tensor_type.shape.dim][1:],
            )
            for value in values
        ]


def test_config_of_an_onnx_file(tiny: Path, tmp_path: Path) -> None:
    folder = write_triton_repository(
        tmp_path, tiny, name="heart", max_batch=8, preferred_batches=(8, 4), queue_delay_us=500
    )
    config = read_config(folder)
    assert config.name == "heart"
    assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.onnx")
    assert config.max_batch_size == 8
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO
    assert config.version_policy.latest.num_versions == 1
    assert not any(tensor.allow_ragged_batch for tensor in config.input)
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert parameters["license"] == '"CC" \\ é'
    assert json.loads(parameters["labels"]) == {"background": 0, "RV": 1}
    assert parameters["sha256"] == hashlib.sha256(tiny.read_bytes()).hexdigest()


def test_config_of_an_engine(engine: Path, tmp_path: Path) -> None:
    folder = write_triton_repository(tmp_path / "repository", engine, kind="engine")
    assert files(folder) == ["1/model.plan", "config.pbtxt"]
    config = read_config(folder)
    assert config.name == "ctct"
    assert config.backend == "tensorrt"
    assert config.max_batch_size == 24
    assert list(config.dynamic_batching.preferred_batch_size) == [8]
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    assert [tensor.name for tensor in config.output] == ["labels", "disagreement"]
    assert config.output[1].data_type == pb.TYPE_FP16
    assert config.parameters["pixels_per_side"].string_value == "32 to 320"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"kind": "plan"}, ConfigError, "choose one of onnx, engine"),
        ({"kind": "engine"}, ModelError, "not of kind engine"),
        ({"name": "../ctct"}, ConfigError, "give letters"),
        ({"name": ""}, ConfigError, "give letters"),
        ({"max_batch": 0}, ConfigError, "--batch 0: give at least 1"),
        ({"max_batch": 4, "preferred_batches": (8,)}, ConfigError, "give batches of 1 to 4"),
        ({"queue_delay_us": -1}, ConfigError, "a delay of at least 0"),
    ],
)
def test_an_impossible_setting_is_refused(
    settings: dict, error: type[Exception], message: str, tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        write_triton_repository(tmp_path / "repository", tiny, **settings)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    ("changes", "settings", "error", "message"),
    [
        ({"package": "tensorrt_rtx"}, {}, ConfigError, "Triton cannot load"),
        ({"profile": EngineProfile((2, 8, 16))}, {}, ConfigError, "with --batch 1,OPT,MAX"),
        ({}, {"max_batch": 32}, ConfigError, "give 1 to 24, as the engine takes"),
        ({"types": {"slices": "float32"}}, {}, ModelError, r"has slices \(float32\), not"),
        ({"types": TYPES | {"labels": "int64"}}, {}, ModelError, r"labels \(int64\)"),
    ],
)
def test_an_engine_that_triton_cannot_serve_is_refused(
    changes: dict,
    settings: dict,
    error: type[Exception],
    message: str,
    engine: Path,
    tmp_path: Path,
) -> None:
    write_engine_record(engine, replace(RECORD, **changes))
    with pytest.raises(error, match=message):
        write_triton_repository(tmp_path / "repository", engine, kind="engine", **settings)


def test_an_existing_model_is_not_overwritten(tiny: Path, tmp_path: Path) -> None:
    folder = write_triton_repository(tmp_path / "repository", tiny)
    write_triton_repository(tmp_path / "repository", tiny, name="other")
    before = (folder / "config.pbtxt").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_triton_repository(tmp_path / "repository", tiny, max_batch=5)
    assert (folder / "config.pbtxt").read_bytes() == before


def test_a_full_disk_leaves_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left"):
        write_triton_repository(tmp_path / "repository", tiny)
    assert list((tmp_path / "repository").iterdir()) == []


def test_the_text_reads_as_one_written_by_hand() -> None:
    text = config_text(
        name="heart",
        kind="engine",
        types=RECORD.types,
        max_batch=24,
        preferred_batches=(16, 4, 16),
        queue_delay_us=500,
        parameters={"license": '"CC" \\ é\n'},
    )
    by_hand = r"""
        name: "heart"
        backend: "tensorrt"
        default_model_filename: "model.plan"
        max_batch_size: 24
        input [
          { name: "slices", data_type: TYPE_FP32, dims: [ 1, -1, -1 ] },
          { name: "spacing_mm", data_type: TYPE_FP32, dims: [ 2 ] }
        ]
        output [
          { name: "labels", data_type: TYPE_UINT8, dims: [ -1, -1 ] },
          { name: "disagreement", data_type: TYPE_FP16, dims: [ -1, -1 ] }
        ]
        dynamic_batching {
          preferred_batch_size: [ 4, 16 ]
          max_queue_delay_microseconds: 500
        }
        instance_group [ { count: 1, kind: KIND_GPU } ]
        version_policy { latest { num_versions: 1 } }
        parameters { key: "license" value { string_value: "\"CC\" \\ é\n" } }
    """
    written, expected = (text_format.Parse(t, pb.ModelConfig()) for t in (text, by_hand))
    assert written == expected


@pytest.mark.parametrize("name", ["missing.onnx", "text.onnx", "run"])
def test_a_file_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_text("weights")
    with pytest.raises(ModelError):
        write_triton_repository(tmp_path / "repository", tmp_path / name)
    assert not (tmp_path / "repository").exists()


def test_a_repository_that_is_a_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "repository").write_text("")
    with pytest.raises(OutputError, match="cannot write there"):
        write_triton_repository(tmp_path / "repository", tiny)


def test_a_graph_with_other_tensors_is_refused(tiny: Path) -> None:
    model = onnx.load(tiny)
    model.graph.output[1].name = "uncertainty"
    onnx.save(model, tiny)
    with pytest.raises(ModelError, match="uncertainty"):
        onnx_types(tiny)
    del model.graph.output[1]
    onnx.save(model, tiny)
    with pytest.raises(ModelError, match="not slices, spacing_mm, labels, disagreement"):
        write_triton_repository(tiny.parent / "repository", tiny)
