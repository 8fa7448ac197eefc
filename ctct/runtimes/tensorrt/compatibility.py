"""The installed TensorRT packages, and which engines run with them on which GPU.

There are two packages with one interface: TensorRT, which times kernels on the GPU it builds for
and so needs it, and TensorRT-RTX, which leaves the choice of kernels to the machine that runs the
engine and so builds without a GPU.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.model_files.sidecar import (
    OLDEST_RTX,
    REMEDY,
    RTX,
    TENSORRT,
    EngineRecord,
    read_engine_record,
)
from ctct.runtimes import cuda
from ctct.runtimes.cuda import Gpu

PACKAGES = (TENSORRT, RTX)
#: The first major version of TensorRT whose networks are all strongly typed, with named tensors.
_MIN_TENSORRT = 10


@dataclass(frozen=True)
class TensorRTPackage:
    """An installed TensorRT package: the name of its module, its version, and the module."""

    name: str
    version: str
    module: Any

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def is_rtx(self) -> bool:
        """Whether it builds without a GPU, and for other GPUs than this machine's."""
        return self.name == RTX


def installed_packages() -> list[str]:
    """Names of the installed TensorRT packages; none is loaded."""
    return [name for name in PACKAGES if importlib.util.find_spec(name)]


def load_package(name: str | None = None) -> TensorRTPackage:
    """Load a TensorRT package.

    Args:
        name: "tensorrt" or "tensorrt_rtx"; when left out, TensorRT where there is a GPU to build
            for and TensorRT-RTX otherwise, or whichever is installed.

    Raises:
        ConfigError: there is no package of that name.
        RuntimeUnavailableError: it is not installed, too old, or cannot be loaded.
    """
    if name not in (None, *PACKAGES):
        raise ConfigError(f"{name}: no TensorRT of that name; choose {' or '.join(PACKAGES)}")
    installed = installed_packages()
    if name is None:
        preferred = PACKAGES if cuda.cuda_devices() else PACKAGES[::-1]
        name = next((package for package in preferred if package in installed), None)
    if name is None or name not in installed:
        raise RuntimeUnavailableError(f"{name or 'TensorRT'}: not installed; {_install(name)}")
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RuntimeUnavailableError(
            f"{name}: installed, but cannot be loaded ({reason}); {_install(name)}"
        ) from error
    package = TensorRTPackage(name, str(module.__version__), module)
    if name == TENSORRT and int(package.version.split(".")[0]) < _MIN_TENSORRT:
        raise RuntimeUnavailableError(
            f"{package}: too old, expected {_MIN_TENSORRT} or newer; {_install(name)} --upgrade"
        )
    return package


def _install(name: str | None) -> str:
    """The command that brings a TensorRT package; by default the one that needs no GPU to build."""
    return "pip install tensorrt" if name == TENSORRT else how_to_install("tensorrt")


def known_targets(module: Any) -> dict[str, Any]:
    """The targets a TensorRT-RTX module can build for: sm89 → its ``ComputeCapability.SM89``."""
    members = module.ComputeCapability.__members__
    targets = {name.lower(): value for name, value in members.items() if name.startswith("SM")}
    return dict(sorted(targets.items(), key=lambda item: int(item[0][2:])))


def check_targets(package: TensorRTPackage, targets: Sequence[str]) -> list[Any]:
    """The module's constants for ``targets``, as in ("sm80", "sm89").

    Raises:
        ConfigError: a target is unknown or named twice, or this package builds only for the GPU of
            this machine.
    """
    if not targets:
        return []
    if not package.is_rtx:
        raise ConfigError(
            f"--target {','.join(targets)}: {package.name} builds for the GPU it runs on only; "
            f"leave --target out, or use {RTX}"
        )
    known: dict[str, Any] = {}
    with contextlib.suppress(AttributeError):
        known = known_targets(package.module)
    for target in targets:
        if target not in known:
            raise ConfigError(f"--target {target}: choose from {', '.join(known) or 'none'}")
    if len(set(targets)) < len(targets):
        raise ConfigError(f"--target {','.join(targets)}: name each target once")
    return [known[target] for target in targets]


def find_mismatch(
    record: EngineRecord,
    content: bytes,
    package: TensorRTPackage,
    gpu: Gpu | None,
    model_sha256: str | None = None,
) -> str:
    """Why an engine cannot be used on this machine, naming both sides; empty when it can.

    Args:
        record: the engine's sidecar.
        content: the engine.
        package: the TensorRT package of this machine.
        gpu: the GPU of this machine; None compares no GPUs.
        model_sha256: digest of the ONNX file it should be built from; None for a bare engine.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.engine_sha256:
        return f"damaged: its sidecar names {record.engine_sha256[:12]}…, it is {digest[:12]}…"
    if model_sha256 is not None and model_sha256 != record.model_sha256:
        return f"made from model {record.model_sha256[:12]}…, here is {model_sha256[:12]}…"
    builder = f"{record.package} {record.version}"
    if builder != str(package):
        return f"made with {builder}, here is {package}"
    if gpu is not None and not _runs_on(record, gpu):
        return f"made for {record.place}, here is {gpu}"
    return ""


def _runs_on(record: EngineRecord, gpu: Gpu) -> bool:
    if record.targets:
        return gpu.target in record.targets
    if record.package == RTX:
        return gpu.capability >= OLDEST_RTX
    return (gpu.name, gpu.capability) == (record.gpu, record.capability)


def read_compatible_engine(
    engine: Path,
    package: TensorRTPackage,
    gpu: Gpu | None,
    model_sha256: str | None = None,
) -> tuple[EngineRecord, bytes]:
    """Record and content of an engine that runs here; arguments as of :func:`find_mismatch`.

    Raises:
        ModelError: it cannot be read, or does not fit this machine; both sides are named.
    """
    record = read_engine_record(engine)
    try:
        content = engine.read_bytes()
    except OSError as error:
        raise ModelError(f"{engine}: cannot be read ({error.strerror}); {REMEDY}") from error
    if reason := find_mismatch(record, content, package, gpu, model_sha256):
        raise ModelError(f"{engine}: {reason}; {REMEDY} on this machine")
    return record, content
