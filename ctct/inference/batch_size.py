"""The batch with which a graph is quickest on this machine: found once, and remembered."""

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
from ctct.inference import crop as crops
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Runtime
from ctct.storage import cache_folder, prepare_folder, strict_json, write_atomic

log = logging.getLogger(__name__)

AUTO = "auto"

#: Slices a call that are tried, in this order.
TRIED = (4, 8, 16, 32, 64, 128)

#: A larger batch must be quicker, slice by slice, by this share: it takes more memory.
GAIN = 0.03

#: Of the slices it is tried with: rows and columns, and the distance between them.
PIXELS, SPACING_MM = (256, 256), (1.4, 1.4)


def as_batch(given: int | str) -> int | None:
    """A number of slices; None for "auto".

    Raises:
        ConfigError: it is neither.
    """
    if given == AUTO:
        return None
    try:
        if (batch := int(given)) >= 1:
            return batch
    except ValueError:
        pass
    raise ConfigError(f"--batch {given}: give a number of slices, 1 or more, or auto")


def best_batch(model: ModelFile, runtime: Runtime) -> int:
    """Slices a call with which ``runtime`` is quickest on ``model``, by trial if it is not known.

    What was found lies in the folder "batch" of :func:`~ctct.storage.cache_folder`, by model,
    runtime, device and name of the machine.
    """
    key = "\n".join((model.sha256, runtime.name, runtime.device, platform.node()))
    file = cache_folder("batch") / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if (known := json.loads(file.read_bytes())["batch"]) in TRIED:
            return int(known)
    milliseconds = _try(model, runtime)
    best = quickest(milliseconds)
    log.info("batches of %d slices are the quickest here; kept in %s", best, file)
    _keep(file, {"batch": best, "milliseconds_a_slice": milliseconds})
    return best


def quickest(milliseconds: dict[int, float]) -> int:
    """The smallest batch that no larger one beats by more than :data:`GAIN`.

    Args:
        milliseconds: a slice, by batch.
    """
    limit = min(milliseconds.values()) / (1 - GAIN)
    return min(batch for batch, ms in milliseconds.items() if ms <= limit)


def _try(model: ModelFile, runtime: Runtime) -> dict[int, float]:
    """Milliseconds a slice by batch, until the memory is full or larger ones are no quicker."""
    crop = crops.visible_crop(PIXELS, SPACING_MM, model.description.get("grid"))
    slices = np.random.default_rng(0).random((TRIED[-1], 1, *crop.size), dtype=np.float32)
    spacing_mm = np.full((TRIED[-1], 2), SPACING_MM, np.float32)
    found: dict[int, float] = {}
    for batch in TRIED:
        try:
            runtime(slices[:batch], spacing_mm[:batch])  # the first call of a size is no measure
            begun = time.perf_counter()
            runtime(slices[:batch], spacing_mm[:batch])
        except MemoryError:
            break
        found[batch] = round((time.perf_counter() - begun) / batch * 1000, 3)
        if batch >= 4 * quickest(found):
            break
    return found or {1: 0.0}


def _keep(file: Path, content: dict[str, object]) -> None:
    try:
        prepare_folder(file.parent)
        write_atomic(file, strict_json(content))
    except OutputError as error:
        log.info("%s; the batch is looked for at every start", error)
