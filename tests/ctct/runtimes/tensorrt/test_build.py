"""Real engines, built by TensorRT-RTX without a GPU, and the cache of kernel times."""

from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from trt_support import write_tiny_onnx

from ctct.errors import ConfigError, ModelError, OutputError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import find_model
from ctct.model_files.sidecar import RTX, TENSORRT, read_engine_record
from ctct.runtimes import cuda
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt import build
from ctct.runtimes.tensorrt.build import TimingCache, build_engine
from ctct.runtimes.tensorrt.compatibility import TensorRTPackage

pytest.importorskip(RTX)
PROFILE = EngineProfile((1, 2, 4), (32, 64, 96))


def test_an_engine_and_what_it_says_of_itself(tiny: Path, tmp_path: Path) -> None:
    engine, seen = tmp_path / "new" / "tiny.engine", []
    record = build_engine(
        tiny,
        engine,
        PROFILE,
        ("sm80", "sm89"),
        RTX,
        lambda done, total, phase: seen.append((done, total, phase)),
    )
    assert record == read_engine_record(engine)
    assert record.engine_sha256 == hashlib.sha256(engine.read_bytes()).hexdigest()
    assert record.model_sha256 == find_model(tiny).sha256
    assert (record.package, record.targets, record.profile) == (RTX, ("sm80", "sm89"), PROFILE)
    assert record.description == {"grid": {"size": 64, "spacing_mm": 3.0}, "license": "CC0"}
    assert record.precision == "fp32"
    assert record.types == {
        "slices": "float32",
        "spacing_mm": "float32",
        "labels": "uint8",
        "disagreement": "float32",
    }
    assert seen
    assert all(0 <= done <= total for done, total, _ in seen)
    assert sorted(path.name for path in engine.parent.iterdir()) == [
        "tiny.engine",
        "tiny.engine.json",
    ]


@pytest.mark.slow
def test_the_pair_of_networks_becomes_an_engine(tmp_path: Path) -> None:
    from ctct.exporters.onnx_graph import save_onnx, to_onnx
    from ctct.models.networks import build_graph

    config = {"swin": "nano", "grid_size": 64, "grid_spacing_mm": 3.0, "pretrained": False}
    metadata = {"grid": {"size": 64, "spacing_mm": 3.0}, "precision": "fp32"}
    save_onnx(to_onnx(build_graph(config), metadata), tmp_path / "pair.onnx")
    record = build_engine(tmp_path / "pair.onnx", tmp_path / "pair.engine", PROFILE, package=RTX)
    assert record.types["labels"] == "uint8"
    assert find_model(tmp_path / "pair.engine").description == metadata


def test_the_precision_is_that_of_the_model(tmp_path: Path) -> None:
    path = write_tiny_onnx(tmp_path / "half.onnx", precision="fp16")
    assert build_engine(path, tmp_path / "half.engine", PROFILE, package=RTX).precision == "fp16"


def test_what_tensorrt_cannot_read_is_a_model_error_with_its_reason(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = write_tiny_onnx(tmp_path / "odd.onnx")
    model = onnx.load(path)
    model.graph.node[1].op_type = "Unheard"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"odd\.onnx: tensorrt_rtx .* cannot read .*Unheard") as e:
        build_engine(path, tmp_path / "odd.engine", package=RTX)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.glob("odd.engine*"))


def test_the_error_of_a_failed_build_keeps_nothing_of_tensorrts(tmp_path: Path) -> None:
    """Freed by the garbage collector as another build starts, it would have that wait for ever."""
    onnx = pytest.importorskip("onnx")
    path = write_tiny_onnx(tmp_path / "odd.onnx")
    model = onnx.load(path)
    model.graph.node[1].op_type = "Unheard"
    onnx.save(model, path)
    with pytest.raises(ModelError) as caught:
        build_engine(path, tmp_path / "odd.engine", package=RTX)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    (worked,) = (frame for frame in frames if frame.f_code.co_name == "_build")
    assert worked.f_locals == {}


