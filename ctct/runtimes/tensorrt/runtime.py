"""TensorRT on a GPU: from an engine, or from an ONNX file through the cache of engines."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, ModelError, RuntimeUnavailableError
from ctct.model_files.engine_profile import EngineProfile, batch_parts
from ctct.model_files.model_file import ModelFile
from ctct.model_files.sidecar import read_engine_record
from ctct.runtimes import cuda
from ctct.runtimes.base import INPUTS, OUTPUTS, Prediction
from ctct.runtimes.cuda import current_gpu, load_cuda
from ctct.runtimes.tensorrt.cache import cached_engine, discard
from ctct.runtimes.tensorrt.compatibility import Flavour, check, find_flavour, installed
from ctct.runtimes.tensorrt.session import EngineSession

log = logging.getLogger(__name__)


class TensorRtRuntime:
    """The fused graph as a TensorRT engine.

    Larger batches than the engine takes are run in parts. Slices beyond the sizes it takes make a
    wider engine where the model is an ONNX file; a bare engine cannot be changed and says so.

    Args:
        model: an ``.onnx`` file or an ``.engine``.
        profile: what to build for, from an ONNX file.

    Raises:
        RuntimeUnavailableError: no GPU, or no TensorRT.
        ModelError: the engine is damaged, or was made for another place; both sides are named.
    """

    name = "tensorrt"
    device = "cuda"

    def __init__(self, model: ModelFile, profile: EngineProfile | None = None) -> None:
        if not cuda.cuda_devices():
            raise RuntimeUnavailableError(
                "--runtime tensorrt: no CUDA GPU or driver on this machine; use --runtime openvino"
            )
        self._model = model
        self._profile = profile or EngineProfile()
        self._session: EngineSession | None = self._load()

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.runtimes.base.Runtime`.

        Raises:
            InputError: the slices are larger or smaller than a bare engine takes.
        """
        session = self._session_for(slices.shape[2:])
        least, _, most = session.profile.batch
        parts = [
            run_padded(session, slices[part], spacing_mm[part], least)
            for part in batch_parts(len(slices), most)
        ]
        labels, disagreement = (
            np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name]
            for name in OUTPUTS
        )
        return Prediction(
            labels.astype(np.uint8, copy=False), disagreement.astype(np.float32, copy=False)
        )

    def _session_for(self, size: tuple[int, ...]) -> EngineSession:
        if self._session is not None and self._session.profile.holds(size):
            return self._session
        if self._model.is_engine:
            low, _, high = self._profile.size
            raise InputError(
                f"slices are {size[0]}×{size[1]} pixels, {self._model.path.name} takes {low} to "
                f"{high} a side; build it with a wider --size, or use the .onnx file"
            )
        log.info("slices of %d×%d pixels need a wider engine", *size)
        self._profile = self._profile.widened(size)
        if self._session is not None:
            self._session.close()  # first, because both may not fit
            self._session = None  # and if the next line fails there is none
        self._session = self._load()
        return self._session

    def _load(self) -> EngineSession:
        if self._model.is_engine:
            # The TensorRT that made it, where it is here; otherwise the check names both sides.
            made_with = read_engine_record(self._model.path).package
            flavour = find_flavour(made_with if made_with in installed() else None)
            record, content = check(self._model.path, flavour, current_gpu())
            self._profile = record.profile
            return self._start(content, flavour)
        flavour = find_flavour()
        engine = cached_engine(self._model, self._profile, flavour=flavour.package)
        try:
            return self._start(engine.read_bytes(), flavour)
        except ModelError as error:
            # Whole by its digest and yet refused, after a change of driver for instance.
            log.warning("%s", error)
            discard(engine)
        engine = cached_engine(self._model, self._profile, flavour=flavour.package)
        return self._start(engine.read_bytes(), flavour)

    def _start(self, content: bytes, flavour: Flavour) -> EngineSession:
        name = self._model.path.name
        return EngineSession(content, self._profile, flavour.module, load_cuda(), name)


def run_padded(
    session: EngineSession,
    slices: npt.NDArray[np.float32],
    spacing_mm: npt.NDArray[np.float32],
    least: int,
) -> dict[str, npt.NDArray[np.generic]]:
    """Run ``slices``, the last one repeated where there are fewer than ``least``; drop the rest."""
    missing = least - len(slices)
    if missing <= 0:
        return session(slices, spacing_mm)
    inputs = {
        name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        for name, array in zip(INPUTS, (slices, spacing_mm), strict=True)
    }
    outputs = session(inputs["slices"], inputs["spacing_mm"])
    return {name: output[: len(slices)] for name, output in outputs.items()}
