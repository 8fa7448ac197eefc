"""The trained pair of networks that is exported, with what all formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from ctct.cases.discover import discover
from ctct.exporters.onnx_graph import OPSET, OPSET_BF16, to_onnx
from ctct.exporters.parity import segment_all
from ctct.exporters.precision import GraphPrecision, to_half, to_int8
from ctct.exporters.studies import SliceBatch, calibration_batches, verification_studies
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.labels import VALUE
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import load_checkpoint
from ctct.runtimes.torch_eager import TorchRuntime

#: Name of the exported files, without their suffix.
STEM = "model"

#: Settings of a training run that hold paths of the machine it ran on: not published.
PRIVATE = (
    *("data", "split", "unlabelled", "partly_labelled", "labelled_list", "validation"),
    "init_from",
)


class TrainedPair:
    """The two networks of a run or model file, as one variant of their graph.

    Args:
        model: a run folder or a file that holds the weights in float32, as
            :func:`ctct.model_files.model_file.find_model` takes it; "default" for the bundled one.
        variant: variant of the graph.
        verify_on: folder of scans to verify on; None for synthetic cines.
        calibration: folder of scans to calibrate int8 on; None for synthetic cines.
        metadata: entries that replace the model's own, such as "license".
        heart_crop: take the graph on the heart crop's grid, which the pair must be trained for.

    Attributes:
        model_file: the file of the weights.
        graph: the graph in PyTorch and float32.
        heart_crop: the heart crop's grid; None for a pair not trained for it.
        stem: name of the exported files, without their suffix.
        metadata: description of the model for the exported files.

    Raises:
        InputError: a folder holds no scan.
        ModelError: the pair cannot be read.
    """

    def __init__(
        self,
        model: str | Path,
        variant: Variant,
        verify_on: Path | None = None,
        calibration: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        heart_crop: bool = False,
    ) -> None:
        for folder in filter(None, (verify_on, calibration)):
            discover([folder])  # fails here rather than after minutes of work
        self.model_file = find_model(model)
        self.graph, description = load_checkpoint(self.model_file.path)
        self.graph.variant = variant
        self.heart_crop = self.graph.heart_crop
        self.stem = STEM
        grid = vars(self.graph.grid)
        if heart_crop:
            assert self.heart_crop is not None
            self.graph.set_grid(self.heart_crop.size)
            self.stem = f"{STEM}.heart_crop"
            grid = self.heart_crop.describe(self.graph.grid)
        self._verify_on, self._calibration = verify_on, calibration
        texts: dict[str, Any] = {
            k: v for k, v in (metadata or {}).items() if k in ("training_data", "license")
        }
        self.metadata: dict[str, Any] = {
            "ctct_version": version("ctct"),
            "labels": VALUE,
            "grid": grid,
            **(metadata or {}),
            **vars(replace(description, **texts)),
            "config": {k: v for k, v in description.config.items() if k not in PRIVATE},
            "variant": variant.to_dict(),
        }
        self.to_onnx = cache(self._to_onnx)

    @cached_property
    def reference(self) -> list[Segmentation]:
        """Segmentations of the verification studies by the pair in PyTorch and float32."""
        studies = verification_studies(self._verify_on)
        return segment_all(Segmenter(self.model_file, TorchRuntime(self.graph)), studies)

    @cached_property
    def calibration(self) -> list[SliceBatch]:
        """Batches that show int8 quantization the ranges of the activations."""
        return calibration_batches(self._calibration)

    def _to_onnx(self, precision: GraphPrecision, symmetric: bool = False) -> onnx.ModelProto:
        """The graph in ONNX at ``precision``; ``symmetric`` as in :func:`to_int8`."""
        metadata = {**self.metadata, "precision": precision.precision}
        if precision.precision == "fp32":
            return to_onnx(self.graph, metadata)
        opset = OPSET_BF16 if precision.uses_bf16 else OPSET
        model = to_onnx(self.graph, metadata, fold=True, opset=opset)
        if precision.precision == "int8":
            model = to_int8(model, precision.members, self.calibration, symmetric)
        else:
            model = to_half(model, precision.precision, precision.members)
        if precision.other_precision != "fp32":
            others = [m for m in self.graph.variant.members if m not in precision.members]
            model = to_half(model, precision.other_precision, others)
        return model
