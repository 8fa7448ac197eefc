"""A model on every runtime of this machine, beside the same pair in PyTorch and float32."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctct.benchmark.turns import Timing, take_turns
from ctct.errors import ConfigError, CtctError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes.base import Runtime
from ctct.runtimes.choose import load_runtime, resolve
from ctct.runtimes.machine import Machine
from ctct.synthetic import synthetic_cine

log = logging.getLogger(__name__)

REFERENCE = "PyTorch, float32"


@dataclass(frozen=True)
class Row:
    """One model file on one runtime with one batch size.

    Attributes:
        timing: its rounds, a call each; the amount is the batch.
        times_as_fast: a slice, as the reference with the same batch, median over the rounds.
    """

    timing: Timing
    times_as_fast: float

    def call_ms(self, percent: float) -> float:
        """A percentile of the duration of a call, in milliseconds."""
        return 1000 * float(np.percentile(self.timing.seconds, percent))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.timing.name,
            "batch": self.timing.amount,
            "slices_per_s": self.timing.rate,
            "ms_a_slice": 1000 / self.timing.rate,
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
    observe: Callable[[str], None] = lambda name: None,
) -> list[Row]:
    """Time each model in turns on slices of the synthetic cine, in a warm process.

    Args:
        reference: a run folder, "default" or an fp32 ``.onnx``, run by PyTorch in float32.
        models: "default", ``.onnx``, ``.xml`` or ``.engine`` files, each on every runtime here that
            takes it; where OpenVINO would take a bf16 variant in bfloat16, on that too.
        device: "cpu", "cuda" or "auto".
        batches: slices a call.
        rounds: that count.
        observe: told whose turn it is.

    Returns:
        The reference's row first, of each batch size in turn.

    Raises:
        ConfigError: a batch of no slices.
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

    rows: list[Row] = []
    for batch in batches:
        contestants = {name: lambda r=r, n=batch: run(r, n) for name, r in loaded.items()}
        timings = take_turns(contestants, rounds, observe=observe)
        rows += [Row(timing, timing.times_as_fast_as(timings[0])) for timing in timings]
    return rows


def _on_each_runtime(
    model: ModelFile, name: str, device: str, machine: Machine
) -> Iterator[tuple[str, Runtime]]:
    """The runtimes that can run ``model`` here; an ``.onnx`` file on all but the reference's."""
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
        except CtctError as error:  # another kind of file, or operations that it does not have
            log.info("%s left out: %s", runtime, error)
