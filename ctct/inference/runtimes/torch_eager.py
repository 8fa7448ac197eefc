"""PyTorch, from a checkpoint or from the weights inside an ONNX file. Needs torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ctct.inference.contract import Prediction
from ctct.inference.model_file import ModelFile
from ctct.models.checkpoint import load_model


class TorchRuntime:
    """The fused graph run eagerly, in float32."""

    name = "torch"

    def __init__(self, model: ModelFile, device: str = "cpu") -> None:
        self.device = device
        self._graph = load_model(model.path)[0].to(device)

    @torch.inference_mode()
    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.inference.contract.Runtime`."""
        outputs = self._graph(
            torch.from_numpy(slices).to(self.device), torch.from_numpy(spacing_mm).to(self.device)
        )
        return Prediction(*(output.cpu().numpy() for output in outputs))
