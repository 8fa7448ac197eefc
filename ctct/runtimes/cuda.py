"""The GPUs of this machine, and the calls of the CUDA runtime that an engine needs.

The calls go through cuda-python. Its module is an argument everywhere, so that tests can replace
it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import RuntimeUnavailableError
from ctct.installation import how_to_install


def load_cuda() -> Any:
    """The module ``cuda.bindings.runtime``.

    Raises:
        RuntimeUnavailableError: cuda-python is not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"cuda-python: not installed; {how_to_install('tensorrt')}"
        ) from error
    return runtime


def call(cuda: Any, result: Sequence[Any]) -> Any:
    """The values that a call of cuda-python returned, after a check of its error code.

    Args:
        cuda: the module called.
        result: (code, value, ...) as returned.

    Returns:
        None, the single value, or a tuple of values.

    Raises:
        RuntimeUnavailableError: the call failed.
    """
    code, *values = result
    if code != cuda.cudaError_t.cudaSuccess:
        _, text = cuda.cudaGetErrorString(code)
        reason = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        raise RuntimeUnavailableError(
            f"CUDA failed: {reason} (error {int(code)}); free the GPU's memory or update its "
            "driver, or use --runtime onnxruntime or --device cpu"
        )
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


class Buffer:
    """Memory on the GPU and page-locked memory of the same size, from which copies run fastest.

    Args:
        cuda: ``cuda.bindings.runtime``.
        nbytes: size of each. The addresses never change until :meth:`free`.
    """

    def __init__(self, cuda: Any, nbytes: int) -> None:
        self._cuda = cuda
        self.nbytes = nbytes
        self.device = int(call(cuda, cuda.cudaMalloc(nbytes)))
        try:
            self.host = int(call(cuda, cuda.cudaMallocHost(nbytes)))
        except RuntimeUnavailableError:
            cuda.cudaFree(self.device)
            raise

    def array(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The first bytes of the page-locked memory as an array of that shape; not a copy."""
        kind = np.dtype(dtype)
        needed = nbytes(shape, kind)
        if needed > self.nbytes:
            raise ValueError(f"{tuple(shape)} {kind} takes {needed} bytes, there are {self.nbytes}")
        memory = (ctypes.c_uint8 * needed).from_address(self.host)
        flat: npt.NDArray[Any] = np.frombuffer(memoryview(memory), kind)
        return flat.reshape(shape)

    def to_device(self, count: int, stream: Any) -> None:
        """Start copying the first ``count`` bytes to the GPU."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(self._cuda, self._cuda.cudaMemcpyAsync(self.device, self.host, count, kind, stream))

    def to_host(self, count: int, stream: Any) -> None:
        """Start copying the first ``count`` bytes from the GPU."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call(self._cuda, self._cuda.cudaMemcpyAsync(self.host, self.device, count, kind, stream))

    def free(self) -> None:
        """Free both; a second call does nothing."""
        if self.nbytes:
            self.nbytes = 0
            self._cuda.cudaFree(self.device)
            self._cuda.cudaFreeHost(self.host)


def nbytes(shape: Sequence[int], dtype: npt.DTypeLike) -> int:
    """Bytes of an array."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


def cuda_devices() -> int:
    """Number of CUDA devices the driver reports; 0 without a driver. Loads no framework."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name and its compute capability, as in (8, 9)."""

    name: str
    capability: tuple[int, int]

    @property
    def target(self) -> str:
        """Its compute capability as for ``--target``: sm89."""
        return "sm{}{}".format(*self.capability)

    def __str__(self) -> str:
        return f"{self.name} ({self.target})"


def current_gpu() -> Gpu | None:
    """The first CUDA GPU; None where there is none.

    Raises:
        RuntimeUnavailableError: there is one, and cuda-python is missing or cannot reach it.
    """
    if not cuda_devices():
        return None
    cuda = load_cuda()
    properties = call(cuda, cuda.cudaGetDeviceProperties(0))
    name = properties.name
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return Gpu(text.rstrip("\0"), (int(properties.major), int(properties.minor)))
