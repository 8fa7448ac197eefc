"""ONNX Runtime, on CUDA or on the CPU."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ctct.errors import ModelError
from ctct.inference.contract import INPUTS, OUTPUTS, Prediction

log = logging.getLogger(__name__)


class OnnxRuntime:
    """The fused graph in an ONNX Runtime session.

    Where the CUDA provider cannot start the session runs on the CPU, and a warning says so.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, device: str = "cpu") -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions share no public base class
            raise ModelError(f"{path}: ONNX Runtime cannot load it ({error})") from error
        on_cuda = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self.device = "cuda" if on_cuda else "cpu"
        if self.device != device:
            log.warning("ONNX Runtime could not start CUDA; running on the CPU instead")

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.inference.contract.Runtime`."""
        inputs = dict(zip(INPUTS, (slices, spacing_mm), strict=True))
        return Prediction(*self._session.run(OUTPUTS, inputs))
