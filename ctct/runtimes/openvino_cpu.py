"""OpenVINO on the CPU: the default, and the fastest runtime there."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from ctct.errors import ModelError, OutputError, RuntimeUnavailableError
from ctct.model_files.model_file import read_onnx
from ctct.runtimes.base import INPUTS, OUTPUTS, Prediction
from ctct.runtimes.threads import cpu_threads
from ctct.storage import cache_folder, prepare_folder

log = logging.getLogger(__name__)
#: The oldest version that reads the bundled model. Earlier ones do not know the names that operator
#: set 20 gives to modes of GridSample, and end the process while they say so.
OLDEST = (2026, 3)


def check_version() -> None:
    """Refuse versions that would end the process.

    Raises:
        RuntimeUnavailableError: OpenVINO is older than :data:`OLDEST`.
    """
    if tuple(map(int, ov.__version__.split(".")[:2])) < OLDEST:
        version = ov.__version__.split("-")[0]
        needed = ".".join(map(str, OLDEST))
        raise RuntimeUnavailableError(
            f"OpenVINO {version} is too old, it crashes on the graphs of ctct; "
            f"pip install 'openvino>={needed}'"
        )


@cache
def core() -> ov.Core:
    """The one Core of this process.

    Each Core sets its own signal stack on CPUs with AMX, and restores the previous one when it
    ends. If two end in the order they began, the second restores a stack that is already freed,
    and the next Ctrl-C is a segmentation fault (OpenVINO 2026.4).

    Raises:
        RuntimeUnavailableError: OpenVINO is too old.
    """
    check_version()
    return ov.Core()


class OpenVinoRuntime:
    """The fused graph compiled by OpenVINO, at the precision of its types.

    Args:
        path: an ``.onnx`` or ``.xml`` file.
        keep: store the compiled graph in the cache folder, so that the next start is faster.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, keep: bool = True) -> None:
        settings: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            # Several processes on one machine would pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads := cpu_threads():
            settings["INFERENCE_NUM_THREADS"] = threads
        if keep and (folder := _writable(cache_folder("openvino"))):
            settings["CACHE_DIR"] = str(folder)
        here = core()
        try:
            if path.suffix == ".onnx":  # from memory: what is loaded is what was checked
                compiled = here.compile_model(read_onnx(path), "CPU", settings, weights=b"")
            else:
                compiled = here.compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise ModelError(f"{path}: OpenVINO cannot load it ({error})") from error
        self._request = compiled.create_infer_request()

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.runtimes.base.Runtime`."""
        outputs = self._request.infer(dict(zip(INPUTS, (slices, spacing_mm), strict=True)))
        # Copies, because the request reuses its output buffers.
        return Prediction(*(np.array(outputs[name]) for name in OUTPUTS))


def _writable(folder: Path) -> Path | None:
    """``folder``, made where it is missing; None where it cannot be written."""
    try:
        prepare_folder(folder)
    except OutputError as error:
        log.info("%s; the model is compiled at every start", error)
        return None
    return folder
