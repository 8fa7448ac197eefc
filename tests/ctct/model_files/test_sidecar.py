from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ctct.errors import ModelError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import find_model
from ctct.model_files.sidecar import (
    RTX,
    TENSORRT,
    EngineRecord,
    read_engine_record,
    sidecar_path,
    write_engine_record,
)

RECORD = EngineRecord(
    engine_sha256=hashlib.sha256(b"engine").hexdigest(),
    model_sha256="ab" * 32,
    package=TENSORRT,
    version="10.9",
    gpu="NVIDIA RTX A4000",
    capability=(8, 6),
    targets=(),
    precision="fp32",
    profile=EngineProfile((1, 2, 3), (32, 64, 96)),
    types={"labels": "uint8"},
    description={"grid": {"size": 64}},
    verification={"agreement": 1.0},
)
RTX_RECORD = replace(RECORD, package=RTX, version="1.7", gpu="", capability=None)


@pytest.mark.parametrize("record", [RECORD, replace(RTX_RECORD, targets=("sm80", "sm89"))])
def test_a_record_survives_its_file(record: EngineRecord, tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    write_engine_record(engine, record)
    assert sidecar_path(engine).name == "a.engine.json"
    assert read_engine_record(engine) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "[]", "damaged"),
        (lambda text: "7", "damaged"),
        (lambda text: json.dumps(json.loads(text) | {"profile": {"batch": [1, 2]}}), "damaged"),
        (lambda text: json.dumps(json.loads(text) | {"more": 1}), "fields are not those"),
        (None, "keep the two together"),
    ],
)
def test_a_sidecar_that_cannot_be_used_says_what_to_do(
    change: object, message: str, tmp_path: Path
) -> None:
    engine = tmp_path / "a.engine"
    if callable(change):
        sidecar_path(engine).write_text(change(RECORD.to_json()))
    with pytest.raises(ModelError, match=message) as caught:
        read_engine_record(engine)
    assert "build it again with ctct export" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_is_a_model_that_describes_itself(tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    engine.write_bytes(b"engine")
    with pytest.raises(ModelError, match=r"a\.engine\.json: cannot be read"):
        find_model(engine)
    write_engine_record(engine, RECORD)
    model = find_model(engine)
    assert model.is_engine
    assert not model.is_onnx
    assert model.description == {"grid": {"size": 64}}
    assert model.sha256 == RECORD.engine_sha256
