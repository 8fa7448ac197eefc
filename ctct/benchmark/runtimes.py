"""Slices a second of model files on their runtimes, beside the same pair in PyTorch and float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ctct.benchmark.turns import Timing, take_turns
from ctct.inference import runtimes
from ctct.inference.contract import Runtime
from ctct.inference.model_file import find_model
from ctct.synthetic import synthetic_cine

REFERENCE = "PyTorch, float32"


def runtime_speed(
    reference: str | Path,
    models: Sequence[str | Path],
    device: str = "auto",
    batch: int = 16,
    rounds: int = 7,
    observe: Callable[[str], None] = lambda name: None,
) -> list[Timing]:
    """Time each model in turns on a batch of the synthetic cine, in a warm process.

    Args:
        reference: a run folder, "default" or an fp32 ``.onnx``, run by PyTorch in float32.
        models: ``.onnx``, ``.xml`` or ``.engine`` files, each on the runtime that fits it best.
        device: "cpu", "cuda" or "auto".
        batch: slices a call.
        rounds: that count.
        observe: told whose turn it is.

    Returns:
        The reference's timing first.
    """
    frames = -(-batch // 10)
    study, _ = synthetic_cine(seed=0, frames=frames)
    slices, spacing_mm = (array[:batch] for array in study.as_batch())
    loaded: dict[str, Runtime] = {
        REFERENCE: runtimes.load(find_model(reference), "torch", device),
    }
    for model in models:
        runtime = runtimes.load(find_model(model), "auto", device)
        loaded[f"{model} on {runtime.name}"] = runtime

    def run(runtime: Runtime) -> int:
        runtime(slices, spacing_mm)
        return len(slices)

    contestants = {name: lambda r=runtime: run(r) for name, runtime in loaded.items()}
    return take_turns(contestants, rounds, observe=observe)
