"""The batch size with which a graph is fastest on this machine: measured once, and stored."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
import time
from pathlib import Path

import numpy as np

from ctct.errors import ConfigError, OutputError
from ctct.inference.crop import visible_crop
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Runtime
from ctct.storage import cache_folder, prepare_folder, strict_json, write_atomic

log = logging.getLogger(__name__)

AUTO = "auto"

#: Slices per call that are tried, in this order.
CANDIDATES = (4, 8, 16, 32, 64, 128)

#: A larger batch takes more memory, so it must be faster per slice by this share.
GAIN = 0.03

#: Rows and columns of the slices it is measured with, and their spacing.
PIXELS, SPACING_MM = (256, 256), (1.4, 1.4)


def parse_batch(value: int | str) -> int | None:
    """A number of slices; None for "auto".

    Raises:
        ConfigError: it is neither.
    """
    if value == AUTO:
        return None
    try:
        if (batch := int(value)) >= 1 and batch == float(value):
            return batch
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigError(f"--batch {value}: give a number of slices, 1 or more, or auto")


def best_batch(model: ModelFile, runtime: Runtime) -> int:
    """Slices per call with which ``runtime`` is fastest on ``model``; measured if not yet stored.

    Results are stored in the folder "batch" of :func:`~ctct.storage.cache_folder`, by model,
    runtime, device and name of the machine.
    """
    key = "\n".join((model.sha256, runtime.name, runtime.device, platform.node()))
    file = cache_folder("batch") / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if (stored := json.loads(file.read_bytes())["batch"]) in CANDIDATES:
            return int(stored)
    milliseconds = _measure(model, runtime)
    best = fastest(milliseconds)
    log.info("batches of %d slices are the fastest here; stored in %s", best, file)
    _store(file, {"batch": best, "milliseconds_per_slice": milliseconds})
    return best


def fastest(milliseconds: dict[int, float]) -> int:
    """The smallest batch that no larger one beats by more than :data:`GAIN`.

    Args:
        milliseconds: per slice, by batch.
    """
    limit = min(milliseconds.values()) / (1 - GAIN)
    return min(batch for batch, ms in milliseconds.items() if ms <= limit)


def _measure(model: ModelFile, runtime: Runtime) -> dict[int, float]:
    """Milliseconds per slice by batch, until memory is full or larger batches are no faster."""
    crop = visible_crop(PIXELS, SPACING_MM, model.description.get("grid"))
    slices = np.random.default_rng(0).random((CANDIDATES[-1], 1, *crop.size), dtype=np.float32)
    spacing_mm = np.full((CANDIDATES[-1], 2), SPACING_MM, np.float32)
    milliseconds: dict[int, float] = {}
    for batch in CANDIDATES:
        try:
            runtime(
                slices[:batch], spacing_mm[:batch]
            )  # not timed: the first call of a size is slow
            begun = time.perf_counter()
            runtime(slices[:batch], spacing_mm[:batch])
        except MemoryError:
            break
        milliseconds[batch] = round((time.perf_counter() - begun) / batch * 1000, 3)
        if batch >= 4 * fastest(milliseconds):
            break
    return milliseconds or {1: 0.0}


def _store(file: Path, content: dict[str, object]) -> None:
    try:
        prepare_folder(file.parent)
        write_atomic(file, strict_json(content))
    except OutputError as error:
        log.info("%s; the batch is measured at every start", error)
