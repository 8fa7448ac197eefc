"""An engine's memory and calls, on stand-ins for TensorRT and CUDA; no GPU is touched."""

from __future__ import annotations

import gc
import inspect
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from trt_support import THRESHOLD, CudaError, FakeCuda, FakeTensorRt

from ctct.errors import ModelError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.runtimes.cuda import Buffer, call, nbytes
from ctct.runtimes.tensorrt.session import EngineSession

PROFILE = EngineProfile((1, 2, 4), (32, 40, 64))


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def trt(cuda: FakeCuda) -> FakeTensorRt:
    return FakeTensorRt(cuda)


@pytest.fixture
def session(cuda: FakeCuda, trt: FakeTensorRt) -> Iterator[EngineSession]:
    opened = EngineSession(b"engine", PROFILE, trt, cuda, "a.engine")
    yield opened
    opened.close()


def inputs(n: int, h: int = 40, w: int = 36, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random((n, 1, h, w), np.float32), generator.random((n, 2), np.float32)


def assert_right(outputs: dict, slices: np.ndarray, spacing_mm: np.ndarray) -> None:
    np.testing.assert_array_equal(outputs["labels"], slices[:, 0] > THRESHOLD)
    expected = slices[:, 0] * spacing_mm.mean(1)[:, None, None]
    np.testing.assert_allclose(outputs["disagreement"], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((2, 1, 3, 5), np.float32, 120),
        ((4, 7), np.uint8, 28),
        ((), np.float16, 2),
        ((0, 9), "f", 0),
    ],
)
def test_bytes_of_an_array(shape: tuple[int, ...], dtype: object, size: int) -> None:
    assert nbytes(shape, dtype) == size  # type: ignore[arg-type]
    assert nbytes((70_000, 70_000), np.float32) == 19_600_000_000  # beyond 32 bits


def test_calls_of_cuda_give_their_value_or_an_error(cuda: FakeCuda) -> None:
    ok = CudaError.cudaSuccess
    assert call(cuda, (ok,)) is None
    assert call(cuda, (ok, 5)) == 5
    assert call(cuda, (ok, 5, 6)) == (5, 6)
    with pytest.raises(
        RuntimeUnavailableError, match=r"MemoryAllocation \(error 2\); free the GPU"
    ):
        call(cuda, (CudaError.cudaErrorMemoryAllocation, None))


def test_the_stand_in_takes_what_the_real_calls_take() -> None:
    """The names and the number of arguments, from the signatures that the bindings document."""
    real = pytest.importorskip("cuda.bindings.runtime")
    checked = 0
    for name, method in inspect.getmembers(FakeCuda, inspect.isfunction):
        if name.startswith("cuda"):
            signature = (getattr(real, name).__doc__ or "").splitlines()[0]
            arguments = re.fullmatch(rf"{name}\((.*)\)", signature)
            if arguments is None or name != method.__name__:
                continue  # an alias of the stand-in
            expected = len([part for part in arguments[1].split(",") if part.strip()])
            assert len(inspect.signature(method).parameters) - 1 == expected, name
            checked += 1
    assert checked >= 12
    assert real.cudaError_t.cudaSuccess == CudaError.cudaSuccess
    for holder in (FakeCuda.cudaMemcpyKind, FakeCuda.cudaStreamCaptureMode):
        kind = next(k for k, v in vars(FakeCuda).items() if v is holder)
        for member, value in vars(holder).items():
            assert getattr(getattr(real, kind), member) == value


def test_results_are_right_and_stay_as_they_are(session: EngineSession) -> None:
    first, second = inputs(3, seed=1), inputs(2, 33, 64, seed=2)
    outputs = session(*first)
    assert_right(session(*second), *second)
    assert_right(outputs, *first)


def test_memory_is_taken_once_for_the_largest_call(cuda: FakeCuda, session: EngineSession) -> None:
    largest = 4 * 64 * 64
    sizes = sorted(len(block) for block in cuda.memory.values())
    expected = [4 * 2 * 4, largest, largest * 4, largest * 4]  # spacing, labels, two of float32
    assert sizes == sorted(expected * 2)  # on the GPU and page-locked
    before = set(cuda.memory)
    for n, h, w in ((1, 32, 32), (4, 64, 64), (2, 40, 36)):
        assert_right(session(*inputs(n, h, w)), *inputs(n, h, w))
    assert set(cuda.memory) == before


def test_close_frees_everything(cuda: FakeCuda, session: EngineSession) -> None:
    for _ in range(3):
        session(*inputs(2))
    session.close()
    session.close()
    assert not cuda.memory
    assert set(cuda.open.values()) == {0}


