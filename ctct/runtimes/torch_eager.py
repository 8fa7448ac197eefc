"""PyTorch, from a checkpoint or from the weights inside an ONNX file. Needs torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ctct.models.graph import SegmentationGraph
from ctct.runtimes.base import OUTPUTS, Prediction


class TorchRuntime:
    """The fused graph run eagerly, in float32.

    Args:
        graph: the graph.
        device: "cpu" or "cuda".
        gpu: number of the GPU.
    """

    name = "torch"

    def __init__(self, graph: SegmentationGraph, device: str = "cpu", gpu: int = 0) -> None:
        self.device = device
        self._place = torch.device(device, gpu) if device == "cuda" else torch.device(device)
        self._graph = graph.to(self._place)

    @torch.inference_mode()
    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.runtimes.base.Runtime`."""
        inputs = (torch.from_numpy(array).to(self._place) for array in (slices, spacing_mm))
        try:
            outputs = self._graph(*inputs)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        return Prediction(*(output.cpu().numpy() for output in outputs[: len(OUTPUTS)]))
