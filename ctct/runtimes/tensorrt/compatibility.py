"""Which TensorRT is used, and the GPU it is used on.

There are two with one interface: TensorRT, which times kernels on the GPU it builds for and so
needs it, and TensorRT-RTX, which leaves the choice of kernels to the machine that runs the engine
and so builds without any GPU.
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

FLAVOURS = (TENSORRT, RTX)
#: What brings each; the extra has the one that needs no GPU to build.
INSTALL = "pip install 'ctct[tensorrt]'"
_INSTALL = {TENSORRT: "pip install tensorrt", RTX: INSTALL, None: INSTALL}
#: The first major version of TensorRT that has strongly typed networks and named tensors alone.
_MIN_TENSORRT = 10


@dataclass(frozen=True)
class Flavour:
    """An installed TensorRT: the name of its module, its version, and the module itself."""

    package: str
    version: str
    module: Any

    @property
    def is_rtx(self) -> bool:
        """Whether it builds without a GPU, and for other GPUs than the one at hand."""
        return self.package == RTX


def installed() -> list[str]:
    """The TensorRT packages found, without loading them."""
    return [name for name in FLAVOURS if importlib.util.find_spec(name)]


def find_flavour(name: str | None = None) -> Flavour:
    """Load the TensorRT called ``name``; when left out, the one that suits this machine.

    TensorRT is preferred where there is a GPU to build for, TensorRT-RTX otherwise.

    Raises:
        ConfigError: there is no such package.
        RuntimeUnavailableError: it is not installed, or cannot be loaded.
    """
    if name not in (None, *FLAVOURS):
        raise ConfigError(f"{name}: no TensorRT of that name; choose {' or '.join(FLAVOURS)}")
    found, wanted = installed(), name
    if wanted is None:
        order = FLAVOURS if cuda.cuda_devices() else FLAVOURS[::-1]
        wanted = next((package for package in order if package in found), None)
    if wanted is None or wanted not in found:
        raise RuntimeUnavailableError(f"{wanted or 'TensorRT'}: not installed; {_INSTALL[wanted]}")
    try:
        module = importlib.import_module(wanted)
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RuntimeUnavailableError(
            f"{wanted}: installed, but cannot be loaded ({reason}); {_INSTALL[wanted]}"
        ) from error
    found_version = str(module.__version__)
    if wanted == TENSORRT and int(found_version.split(".")[0]) < _MIN_TENSORRT:
        raise RuntimeUnavailableError(
            f"{wanted} {found_version}: too old, expected {_MIN_TENSORRT} or newer; "
            f"{_INSTALL[wanted]} --upgrade"
        )
    return Flavour(wanted, found_version, module)


def known_targets(module: Any) -> dict[str, Any]:
    """The targets a TensorRT-RTX module can build for: sm89 → its ``ComputeCapability.SM89``."""
    kinds = module.ComputeCapability.__members__
    found = {name.lower(): kind for name, kind in kinds.items() if name.startswith("SM")}
    return dict(sorted(found.items(), key=lambda item: int(item[0][2:])))


def check_targets(flavour: Flavour, targets: Sequence[str]) -> list[Any]:
    """The module's own constants for ``targets``, as in ("sm80", "sm89").

    Raises:
        ConfigError: a target is unknown or named twice, or this TensorRT builds for none but its
            own GPU.
    """
    if not targets:
        return []
    if not flavour.is_rtx:
        raise ConfigError(
            f"--target {','.join(targets)}: {flavour.package} builds for the GPU it runs on only; "
            f"leave --target out, or use {RTX}"
        )
    known: dict[str, Any] = {}
    with contextlib.suppress(AttributeError):
        known = known_targets(flavour.module)
    for target in targets:
        if target not in known:
            raise ConfigError(f"--target {target}: choose from {', '.join(known) or 'none'}")
    if len(set(targets)) < len(targets):
        raise ConfigError(f"--target {','.join(targets)}: name each target once")
    return [known[target] for target in targets]


def mismatch(
    record: EngineRecord,
    content: bytes,
    flavour: Flavour,
    gpu: Gpu | None,
    model_sha256: str | None = None,
) -> str:
    """Why an engine cannot be used here, both sides named; empty when it can.

    Args:
        record: what its sidecar says.
        content: the engine.
        flavour: the TensorRT here.
        gpu: the GPU here; None where there is none, and then GPUs are not compared.
        model_sha256: of the ONNX file at hand; left out for a bare engine.
    """
    here = hashlib.sha256(content).hexdigest()
    if here != record.engine_sha256:
        return f"damaged: its sidecar names {record.engine_sha256[:12]}…, it is {here[:12]}…"
    if model_sha256 is not None and model_sha256 != record.model_sha256:
        return f"made from model {record.model_sha256[:12]}…, here is {model_sha256[:12]}…"
    made, have = f"{record.package} {record.version}", f"{flavour.package} {flavour.version}"
    if made != have:
        return f"made with {made}, here is {have}"
    if gpu is not None and not _runs_on(record, gpu):
        return f"made for {record.place}, here is {gpu}"
    return ""


def _runs_on(record: EngineRecord, gpu: Gpu) -> bool:
    if record.targets:
        return gpu.target in record.targets
    if record.package == RTX:
        return gpu.capability >= OLDEST_RTX
    return (gpu.name, gpu.capability) == (record.gpu, record.capability)


def check(
    engine: Path,
    flavour: Flavour,
    gpu: Gpu | None,
    model_sha256: str | None = None,
) -> tuple[EngineRecord, bytes]:
    """Record and content of an engine that can be used here; arguments as of :func:`mismatch`.

    Raises:
        ModelError: it cannot be read, or was made for another place; both sides are named.
    """
    record = read_engine_record(engine)
    try:
        content = engine.read_bytes()
    except OSError as error:
        raise ModelError(f"{engine}: cannot be read ({error.strerror}); {REMEDY}") from error
    if reason := mismatch(record, content, flavour, gpu, model_sha256):
        raise ModelError(f"{engine}: {reason}; {REMEDY} on this machine")
    return record, content
