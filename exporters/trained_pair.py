"""A trained pair, and what is made of it once for all formats."""

from __future__ import annotations

from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
from ctct.exporters.onnx_graph import OPSET, OPSET_BF16, to_onnx
from ctct.exporters.parity import segment_all
from ctct.exporters.precision import Rung, to_half, to_int8
from ctct.exporters.studies import Inputs, calibration_batches, verification_studies

from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.discover import discover
from ctct.labels import VALUE
from ctct.model_files.model_file import find_model
from ctct.model_files.variant import Variant
from ctct.models.checkpoint import load_checkpoint
from ctct.runtimes.torch_eager import TorchRuntime

#: What every artefact is called, up to its ending.
STEM = "model"

#: Settings of a training run that say where its data lay, which is nobody's business.
PRIVATE = ("data", "splits", "unlabelled", "labelled_list", "validation", "start_from")


class TrainedPair:
    """A run folder, or a file that the pair can be restored from, as one variant of its graph.

    Args:
        path: see :func:`ctct.model_files.model_file.find_model`; "default" is the bundled model.
        variant: of the graph.
        verify_on: folder of scans to verify on; None for synthetic cines.
        calibration: folder of scans to calibrate on, likewise.
        given: entries of the metadata that replace the source's own, as "license".
        heart_crop: on the smaller grid that the pair was trained for as well, ``heart_crop_size``.

    Attributes:
        stem: name of its artefacts, up to the ending.

    Raises:
        InputError: a folder holds no scan.
        ModelError: the pair cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        variant: Variant,
        verify_on: Path | None = None,
        calibration: Path | None = None,
        given: dict[str, str] | None = None,
        heart_crop: bool = False,
    ) -> None:
        for folder in filter(None, (verify_on, calibration)):
            discover([folder])  # now, not after minutes of work
        self.file = find_model(path)
        self.graph, description = load_checkpoint(self.file.path)
        self.graph.variant = variant
        has_heart_crop = self.graph.other_statistics is not None
        self.heart_crop_size = int(description.config["heart_crop_size"]) if has_heart_crop else 0
        self.stem = STEM
        if heart_crop:
            self.graph.set_grid(self.heart_crop_size)
            self.stem = f"{STEM}.heart_crop"
        self._folders = verify_on, calibration
        own = {key: self.file.description.get(key, "") for key in ("training_data", "license")}
        self.metadata: dict[str, Any] = {
            "ctct_version": version("ctct"),
            "labels": VALUE,
            "grid": {"size": self.graph.grid.size, "spacing_mm": self.graph.grid.spacing_mm},
            **own,
            **(given or {}),
            **vars(description),
            "config": {k: v for k, v in description.config.items() if k not in PRIVATE},
            "variant": variant.to_dict(),
        }
        self.model = cache(self._model)

    @cached_property
    def reference(self) -> list[Segmentation]:
        """What the pair itself, in PyTorch and float32, says of the studies of verification."""
        studies = verification_studies(self._folders[0])
        return segment_all(Segmenter(self.file, TorchRuntime(self.graph)), studies)

    @cached_property
    def calibration(self) -> list[Inputs]:
        """Batches of slices that give int8 the ranges of its activations."""
        return calibration_batches(self._folders[1])

    def _model(self, rung: Rung, symmetric: bool = False) -> onnx.ModelProto:
        """The graph in ONNX at the precision of ``rung``; ``symmetric`` as in :func:`to_int8`."""
        metadata = {**self.metadata, "precision": rung.precision}
        if rung.precision == "fp32":
            return to_onnx(self.graph, metadata)
        opset = OPSET_BF16 if rung.has_bf16 else OPSET
        model = to_onnx(self.graph, metadata, fold=True, opset=opset)
        if rung.precision == "int8":
            model = to_int8(model, rung.members, self.calibration, symmetric)
        else:
            model = to_half(model, rung.precision, rung.members)
        if rung.rest != "fp32":
            others = [name for name in self.graph.variant.members if name not in rung.members]
            model = to_half(model, rung.rest, others)
        return model
