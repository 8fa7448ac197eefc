"""One engine on the GPU with its memory, run a batch at a time.

The modules of TensorRT and of the CUDA bindings are arguments: tests put stand-ins in their place.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import ModelError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.sidecar import RTX
from ctct.runtimes.base import INPUTS, OUTPUTS
from ctct.runtimes.cuda import Buffer, call, nbytes

log = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[Any]]


class EngineSession:
    """An engine loaded on the current GPU.

    All memory is taken once, for the largest call the profile allows, so that its addresses never
    change. That is what a CUDA graph, which holds addresses, needs.

    Args:
        content: the engine.
        profile: that it was built for.
        trt: the module ``tensorrt`` or ``tensorrt_rtx`` that built it.
        cuda: the module ``cuda.bindings.runtime``.
        name: of the engine, for errors.

    Raises:
        ModelError: TensorRT cannot load it.
        RuntimeUnavailableError: the GPU has not enough memory.
    """

    def __init__(
        self, content: bytes, profile: EngineProfile, trt: Any, cuda: Any, name: str
    ) -> None:
        self.profile = profile
        self._trt, self._cuda, self._name = trt, cuda, name
        self._buffers: dict[str, Buffer] = {}
        self._stream: Any = None
        self._last: tuple[int, ...] = ()  # shape of the slices of the last call
        self._graph: Any = None  # of the shape of the last call, once it has come twice
        # The runtime has to outlive its engine, and the engine its context.
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise ModelError(f"{name}: {trt.__name__} cannot load it; build it again")
        self._context, self._captures = self._make_context()
        if self._context is None:
            raise RuntimeUnavailableError(
                f"{name}: no context for it, most likely for want of GPU memory; free some, or "
                "build it for smaller --batch and --size"
            )
        self._types = {
            tensor: np.dtype(trt.nptype(self._engine.get_tensor_dtype(tensor)))
            for tensor in (*INPUTS, *OUTPUTS)
        }
        try:
            self._stream = call(cuda, cuda.cudaStreamCreate())
            largest = profile.batch[2], 1, profile.size[2], profile.size[2]
            for tensor, shape in self._shapes(largest).items():
                buffer = Buffer(cuda, nbytes(shape, self._types[tensor]))
                self._buffers[tensor] = buffer
                self._require(
                    self._context.set_tensor_address(tensor, buffer.device), f"address of {tensor}"
                )
        except BaseException:
            self.close()
            raise

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Arrays:
        """Outputs by name for one call within the profile; copies, so they stay as they are.

        Args:
            slices: (N, 1, H, W).
            spacing_mm: (N, 2).
        """
        shapes = self._shapes(slices.shape)
        for name, array in zip(INPUTS, (slices, spacing_mm), strict=True):
            buffer, kind = self._buffers[name], self._types[name]
            buffer.array(array.shape, kind)[...] = array
            buffer.to_device(nbytes(array.shape, kind), self._stream)
        self._enqueue(slices.shape)
        for name in OUTPUTS:
            self._buffers[name].to_host(nbytes(shapes[name], self._types[name]), self._stream)
        call(self._cuda, self._cuda.cudaStreamSynchronize(self._stream))
        return {
            name: self._buffers[name].array(shapes[name], self._types[name]).copy()
            for name in OUTPUTS
        }

    def close(self) -> None:
        """Give the memory back; the session cannot be used afterwards."""
        self._drop_graph()
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers = {}
        if self._stream is not None:
            self._cuda.cudaStreamDestroy(self._stream)
            self._stream = None
        self._context = self._engine = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the process CUDA may be gone first
            self.close()

    def _make_context(self) -> tuple[Any, bool]:
        """A context, and whether CUDA graphs have to be captured by this class.

        TensorRT-RTX captures by itself: with dynamic shapes it first runs general kernels and
        later ones compiled for the shape, and only it knows when to capture.
        """
        if self._trt.__name__ != RTX:
            return self._engine.create_execution_context(), True
        if not hasattr(self._trt, "CudaGraphStrategy"):  # before 1.2
            return self._engine.create_execution_context(), False
        settings = self._engine.create_runtime_config()
        settings.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._engine.create_execution_context(settings), False

    def _shapes(self, slices: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Set the shapes of the inputs and ask the context for those of the outputs."""
        shapes = {"slices": tuple(slices), "spacing_mm": (slices[0], 2)}
        for name, shape in shapes.items():
            self._require(self._context.set_input_shape(name, shape), f"shape of {name} {shape}")
        for name in OUTPUTS:
            shapes[name] = tuple(self._context.get_tensor_shape(name))
            if min(shapes[name]) < 1:
                raise ModelError(f"{self._name}: {name} has no size for slices of {slices}")
        return shapes

    def _enqueue(self, shape: tuple[int, ...]) -> None:
        """Start the engine, through a CUDA graph where the usual batch comes again and again.

        One graph is kept, of the last shape alone: a context's own memory may hold another shape's
        values once that shape was set. It is captured on the second call, because the first with a
        shape may still take memory, which a capture must not.
        """
        again, self._last = shape == self._last, shape
        if not again:
            self._drop_graph()
        elif self._graph is None and self._captures and shape[0] == self.profile.batch[1]:
            self._graph = self._capture()
        if self._graph is not None:
            call(self._cuda, self._cuda.cudaGraphLaunch(self._graph, self._stream))
        else:
            self._run()

    def _run(self) -> None:
        self._require(self._context.execute_async_v3(int(self._stream)), "run")

    def _capture(self) -> Any:
        """The engine's work as a CUDA graph; None when it cannot be captured, which is said once.

        Whatever was begun is ended, so that the stream works on as before.
        """
        cuda = self._cuda
        # Copies are under way on the stream; they are not part of the graph.
        call(cuda, cuda.cudaStreamSynchronize(self._stream))
        graph = None
        try:
            mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            call(cuda, cuda.cudaStreamBeginCapture(self._stream, mode))
            try:
                self._run()
            finally:
                graph = call(cuda, cuda.cudaStreamEndCapture(self._stream))
            return call(cuda, cuda.cudaGraphInstantiate(graph, 0))
        except (ModelError, RuntimeUnavailableError) as error:
            self._captures = False
            cuda.cudaGetLastError()  # clears it, or the next call would report it as its own
            log.info("running without CUDA graphs (%s)", str(error).split("; ")[0])
            return None
        finally:
            if graph is not None:
                cuda.cudaGraphDestroy(graph)

    def _drop_graph(self) -> None:
        if self._graph is not None:
            self._cuda.cudaGraphExecDestroy(self._graph)
            self._graph = None

    def _require(self, done: bool, what: str) -> None:
        if not done:
            raise ModelError(f"{self._name}: TensorRT refused the {what}; build it again")
