"""OpenVINO on the CPU: the default, small and the fastest of the three there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from ctct.errors import ModelError
from ctct.inference.contract import INPUTS, OUTPUTS, Prediction
from ctct.io.cache import cache_folder


class OpenVinoRuntime:
    """The fused graph compiled by OpenVINO, at the precision of its types.

    Args:
        path: an ``.onnx`` or ``.xml`` file.
        keep: keep the compiled graph in the cache folder, so that the next start is quicker.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, keep: bool = True) -> None:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if keep:
            settings["CACHE_DIR"] = str(cache_folder("openvino"))
        try:
            compiled = ov.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise ModelError(f"{path}: OpenVINO cannot load it ({error})") from error
        self._request = compiled.create_infer_request()

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.inference.contract.Runtime`."""
        outputs = self._request.infer(dict(zip(INPUTS, (slices, spacing_mm), strict=True)))
        # The request reuses its output buffers, so what is returned must be a copy.
        return Prediction(*(np.array(outputs[name]) for name in OUTPUTS))
