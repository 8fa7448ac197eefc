"""The cache of engines, with real builds, several processes and processes that are killed."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ctct.errors import OutputError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.sidecar import RTX, read_engine_record, sidecar_path
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt.cache import cache_key, cached_engine, remove_engine
from ctct.runtimes.tensorrt.compatibility import TensorRTPackage

pytest.importorskip(RTX)
PROFILE = EngineProfile((1, 2, 4), (32, 64, 96))

#: Ask for the engine; say "built" for each build, "engine NAME" at the end. Stops at the first
#: step for as long as a file "wait" is there.
PROGRAM = """
import sys, time
from pathlib import Path
from ctct.model_files.model_file import find_model
from ctct.runtimes.tensorrt.cache import cached_engine
from ctct.model_files.engine_profile import EngineProfile
built = False
def observe(done, total, phase):
    global built
    if not built:
        built = True
        print("built", flush=True)
    while Path("wait").exists():
        time.sleep(0.02)
model = find_model("tiny.onnx")
engine = cached_engine(model, EngineProfile((1, 2, 4), (32, 64, 96)), (), "tensorrt_rtx", observe)
print("engine", engine.name, flush=True)
"""


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.suffix != ".lock")


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=folder, stdout=subprocess.PIPE, text=True
    )


def test_the_key_changes_with_whatever_changes_the_engine(tiny: Path) -> None:
    model, rtx, gpu = find_model(tiny), TensorRTPackage(RTX, "1.7", None), Gpu("L4", (8, 9))
    keys = [
        cache_key(model, rtx, gpu, PROFILE),
        cache_key(replace(model, sha256="0"), rtx, gpu, PROFILE),
        cache_key(replace(model, description={"precision": "fp16"}), rtx, gpu, PROFILE),
        cache_key(model, replace(rtx, version="1.8"), gpu, PROFILE),
        cache_key(model, replace(rtx, name="tensorrt"), gpu, PROFILE),
        cache_key(model, rtx, None, PROFILE),
        cache_key(model, rtx, replace(gpu, name="L40"), PROFILE),
        cache_key(model, rtx, gpu, replace(PROFILE, batch=(1, 2, 5))),
        cache_key(model, rtx, gpu, PROFILE, ("sm80",)),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(model, rtx, gpu, PROFILE) == keys[0]
    assert cache_key(replace(model, path=Path("b.onnx")), rtx, gpu, PROFILE) == keys[0]


def test_built_once(tiny: Path, engine_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = find_model(tiny)
    with caplog.at_level(logging.INFO, "ctct"):
        engine = cached_engine(model, PROFILE, package=RTX)
        again = cached_engine(model, PROFILE, package=RTX)
    assert engine == again
    assert engine.parent == engine_cache
    assert [message.split()[0] for message in caplog.messages] == ["building", "built"]
    assert files(engine_cache) == [".engine", ".json"]


@pytest.mark.parametrize("damage", ["cut engine", "no engine", "cut sidecar", "no sidecar"])
def test_a_damaged_engine_is_built_again(damage: str, tiny: Path, engine_cache: Path) -> None:
    model = find_model(tiny)
    engine = cached_engine(model, PROFILE, package=RTX)
    victim = engine if damage.endswith("engine") else sidecar_path(engine)
    whole = victim.read_bytes()
    if damage.startswith("cut"):
        victim.write_bytes(whole[: len(whole) // 2])
    else:
        victim.unlink()
    assert cached_engine(model, PROFILE, package=RTX) == engine
    assert read_engine_record(engine).model_sha256 == model.sha256
    assert files(engine_cache) == [".engine", ".json"]


def test_a_discarded_engine_is_gone(tiny: Path, engine_cache: Path) -> None:
    remove_engine(cached_engine(find_model(tiny), PROFILE, package=RTX))
    assert files(engine_cache) == []


def test_processes_that_want_one_engine_build_it_once(tiny: Path, engine_cache: Path) -> None:
    (tiny.parent / "wait").touch()
    first = start(tiny.parent)
    assert first.stdout is not None
    assert first.stdout.readline() == "built\n"  # and now holds the lock
    others = [start(tiny.parent) for _ in range(2)]
    (tiny.parent / "wait").unlink()
    outputs = [process.communicate(timeout=120)[0] for process in (first, *others)]
    names = {path.name for path in engine_cache.glob("*.engine")}
    assert len(names) == 1
    assert outputs == [f"engine {names.pop()}\n"] * 3  # nobody else said "built"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_engine_and_the_next_one_builds(
    sign: signal.Signals, tiny: Path, engine_cache: Path
) -> None:
    (tiny.parent / "wait").touch()
    process = start(tiny.parent)
    assert process.stdout is not None
    assert process.stdout.readline() == "built\n"
    process.send_signal(sign)
    (tiny.parent / "wait").unlink()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert files(engine_cache) == []
    engine = cached_engine(find_model(tiny), PROFILE, package=RTX)
    assert engine.exists()


def test_what_a_killed_write_left_is_cleared(tiny: Path, engine_cache: Path) -> None:
    model = find_model(tiny)
    engine = cached_engine(model, PROFILE, package=RTX)
    remove_engine(engine)
    (engine_cache / f".{engine.name}.123.partial").write_bytes(b"half")
    (engine_cache / f".{engine.name}.json.123.partial").write_bytes(b"half")
    cached_engine(model, PROFILE, package=RTX)
    assert files(engine_cache) == [".engine", ".json"]


def test_a_cache_that_cannot_be_written_is_one_line(
    tiny: Path, engine_cache: Path, tmp_path: Path
) -> None:
    engine_cache.parent.write_bytes(b"a file in the way")
    with pytest.raises(OutputError, match="cannot write there"):
        cached_engine(ModelFile(tiny, {}, "0"), PROFILE, package=RTX)
