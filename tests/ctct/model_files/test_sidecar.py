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
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt.compatibility import Flavour, check, mismatch

A4000, L4 = Gpu("NVIDIA RTX A4000", (8, 6)), Gpu("NVIDIA L4", (8, 9))
HERE = Flavour(TENSORRT, "10.9", None)
RECORD = EngineRecord(
    engine_sha256=hashlib.sha256(b"engine").hexdigest(),
    model_sha256="ab" * 32,
    package=TENSORRT,
    version="10.9",
    gpu=A4000.name,
    capability=A4000.capability,
    targets=(),
    precision="fp32",
    profile=EngineProfile((1, 2, 3), (32, 64, 96)),
    types={"labels": "uint8"},
    description={"grid": {"size": 64}},
    verification={"agreement": 1.0},
)
RTX_RECORD = replace(RECORD, package=RTX, version="1.7", gpu="", capability=None)
RTX_HERE = Flavour(RTX, "1.7", None)


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


@pytest.mark.parametrize(
    ("record", "here", "gpu", "model", "reason"),
    [
        (RECORD, HERE, A4000, "ab" * 32, ""),
        (RECORD, HERE, A4000, None, ""),
        (
            RECORD,
            replace(HERE, version="10.8"),
            A4000,
            None,
            "tensorrt 10.9, here is tensorrt 10.8",
        ),
        (RECORD, RTX_HERE, A4000, None, "made with tensorrt 10.9, here is tensorrt_rtx 1.7"),
        (RECORD, HERE, L4, None, r"made for NVIDIA RTX A4000 (sm86), here is NVIDIA L4 (sm89)"),
        (RECORD, HERE, A4000, "cd" * 32, "made from model abababababab…, here is cdcdcdcdcdcd…"),
        (replace(RECORD, engine_sha256="0" * 64), HERE, A4000, None, "damaged: its sidecar names"),
        (RTX_RECORD, RTX_HERE, L4, None, ""),
        (
            RTX_RECORD,
            RTX_HERE,
            Gpu("T4", (7, 5)),
            None,
            "made for sm80 or newer, here is T4 (sm75)",
        ),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, L4, None, ""),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, A4000, None, "made for sm89, here is"),
        (replace(RTX_RECORD, targets=("sm89",)), RTX_HERE, None, None, ""),
    ],
)
def test_a_mismatch_names_both_sides(
    record: EngineRecord, here: Flavour, gpu: Gpu | None, model: str | None, reason: str
) -> None:
    found = mismatch(record, b"engine", here, gpu, model)
    assert reason in found
    assert bool(found) == bool(reason)


def test_check_reads_engine_and_record(tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    engine.write_bytes(b"engine")
    write_engine_record(engine, RECORD)
    assert check(engine, HERE, A4000) == (RECORD, b"engine")
    with pytest.raises(ModelError, match=r"a\.engine: made for .*; build it again with ctct exp"):
        check(engine, HERE, L4)
    engine.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        check(engine, HERE, A4000)


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
