"""Which TensorRT is used, and the GPU it is used on.

There are two with one interface: TensorRT, which times kernels on the GPU it builds for and so
needs it, and TensorRT-RTX, which leaves the choice of kernels to the machine that runs the engine
and so builds without any GPU.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.inference import runtimes

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
FLAVOURS = (TENSORRT, RTX)
#: What brings each; the extra has the one that needs no GPU to build.
INSTALL = "pip install 'ctct[tensorrt]'"
_INSTALL = {TENSORRT: "pip install tensorrt", RTX: INSTALL, None: INSTALL}
#: The first major version of TensorRT that has strongly typed networks and named tensors alone.
_OLDEST_TENSORRT = 10

#: The oldest GPUs that an engine of TensorRT-RTX runs on when it was built for no target: Ampere.
OLDEST_RTX = (8, 0)


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


@dataclass(frozen=True)
class Gpu:
    """A GPU by its name and its compute capability, as in (8, 9)."""

    name: str
    capability: tuple[int, int]

    @property
    def target(self) -> str:
        """Its compute capability in the form of ``--target``: sm89."""
        return "sm{}{}".format(*self.capability)

    def __str__(self) -> str:
        return f"{self.name} ({self.target})"


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
        order = FLAVOURS if runtimes.cuda_devices() else FLAVOURS[::-1]
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
    if wanted == TENSORRT and int(found_version.split(".")[0]) < _OLDEST_TENSORRT:
        raise RuntimeUnavailableError(
            f"{wanted} {found_version}: too old, expected {_OLDEST_TENSORRT} or newer; "
            f"{_INSTALL[wanted]} --upgrade"
        )
    return Flavour(wanted, found_version, module)


def current_gpu() -> Gpu | None:
    """The first CUDA GPU; None where there is none.

    Raises:
        RuntimeUnavailableError: there is one, and cuda-python is missing or cannot reach it.
    """
    if not runtimes.cuda_devices():
        return None
    from ctct.inference.trt.cuda import call, load_cuda

    cuda = load_cuda()
    properties = call(cuda, cuda.cudaGetDeviceProperties(0))
    name = properties.name
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return Gpu(text.rstrip("\0"), (int(properties.major), int(properties.minor)))


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
