"""A loaded model: studies in, label maps out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import ConfigError, InputError
from ctct.inference import runtimes
from ctct.inference.contract import Runtime
from ctct.inference.model_file import DEFAULT, ModelFile, find_model
from ctct.inference.postprocess import keep_largest_components
from ctct.io.study import Study

#: Fewest pixels a side that can hold a heart.
MIN_PIXELS = 32


@dataclass(frozen=True)
class Segmentation:
    """The labels of a study.

    Attributes:
        study: what was segmented.
        labels: (T, Z, H, W) uint8, 0 background, 1 RV, 2 MYO, 3 LV.
        disagreement: (T, Z, H, W) float16, 0…1: half the L1 distance between the class
            probabilities of the CNN and the Transformer.
        removed: voxels of each frame that the clean-up took away.
    """

    study: Study
    labels: npt.NDArray[np.uint8]
    disagreement: npt.NDArray[np.float16]
    removed: tuple[int, ...] = ()


class Segmenter:
    """Runs the fused graph of ``model`` over studies.

    Args:
        model: the file the runtime was loaded from.
        runtime: runs the graph.
        batch: slices a call of the runtime.
    """

    def __init__(self, model: ModelFile, runtime: Runtime, batch: int = 16) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.model = model
        self.runtime = runtime
        self.batch = batch

    @classmethod
    def load(
        cls, model: ModelFile, runtime: str = "auto", device: str = "auto", batch: int = 16
    ) -> Segmenter:
        """Load ``model`` into a runtime; see :func:`load_model`."""
        return cls(model, runtimes.load(model, runtime, device), batch)

    def segment(
        self,
        study: Study,
        clean_up: bool = True,
        on_slices: Callable[[int], object] = lambda done: None,
    ) -> Segmentation:
        """Label every slice of every frame of ``study``.

        Args:
            study: any number of frames, slices, rows and columns.
            clean_up: keep only the largest 3-D component of each structure.
            on_slices: told the number of slices finished so far.

        Raises:
            InputError: the image cannot be segmented: NaN, constant, or too small.
        """
        check_segmentable(study)
        t, z, h, w = study.voxels.shape
        slices, spacing_mm = study.as_batch()
        labels = np.empty((t * z, h, w), np.uint8)
        disagreement = np.empty((t * z, h, w), np.float16)
        for start in range(0, t * z, self.batch):
            part = slice(start, min(start + self.batch, t * z))
            prediction = self.runtime(slices[part], spacing_mm[part])
            labels[part] = prediction.labels
            disagreement[part] = prediction.disagreement
            on_slices(part.stop)
        labels = labels.reshape(t, z, h, w)
        kept = keep_largest_components(labels) if clean_up else labels
        removed = np.count_nonzero(labels != kept, axis=(1, 2, 3))
        return Segmentation(study, kept, disagreement.reshape(t, z, h, w), tuple(removed.tolist()))


def check_segmentable(study: Study) -> None:
    """Refuse images that no network can make sense of.

    Raises:
        InputError: naming the file, what was found and the remedy.
    """
    where = study.path or study.name
    rows, columns = study.voxels.shape[2:]
    if min(rows, columns) < MIN_PIXELS:
        raise InputError(
            f"{where}: slices are {rows}×{columns} pixels, expected at least "
            f"{MIN_PIXELS}×{MIN_PIXELS}; is this a short-axis image?"
        )
    low, high = float(study.voxels.min()), float(study.voxels.max())
    if not np.isfinite(low + high):
        bad = int(np.count_nonzero(~np.isfinite(study.voxels)))
        raise InputError(
            f"{where}: {bad} of {study.voxels.size} voxels are NaN or infinite; "
            "replace them first, for instance with numpy.nan_to_num"
        )
    if low == high:
        raise InputError(f"{where}: every voxel is {low:g}; the image is empty, export it again")


def load_model(
    model: str | Path = DEFAULT, runtime: str = "auto", device: str = "auto", batch: int = 16
) -> Segmenter:
    """Load a model into a runtime.

    Args:
        model: "default" (bundled), an ``.onnx`` or ``.engine`` file, or a checkpoint of a training
            run.
        runtime: "auto" or a key of ``ctct.inference.runtimes.PACKAGES``.
        device: "auto", "cpu" or "cuda".
        batch: slices a call.

    Raises:
        ModelError: the file is missing or is not one of ctct's.
        RuntimeUnavailableError: the runtime or device is not on this machine.
    """
    return Segmenter.load(find_model(model), runtime, device, batch)
