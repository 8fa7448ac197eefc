"""A cache of the engines built on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ctct.errors import ModelError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import ModelFile
from ctct.model_files.sidecar import sidecar_path
from ctct.runtimes.cuda import Gpu, current_gpu
from ctct.runtimes.tensorrt.build import Observe, build_engine, precision_of
from ctct.runtimes.tensorrt.compatibility import (
    TensorRTPackage,
    load_package,
    read_compatible_engine,
)
from ctct.runtimes.tensorrt.prepare_graph import REVISION
from ctct.storage import cache_folder, prepare_folder

log = logging.getLogger(__name__)


def cache_key(
    model: ModelFile,
    package: TensorRTPackage,
    gpu: Gpu | None,
    profile: EngineProfile,
    targets: Sequence[str] = (),
) -> str:
    """Name of an engine; it differs for all that makes the engine differ."""
    parts = {
        "model": model.sha256,
        "package": package.name,
        "version": package.version,
        "gpu": str(gpu or ""),
        "targets": list(targets),
        "precision": precision_of(model.description),
        "profile": asdict(profile),
        "graph": REVISION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cached_engine(
    model: ModelFile,
    profile: EngineProfile | None = None,
    targets: Sequence[str] = (),
    package: str | None = None,
    observe: Observe = lambda done, total, phase: None,
) -> Path:
    """The engine of an ONNX model in the cache, built where it is missing or damaged.

    Processes that want the same engine wait for the one that builds it. An interrupted build leaves
    no engine, and whoever comes next builds it.

    Args:
        model: an ``.onnx`` file.
        profile: batches and slice sizes that the engine takes.
        targets: see :func:`~ctct.runtimes.tensorrt.build.build_engine`.
        package: see there.
        observe: see there; not called when nothing is built.

    Raises:
        CtctError: as ``build_engine``.
    """
    profile = profile or EngineProfile()
    tensorrt, gpu = load_package(package), current_gpu()
    folder = cache_folder("engines")
    engine = folder / f"{cache_key(model, tensorrt, gpu, profile, targets)}.engine"
    if _usable(engine, tensorrt, gpu, model):
        return engine
    prepare_folder(folder)
    with _locked(engine.with_suffix(".lock")):
        if _usable(engine, tensorrt, gpu, model):  # another process has built it meanwhile
            return engine
        _clear(engine)
        log.info(
            "building a TensorRT engine of %s, once for this machine; it can take minutes",
            model.path.name,
        )
        begun = time.monotonic()
        build_engine(model.path, engine, profile, targets, tensorrt.name, observe)
        log.info("built in %.0f s: %s", time.monotonic() - begun, engine)
    return engine


def remove_engine(engine: Path) -> None:
    """Remove an engine from the cache, its sidecar first: an engine without one is ignored."""
    sidecar_path(engine).unlink(missing_ok=True)
    engine.unlink(missing_ok=True)


def _usable(engine: Path, package: TensorRTPackage, gpu: Gpu | None, model: ModelFile) -> bool:
    if not engine.exists():
        return False
    try:
        read_compatible_engine(engine, package, gpu, model.sha256)
    except ModelError as error:
        log.info("%s; building it again", str(error).split("; ")[0])
        return False
    return True


def _clear(engine: Path) -> None:
    """Remove what an interrupted or damaged build left. Only with the lock held."""
    remove_engine(engine)
    for partial in engine.parent.glob(f".{engine.stem}.*.partial"):
        partial.unlink(missing_ok=True)


def _locked(path: Path) -> AbstractContextManager[Any]:
    """The lock of one engine; the system frees it when the process that holds it ends."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is building this engine; waiting for it")
        return lock.acquire()
