"""A model, or its bf16 variant on a machine that is faster with it.

The bf16 variant of ``X.onnx`` is ``X.bf16.onnx`` beside it: the same pair, exported with
``--precision bf16`` and so through the gate of :mod:`ctct.exporters.parity`. The bundled model has
one. Letting a runtime lower the precision itself is different: it would also round the sampling
positions.
"""

from __future__ import annotations

from pathlib import Path

from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.runtimes import choose as runtimes

CHOICES = ("auto", "fp32", "bf16")


def bf16_path(path: Path) -> Path:
    """Where the bf16 variant of an ``.onnx`` file lies, if it has one."""
    return path.with_suffix(".bf16.onnx")


def in_precision(
    model: ModelFile, precision: str = "auto", runtime: str = "auto", device: str = "auto"
) -> ModelFile:
    """``model`` or its bf16 variant, whichever fits.

    Args:
        model: as found.
        precision: "auto" takes the bf16 variant where this CPU computes in bfloat16 and OpenVINO
            will run it; "bf16" the bf16 variant; "fp32" the model itself.
        runtime: that will run it, or "auto".
        device: likewise.

    Raises:
        ConfigError: the precision is unknown.
        ModelError: the bf16 variant is damaged.
        RuntimeUnavailableError: bf16 was asked for and cannot be had.
    """
    if precision not in CHOICES:
        raise ConfigError(f"--precision {precision}: choose one of {', '.join(CHOICES)}")
    if precision == "fp32":
        return model
    bf16_variant = bf16_path(model.path)
    if not (model.is_onnx and bf16_variant.exists()):
        if precision == "bf16" and model.description.get("precision") != "bf16":
            raise RuntimeUnavailableError(
                f"--precision bf16: {model.path} has no {bf16_variant.name} beside it; make one "
                "with ctct export --precision bf16"
            )
        return model
    chosen = runtimes.choose(model, runtime, device)[0]
    if chosen == "openvino" and cpu_computes_in_bf16():
        return find_model(bf16_variant)
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
