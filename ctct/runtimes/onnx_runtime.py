"""ONNX Runtime, on a GPU through TensorRT or CUDA, or on the CPU."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ctct.errors import ModelError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import read_onnx
from ctct.runtimes.base import INPUTS, OUTPUTS, Prediction
from ctct.runtimes.threads import cpu_threads
from ctct.storage import cache_folder, prepare_folder

log = logging.getLogger(__name__)

_TENSORRT, _CUDA, _CPU = (
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "CPUExecutionProvider",
)
_WORDS = {_TENSORRT: "TensorRT", _CUDA: "CUDA", _CPU: "the CPU"}


class OnnxRuntime:
    """The fused graph in an ONNX Runtime session.

    Where the requested provider cannot start, the session runs on the next of TensorRT, CUDA and
    the CPU, and a warning says so.

    Args:
        path: an ``.onnx`` file.
        device: "cpu" or "cuda".
        with_tensorrt: run the parts of the graph that TensorRT supports with TensorRT.
        gpu: number of the GPU.
    """

    def __init__(
        self, path: Path, device: str = "cpu", with_tensorrt: bool = False, gpu: int = 0
    ) -> None:
        content = read_onnx(path)  # loaded from memory: what is loaded is what was checked
        self.name = "onnxruntime-trt" if with_tensorrt else "onnxruntime"
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = cpu_threads() or 0
        providers: list[Any] = [_CPU]
        if device == "cuda":
            providers.insert(0, (_CUDA, {"device_id": str(gpu)}))
            if with_tensorrt:
                # A folder for each model: the name of an engine there does not tell its weights.
                digest = hashlib.sha256(content).hexdigest()[:16]
                folder = cache_folder("engines") / "onnxruntime" / digest
                prepare_folder(folder)
                cached = tensorrt_options(folder)
                providers.insert(0, (_TENSORRT, {**cached, "device_id": str(gpu)}))
        requested = _TENSORRT if with_tensorrt else _CUDA if device == "cuda" else _CPU
        # ONNX Runtime prints about missing libraries, which must not get into our output.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                if device == "cuda":
                    _load_libraries(with_tensorrt)
                self._session = ort.InferenceSession(content, options, providers=providers)
            except Exception as error:  # its exceptions share no public base class
                # It has no bfloat16 convolution for the CPU, for instance.
                remedy = "; use --runtime openvino" if "NOT_IMPLEMENTED" in str(error) else ""
                raise ModelError(
                    f"{path}: ONNX Runtime cannot load it ({error}){remedy}"
                ) from error
        actual = self._session.get_providers()[0]
        self.device = "cpu" if actual == _CPU else "cuda"
        if actual != requested:
            log.warning(
                "ONNX Runtime could not start %s; running on %s instead",
                _WORDS[requested],
                _WORDS.get(actual, actual),
            )

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.runtimes.base.Runtime`."""
        inputs = dict(zip(INPUTS, (slices, spacing_mm), strict=True))
        try:
            return Prediction(*self._session.run(OUTPUTS, inputs))
        except Exception as error:  # its exceptions share no public base class
            if re.search("allocate memory|out of memory", str(error), re.IGNORECASE):
                raise MemoryError(str(error)) from error
            raise


def tensorrt_options(folder: Path, profile: EngineProfile | None = None) -> dict[str, str]:
    """Options of ONNX Runtime's TensorRT provider: engines for ``profile``, stored in ``folder``.

    Without them it builds an engine at every start, and another for every new shape.
    """
    shapes = (profile or EngineProfile()).shapes()

    def text(which: int) -> str:
        return ",".join(f"{name}:{'x'.join(map(str, s[which]))}" for name, s in shapes.items())

    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        # Its parser may take the GridSample of operator set 20 as "nearest", without a word; see
        # ctct.runtimes.tensorrt.prepare_graph. ONNX Runtime itself runs these nodes, the first and
        # the last of the graph, and those that TensorRT is not given by default.
        "trt_op_types_to_exclude": "GridSample,NonMaxSuppression,NonZero,RoiAlign",
        "trt_profile_min_shapes": text(0),
        "trt_profile_opt_shapes": text(1),
        "trt_profile_max_shapes": text(2),
    }


def _load_libraries(with_tensorrt: bool) -> None:
    """Load the libraries of CUDA and TensorRT that pip installed where the linker does not look."""
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    if with_tensorrt:
        # Loading the package loads its libraries; where it is missing the provider says so.
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("tensorrt")