def test_what_cannot_be_built_for(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--target sm1: choose from sm75"):
        build_engine(tiny, tmp_path / "a.engine", targets=("sm1",), package=RTX)
    checkpoint = tmp_path / "model.safetensors"
    checkpoint.write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"not an \.onnx file; make one with ctct export first"):
        build_engine(checkpoint, tmp_path / "a.engine", package=RTX)


def test_tensorrt_proper_needs_the_gpu(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "cuda_devices", lambda: 0)
    monkeypatch.setattr(build, "load_package", lambda name: TensorRTPackage(TENSORRT, "10", None))
    with pytest.raises(RuntimeUnavailableError, match="needs the GPU it builds for"):
        build_engine(tiny, tmp_path / "a.engine")


@pytest.mark.parametrize("fails", ["tiny.engine", "tiny.engine.json"])
def test_a_full_disk_leaves_nothing(
    fails: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        build_engine(tiny, tmp_path / "out" / "tiny.engine", PROFILE, package=RTX)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_observer_that_fails_ends_the_build_with_its_own_error(
    tiny: Path, tmp_path: Path
) -> None:
    def observe(done: int, total: int, phase: str) -> None:
        raise ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError, match="oh"):
        build_engine(tiny, tmp_path / "tiny.engine", PROFILE, package=RTX, observe=observe)
    assert not (tmp_path / "tiny.engine").exists()


def test_ctrl_c_stops_a_build_and_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from ctct.runtimes.tensorrt.build import build_engine\n"
        "def observe(done, total, phase):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(0.05)\n"  # a slow build: there are dozens of steps
        f"build_engine({str(tiny)!r}, 'tiny.engine', package={RTX!r}, observe=observe)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode != 0
    assert errors.splitlines()[-1] == "KeyboardInterrupt", errors
    assert [path.name for path in tmp_path.iterdir() if "engine" in path.name] == []


def test_tensorrt_is_not_loaded_by_a_prediction_on_the_cpu() -> None:
    program = (
        "import sys\n"
        "from ctct.runtimes.choose import load_runtime, resolve\n"
        "load_runtime(resolve(runtime='openvino', device='cpu'))\n"
        "import ctct.runtimes.tensorrt.build, ctct.runtimes.tensorrt.cache\n"
        "import ctct.runtimes.tensorrt.session\n"
        "import ctct.runtimes.tensorrt.runtime\n"
        "for name in ('tensorrt', 'tensorrt_rtx', 'cuda.bindings.runtime', 'torch', 'onnx'):\n"
        "    assert name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class TimingConfig:
    """A build's settings for the times of kernels; refuses times of another version."""

    def __init__(self) -> None:
        self.cache: SimpleNamespace | None = None

    def create_timing_cache(self, content: bytes) -> SimpleNamespace | None:
        if content not in (b"", b"times"):
            return None
        return SimpleNamespace(before=content, serialize=lambda: b"times")

    def set_timing_cache(self, cache: SimpleNamespace, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return True

    def get_timing_cache(self) -> SimpleNamespace | None:
        return self.cache


def test_times_of_kernels_are_kept_for_the_next_build(engine_cache: Path) -> None:
    package, gpu, seen = TensorRTPackage(TENSORRT, "10.9", None), Gpu("L4", (8, 9)), []
    path = engine_cache / "timing-10.9-sm89.cache"
    for content in (None, b"times", b"of another version"):
        if content is not None:
            path.write_bytes(content)
        config = TimingConfig()
        cache = TimingCache(package, gpu, config)
        assert config.cache is not None
        seen.append(config.cache.before)
        cache.save(config)
        assert path.read_bytes() == b"times"
    assert seen == [b"", b"times", b""]


def test_times_that_cannot_be_kept_are_only_warned_about(
    engine_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine_cache.parent.write_bytes(b"a file in the way")
    config = TimingConfig()
    TimingCache(TensorRTPackage(TENSORRT, "10.9", None), Gpu("L4", (8, 9)), config).save(config)
    assert "the times of this build are not stored" in caplog.text


def test_rtx_measures_no_times(engine_cache: Path) -> None:
    config = TimingConfig()
    TimingCache(TensorRTPackage(RTX, "1.7", None), Gpu("L4", (8, 9)), config).save(config)
    assert config.cache is None
    assert not engine_cache.exists()