def test_the_memory_is_freed_with_the_last_reference(cuda: FakeCuda, trt: FakeTensorRt) -> None:
    opened = EngineSession(b"engine", PROFILE, trt, cuda, "a.engine")
    opened(*inputs(2))
    del opened
    gc.collect()
    assert not cuda.memory
    assert set(cuda.open.values()) == {0}


def test_the_usual_batch_runs_as_a_graph_from_its_second_call_on(
    cuda: FakeCuda, trt: FakeTensorRt, session: EngineSession
) -> None:
    for seed in range(4):
        assert_right(session(*inputs(2, seed=seed)), *inputs(2, seed=seed))
    assert (trt.runs, cuda.launches) == (1, 3)
    assert cuda.open["exec"] == 1
    # Another shape ends the graph, and with it memory that the other shape may have changed.
    assert_right(session(*inputs(2, 50, 50)), *inputs(2, 50, 50))
    assert cuda.open["exec"] == 0
    assert_right(session(*inputs(2)), *inputs(2))
    assert (trt.runs, cuda.launches) == (3, 3)


def test_other_batches_run_plainly(
    cuda: FakeCuda, trt: FakeTensorRt, session: EngineSession
) -> None:
    for _ in range(3):
        session(*inputs(3))
    assert (trt.runs, cuda.launches) == (3, 0)


def test_a_failing_capture_is_said_once_and_done_without(
    cuda: FakeCuda,
    trt: FakeTensorRt,
    session: EngineSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cuda.can_capture = False
    with caplog.at_level(logging.INFO, "ctct"):
        for seed in range(4):
            assert_right(session(*inputs(2, seed=seed)), *inputs(2, seed=seed))
        session(*inputs(2, 50, 50))
        session(*inputs(2, 50, 50))
    assert (trt.runs, cuda.launches) == (6, 0)
    (message,) = caplog.messages
    assert message.startswith("running without CUDA graphs (CUDA failed: ")


def test_rtx_captures_by_itself(cuda: FakeCuda) -> None:
    chosen: list[object] = []

    class Rtx(FakeTensorRt):
        __name__ = "tensorrt_rtx"
        CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")

        def create_runtime_config(self) -> SimpleNamespace:
            return SimpleNamespace(cuda_graph_strategy="none")

        def create_execution_context(self, settings: SimpleNamespace) -> FakeTensorRt:
            chosen.append(settings.cuda_graph_strategy)
            return self

    session = EngineSession(b"engine", PROFILE, Rtx(cuda), cuda, "a")
    for _ in range(3):
        assert_right(session(*inputs(2)), *inputs(2))
    assert (chosen, cuda.launches) == (["whole"], 0)


def test_the_names_used_of_rtx_are_there() -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    assert rtx.__name__ == "tensorrt_rtx"
    assert rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE is not None
    assert hasattr(rtx.IRuntimeConfig, "cuda_graph_strategy")
    for holder, names in (
        (
            rtx.ICudaEngine,
            ("create_runtime_config", "create_execution_context", "get_tensor_dtype"),
        ),
        (rtx.Runtime, ("deserialize_cuda_engine",)),
        (rtx.IExecutionContext, ("set_input_shape", "get_tensor_shape", "set_tensor_address")),
        (rtx.IExecutionContext, ("execute_async_v3",)),
    ):
        assert all(hasattr(holder, name) for name in names)


def test_half_precision_outputs_keep_their_type(cuda: FakeCuda) -> None:
    session = EngineSession(b"engine", PROFILE, FakeTensorRt(cuda, half=True), cuda, "a")
    outputs = session(*inputs(2))
    assert outputs["disagreement"].dtype == np.float16
    assert_right(outputs, *inputs(2))


def test_an_engine_tensorrt_refuses(cuda: FakeCuda, trt: FakeTensorRt) -> None:
    with pytest.raises(ModelError, match=r"a\.engine: tensorrt cannot load it; build it again"):
        EngineSession(b"junk", PROFILE, trt, cuda, "a.engine")


def test_too_little_memory_leaves_none_taken(cuda: FakeCuda, trt: FakeTensorRt) -> None:
    cuda.limit = 4 * 64 * 64 * 2  # enough for labels and spacing, not for slices
    with pytest.raises(RuntimeUnavailableError, match="CUDA failed"):
        EngineSession(b"engine", PROFILE, trt, cuda, "a.engine")
    assert not cuda.memory
    assert cuda.open["stream"] == 0


def test_a_buffer_is_never_read_beyond_its_end(cuda: FakeCuda) -> None:
    buffer = Buffer(cuda, 8)
    assert buffer.array((2,), np.float32).shape == (2,)
    with pytest.raises(ValueError, match="takes 12 bytes, there are 8"):
        buffer.array((3,), np.float32)
