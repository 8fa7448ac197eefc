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
from ctct.runtimes.tensorrt.cache import cached_engine, remove_engine
from ctct.runtimes.tensorrt.compatibility import (
    TensorRTPackage,
    installed_packages,
    load_package,
    read_compatible_engine,
)
from ctct.runtimes.tensorrt.session import EngineSession

log = logging.getLogger(__name__)


class TensorRtRuntime:
    """The fused graph as a TensorRT engine.

    A batch larger than the engine takes is run in parts. For slices beyond the engine's sizes a
    wider engine is built where the model is an ONNX file; a bare engine raises an error.

    Args:
        model: an ``.onnx`` file or an ``.engine``.
        profile: batches and slice sizes to build for, from an ONNX file.

    Raises:
        RuntimeUnavailableError: no GPU, or no TensorRT.
        ModelError: the engine is damaged, or does not fit this machine; both sides are named.
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
        min_batch, _, max_batch = session.profile.batch
        parts = [
            run_padded(session, slices[part], spacing_mm[part], min_batch)
            for part in batch_parts(len(slices), max_batch)
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
                f"{high} per side; build it with a wider --size, or use the .onnx file"
            )
        log.info("slices of %d×%d pixels need a wider engine", *size)
        self._profile = self._profile.widened(size)
        if self._session is not None:
            self._session.close()  # before the next one is loaded, because both may not fit
            self._session = None
        self._session = self._load()
        return self._session

    def _load(self) -> EngineSession:
        if self._model.is_engine:
            # Where the package that built it is missing, the error names both sides.
            builder = read_engine_record(self._model.path).package
            package = load_package(builder if builder in installed_packages() else None)
            record, content = read_compatible_engine(self._model.path, package, current_gpu())
            self._profile = record.profile
            return self._start(content, package)
        package = load_package()
        engine = cached_engine(self._model, self._profile, package=package.name)
        try:
            return self._start(engine.read_bytes(), package)
        except ModelError as error:
            # Undamaged by its digest and yet refused, after a change of driver for instance.
            log.warning("%s", error)
            remove_engine(engine)
        engine = cached_engine(self._model, self._profile, package=package.name)
        return self._start(engine.read_bytes(), package)

    def _start(self, content: bytes, package: TensorRTPackage) -> EngineSession:
        name = self._model.path.name
        return EngineSession(content, self._profile, package.module, load_cuda(), name)


def run_padded(
    session: EngineSession,
    slices: npt.NDArray[np.float32],
    spacing_mm: npt.NDArray[np.float32],
    min_batch: int,
) -> dict[str, npt.NDArray[np.generic]]:
    """Run ``slices``, padded to ``min_batch`` by copies of the last; their results are dropped."""
    missing = min_batch - len(slices)
    if missing <= 0:
        return session(slices, spacing_mm)
    inputs = {
        name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        for name, array in zip(INPUTS, (slices, spacing_mm), strict=True)
    }
    outputs = session(inputs["slices"], inputs["spacing_mm"])
    return {name: output[: len(slices)] for name, output in outputs.items()}
