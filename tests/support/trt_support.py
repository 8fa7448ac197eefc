"""Stand-ins for TensorRT and CUDA that run in ordinary memory, and a tiny graph like ctct's."""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

#: What the tiny graph and the stand-in call labels and disagreement.
THRESHOLD = 0.5


def write_tiny_onnx(path: Path, **metadata: object) -> Path:
    """labels = slices > 0.5; disagreement = slices times the mean of the slice's spacing.

    The axes of the mean are a Reshape of a constant, as torch.onnx leaves them.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name: str, kind: int, *dims: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, dims)

    def constant(name: str, values: object, kind: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, kind), name)

    nodes = [
        helper.make_node("Squeeze", ["slices", "channel"], ["flat"]),
        helper.make_node("Greater", ["flat", "threshold"], ["bright"]),
        helper.make_node("Cast", ["bright"], ["labels"], to=TensorProto.UINT8),
        helper.make_node("Reshape", ["column", "vector"], ["axes"]),
        helper.make_node("ReduceMean", ["spacing_mm", "axes"], ["mean"], keepdims=1),
        helper.make_node("Unsqueeze", ["mean", "channel"], ["broad"]),
        helper.make_node("Mul", ["flat", "broad"], ["disagreement"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            tensor("slices", TensorProto.FLOAT, "N", 1, "H", "W"),
            tensor("spacing_mm", TensorProto.FLOAT, "N", 2),
        ],
        [
            tensor("labels", TensorProto.UINT8, "N", "H", "W"),
            tensor("disagreement", TensorProto.FLOAT, "N", "H", "W"),
        ],
        [
            constant("channel", [1], np.int64),
            constant("threshold", THRESHOLD, np.float32),
            constant("column", 1, np.int64),
            constant("vector", [-1], np.int64),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    for key, value in ({"grid": {"size": 64, "spacing_mm": 3.0}} | metadata).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    path.write_bytes(model.SerializeToString())
    return path


class CudaError(enum.IntEnum):
    cudaSuccess = 0  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorStreamCaptureUnsupported = 900  # noqa: N815


class FakeCuda:
    """``cuda.bindings.runtime`` with the memory of this process for that of the GPU."""

    cudaError_t = CudaError  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.limit = 1 << 40
        self.capturing: list[Callable[[], None]] | None = None
        self.can_capture = True
        self.open = {"stream": 0, "graph": 0, "exec": 0}
        self.launches = 0

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:  # noqa: N802
        if size > self.limit:
            return CudaError.cudaErrorMemoryAllocation, None
        block = ctypes.create_string_buffer(size)
        address = ctypes.addressof(block)
        self.memory[address] = block
        return CudaError.cudaSuccess, address

    cudaMallocHost = cudaMalloc  # noqa: N815

    def cudaFree(self, address: int) -> tuple[Any, ...]:  # noqa: N802
        del self.memory[address]
        return (CudaError.cudaSuccess,)

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaMemcpyAsync(  # noqa: N802
        self, to: int, source: int, count: int, kind: int, stream: int
    ) -> tuple[Any, ...]:
        host, device = (source, to) if kind == 1 else (to, source)
        assert count <= len(self.memory[host])
        assert count <= len(self.memory[device])
        ctypes.memmove(to, source, count)
        return (CudaError.cudaSuccess,)

    def cudaStreamCreate(self) -> tuple[Any, ...]:  # noqa: N802
        self.open["stream"] += 1
        return CudaError.cudaSuccess, 7

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        self.open["stream"] -= 1
        return (CudaError.cudaSuccess,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        assert self.capturing is None
        return (CudaError.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Any, ...]:  # noqa: N802
        self.capturing = []
        return (CudaError.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        captured, self.capturing = self.capturing, None
        if not self.can_capture:
            return CudaError.cudaErrorStreamCaptureUnsupported, None
        self.open["graph"] += 1
        return CudaError.cudaSuccess, captured

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]:  # noqa: N802
        self.open["exec"] += 1
        return CudaError.cudaSuccess, list(graph)

    def cudaGraphLaunch(self, graph: Any, stream: int) -> tuple[Any, ...]:  # noqa: N802
        self.launches += 1
        for step in graph:
            step()
        return (CudaError.cudaSuccess,)

    def cudaGraphDestroy(self, graph: Any) -> tuple[Any, ...]:  # noqa: N802
        self.open["graph"] -= 1
        return (CudaError.cudaSuccess,)

    def cudaGraphExecDestroy(self, graph: Any) -> tuple[Any, ...]:  # noqa: N802
        self.open["exec"] -= 1
        return (CudaError.cudaSuccess,)

    def cudaGetLastError(self) -> tuple[Any, ...]:  # noqa: N802
        return (CudaError.cudaSuccess,)

    def cudaGetErrorString(self, code: CudaError) -> tuple[Any, ...]:  # noqa: N802
        return CudaError.cudaSuccess, code.name.encode()


class FakeTensorRt:
    """``tensorrt`` with one engine: the tiny graph, in NumPy."""

    __name__ = "tensorrt"
    Logger = SimpleNamespace

    def __init__(self, cuda: FakeCuda, half: bool = False) -> None:
        self.cuda = cuda
        self.runs = 0
        self.batches: list[int] = []
        self.types = {
            "slices": np.float32,
            "spacing_mm": np.float32,
            "labels": np.uint8,
            "disagreement": np.float16 if half else np.float32,
        }
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.Logger = lambda severity: None
        self.Logger.ERROR = 1  # type: ignore[attr-defined]

    def nptype(self, kind: type) -> type:
        return kind

    # The module is its own runtime, engine and context; only what a session calls is there.
    def Runtime(self, logger: object) -> FakeTensorRt:  # noqa: N802
        return self

    def deserialize_cuda_engine(self, content: bytes) -> FakeTensorRt | None:
        return self if content == b"engine" else None

    def create_execution_context(self) -> FakeTensorRt:
        return self

    def get_tensor_dtype(self, name: str) -> type:
        return self.types[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        n, _, h, w = self.shapes["slices"]
        return self.shapes.get(name, (n, h, w))

    def execute_async_v3(self, stream: int) -> bool:
        if self.cuda.capturing is not None:
            self.cuda.capturing.append(self.compute)
        else:
            self.compute()
            self.runs += 1
        return True

    def compute(self) -> None:
        slices, spacing_mm = self._view("slices"), self._view("spacing_mm")
        self.batches.append(len(slices))
        self._view("labels")[...] = slices[:, 0] > THRESHOLD
        self._view("disagreement")[...] = slices[:, 0] * spacing_mm.mean(1)[:, None, None]

    def _view(self, name: str) -> np.ndarray:
        block, kind = self.cuda.memory[self.addresses[name]], self.types[name]
        shape = self.get_tensor_shape(name)
        return np.frombuffer(block, kind, count=int(np.prod(shape))).reshape(shape)
