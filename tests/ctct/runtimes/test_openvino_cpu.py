from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import RuntimeUnavailableError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import openvino_cpu
from ctct.runtimes.choose import load_runtime, resolve


def test_what_openvino_compiled_is_kept_for_the_next_start(
    default_model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path))
    load_runtime(resolve(default_model, "openvino", "cpu", "fp32"))
    (kept,) = (tmp_path / "openvino").glob("*.blob")
    written = kept.stat().st_mtime_ns
    load_runtime(resolve(default_model, "openvino", "cpu", "fp32"))
    assert [p.stat().st_mtime_ns for p in (tmp_path / "openvino").glob("*.blob")] == [written]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_no_thread_is_pinned_to_a_core(default_model: ModelFile) -> None:
    """Several processes on one machine would pin theirs to the same cores."""
    allowed = os.sched_getaffinity(0)
    runtime = load_runtime(resolve(default_model, "openvino", "cpu", "fp32"))
    runtime(np.zeros((2, 1, 96, 96), np.float32), np.full((2, 2), 1.5, np.float32))
    threads = Path("/proc/self/task").iterdir()
    assert {frozenset(os.sched_getaffinity(int(thread.name))) for thread in threads} == {
        frozenset(allowed)
    }


def test_a_cache_that_cannot_be_written_is_done_without(
    default_model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "file"))
    assert load_runtime(resolve(default_model, "openvino", "cpu", "fp32")).name == "openvino"


@pytest.mark.parametrize("version", ["2025.0.0-17942", "2026.2.1-21919-ede283a88e3"])
def test_a_version_that_would_end_the_process_is_refused(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cpu.ov, "__version__", version)
    openvino_cpu.core.cache_clear()
    with pytest.raises(
        RuntimeUnavailableError, match=r"2025\.0\.0|2026\.2\.1 is too old.*>=2026\.3"
    ):
        openvino_cpu.OpenVinoRuntime(tmp_path / "any.onnx")


def test_the_oldest_version_is_that_of_the_requirements() -> None:
    oldest = ".".join(map(str, openvino_cpu.OLDEST))
    pyproject = Path(__file__).resolve().parents[3] / "pyproject.toml"
    assert f'"openvino>={oldest}"' in pyproject.read_text()
    openvino_cpu.check_version()


CTRL_C = """
import gc, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ctct.runtimes.openvino_cpu import OpenVinoRuntime
first, second = (OpenVinoRuntime(Path(sys.argv[1])) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("arrived")
"""


def test_ctrl_c_arrives_after_models_that_ended_in_the_order_they_began() -> None:
    """With a Core for each, the process ended with a segmentation fault on CPUs with AMX."""
    command = [sys.executable, "-c", CTRL_C, str(find_model().path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_heed_ctrl_c)
    assert (done.returncode, done.stdout) == (0, "arrived\n")


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
