"""Speed of a model on every runtime of this machine, relative to PyTorch in float32."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctct.benchmark.timing import Timing, time_in_turns
from ctct.errors import ConfigError, CtctError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import choose as runtimes
from ctct.runtimes.base import Runtime
from ctct.runtimes.precision import in_precision
from ctct.synthetic import synthetic_cine

log = logging.getLogger(__name__)

REFERENCE = "PyTorch, float32"


@dataclass(frozen=True)
class RuntimeRow:
    """Speed of one model file on one runtime with one batch size.

    Attributes:
        timing: one call per round; the amount is the batch size.
        times_as_fast: slices per second relative to the reference with the same batch size, median
            over the rounds.
    """

    timing: Timing
    times_as_fast: float

    def call_ms(self, percent: float) -> float:
        """Percentile of the duration of a call, in milliseconds."""
        return 1000 * float(np.percentile(self.timing.seconds, percent))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.timing.name,
            "batch": self.timing.amount,
            "slices_per_s": self.timing.rate,
            "ms_per_slice": 1000 / self.timing.rate,
            "call_p50_ms": self.call_ms(50),
            "call_p95_ms": self.call_ms(95),
            "times_as_fast": self.times_as_fast,
        }


def runtime_speed(
    reference: str | Path,
    models: Sequence[str | Path],
    device: str = "auto",
    batches: Sequence[int] = (16,),
    rounds: int = 7,
    on_stage: Callable[[str], None] = lambda name: None,
) -> list[RuntimeRow]:
    """Time each model in turns on slices of a synthetic cine, in a warm process.

    Args:
        reference: a run folder, "default" or an fp32 ``.onnx``, run by PyTorch in float32.
        models: "default", ``.onnx``, ``.xml`` or ``.engine`` files. Each is run on every available
            runtime that takes it, and its bf16 variant where the runtime would choose that.
        device: "cpu", "cuda" or "auto".
        batches: slices per call; each size is measured.
        rounds: rounds that count, after one to warm up.
        on_stage: called with the name of each model before its turn.

    Returns:
        The rows of each batch size, the reference's first.

    Raises:
        ConfigError: a batch size is below 1.
        ModelError: a model cannot be read.
    """
    if min(batches) < 1:
        raise ConfigError(f"--batch must be at least 1, got {min(batches)}")
    study, _ = synthetic_cine(seed=0, frames=-(-max(batches) // 10))
    inputs = study.as_batch()
    loaded: dict[str, Runtime] = {REFERENCE: runtimes.load(find_model(reference), "torch", device)}
    for model in models:
        loaded |= _on_each_runtime(find_model(model), str(model), device)

    def run(runtime: Runtime, batch: int) -> int:
        runtime(*(array[:batch] for array in inputs))
        return batch

    rows: list[RuntimeRow] = []
    for batch in batches:
        procedures = {name: lambda r=r, n=batch: run(r, n) for name, r in loaded.items()}
        timings = time_in_turns(procedures, rounds, on_stage=on_stage)
        rows += [RuntimeRow(timing, timing.times_as_fast_as(timings[0])) for timing in timings]
    return rows


def _on_each_runtime(model: ModelFile, name: str, device: str) -> Iterator[tuple[str, Runtime]]:
    """Load ``model`` on every available runtime that takes it, except for the reference's."""
    for runtime in runtimes.available():
        if runtime == "torch" and model.is_onnx:
            continue
        try:
            _, chosen_device, _ = runtimes.choose(model, runtime, device)
            if runtime in runtimes.GPU_ONLY and chosen_device == "cpu":
                continue
            bf16_variant = in_precision(model, "auto", runtime, device)
            for file in [model] if bf16_variant.path == model.path else [model, bf16_variant]:
                loaded = runtimes.load(file, runtime, device)
                precision = file.description.get("precision", "fp32")
                yield f"{name} in {precision} on {loaded.name}, {loaded.device}", loaded
        except CtctError as error:  # another format, or operators that it lacks
            log.info("%s left out: %s", runtime, error)
