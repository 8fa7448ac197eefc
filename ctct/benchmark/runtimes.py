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
from ctct.runtimes.base import Runtime
from ctct.runtimes.choose import load_runtime, resolve
from ctct.runtimes.machine import Machine
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
    machine = Machine()
    plan = resolve(reference, "torch", device, heart_crop=False, machine=machine)
    loaded: dict[str, Runtime] = {REFERENCE: load_runtime(plan)}
    for model in models:
        loaded |= _on_each_runtime(find_model(model), str(model), device, machine)

    def run(runtime: Runtime, batch: int) -> int:
        runtime(*(array[:batch] for array in inputs))
        return batch

    rows: list[RuntimeRow] = []
    for batch in batches:
        procedures = {name: lambda r=r, n=batch: run(r, n) for name, r in loaded.items()}
        timings = time_in_turns(procedures, rounds, on_stage=on_stage)
        rows += [RuntimeRow(timing, timing.times_as_fast_as(timings[0])) for timing in timings]
    return rows


def _on_each_runtime(
    model: ModelFile, name: str, device: str, machine: Machine
) -> Iterator[tuple[str, Runtime]]:
    """Load ``model`` on every available runtime that takes it, except for the reference's."""
    for runtime in machine.runtimes:
        if runtime == "torch" and model.is_onnx:
            continue
        try:
            plans = [
                resolve(model, runtime, device, precision, heart_crop=False, machine=machine)
                for precision in ("fp32", "auto")
            ]
            for plan in {plan.model.path: plan for plan in plans}.values():
                loaded = load_runtime(plan)
                precision = plan.model.description.get("precision", "fp32")
                yield f"{name} in {precision} on {loaded.name}, {loaded.device}", loaded
        except CtctError as error:  # another format, or operators that it lacks
            log.info("%s left out: %s", runtime, error)
