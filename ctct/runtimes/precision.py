"""A model, or its twin in bfloat16 on a machine that is quicker with it.

The twin of ``X.onnx`` is ``X.bf16.onnx`` beside it: the same pair, exported with ``--precision
bf16`` and so through the gate of :mod:`ctct.exporters.parity`. The bundled model has one. Letting a
runtime lower the precision by itself is not the same: it would round the sampling positions too.
"""

from __future__ import annotations

from pathlib import Path

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import choose as runtimes

CHOICES = ("auto", "fp32", "bf16")


def twin_path(path: Path) -> Path:
    """Where the twin of an ``.onnx`` file lies, if it has one."""
    return path.with_suffix(".bf16.onnx")


def in_precision(
    model: ModelFile, precision: str = "auto", runtime: str = "auto", device: str = "auto"
) -> ModelFile:
    """``model`` or its twin, whichever fits.

    Args:
        model: as found.
        precision: "auto", the twin where this CPU computes in bfloat16 and OpenVINO will run it;
            "bf16", the twin; "fp32", the model itself.
        runtime: that will run it, or "auto".
        device: likewise.

    Raises:
        ConfigError: the precision is unknown.
        ModelError: the twin is damaged.
        RuntimeUnavailableError: bf16 was asked for and cannot be had.
    """
    if precision not in CHOICES:
        raise ConfigError(f"--precision {precision}: choose one of {', '.join(CHOICES)}")
    if precision == "fp32":
        return model
    twin = twin_path(model.path)
    if not (model.is_onnx and twin.exists()):
        if precision == "bf16" and model.description.get("precision") != "bf16":
            raise RuntimeUnavailableError(
                f"--precision bf16: {model.path} has no {twin.name} beside it; make one with "
                "ctct export --precision bf16"
            )
        return model
    chosen = runtimes.choose(model, runtime, device)[0]
    if chosen == "openvino" and cpu_computes_in_bf16():
        return find_model(twin)
    if precision == "bf16":
        why = "this CPU does not compute in it" if chosen == "openvino" else f"{chosen} is chosen"
        raise RuntimeUnavailableError(
            f"--precision bf16: {why}; use --precision fp32, or another --runtime"
        )
    return model


def cpu_computes_in_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers by itself (AVX-512 BF16, AMX, Arm's BF16)."""
    from ctct.runtimes.openvino_cpu import core

    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
