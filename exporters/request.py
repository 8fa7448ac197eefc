"""What ``ctct export`` writes, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from ctct.choices import ExportPrecision
from ctct.errors import ConfigError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.variant import Variant

FORMAT_NAMES = ("onnx", "openvino", "engine", "triton", "monai-bundle")
PRECISIONS = get_args(ExportPrecision)


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        formats: some of :data:`FORMAT_NAMES`.
        precision: one of :data:`PRECISIONS`; a file that fails the parity gate in it is written
            in a higher one.
        variant: variant of the graph.
        verify: whether to compare each file with the pair in PyTorch and float32.
        verify_on: folder of scans for that comparison; None for synthetic cines.
        calibration: folder of scans to calibrate int8 on; None for synthetic cines.
        metadata: entries that replace the model's own: training_data, license.
        profile: batch and slice sizes of an engine, and the batch sizes of Triton.
        targets: GPUs to build an engine for, as in ("sm80", "sm89"); empty for the one present.

    Raises:
        ConfigError: a format or precision is unknown, or the settings contradict each other.
    """

    formats: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    variant: Variant = field(default_factory=Variant)
    verify: bool = True
    verify_on: Path | None = None
    calibration: Path | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    profile: EngineProfile = field(default_factory=EngineProfile)
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.formats or not set(self.formats) <= set(FORMAT_NAMES):
            raise ConfigError(
                f"--format must be one or more of {', '.join(FORMAT_NAMES)}; got "
                f"{','.join(self.formats)!r}"
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"--precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if self.variant.probabilities and {"engine", "triton"} & set(self.formats):
            raise ConfigError(
                "--format engine and triton have no output for probabilities; leave out "
                "--probabilities"
            )
        if self.precision == "bf16" and "monai-bundle" in self.formats:
            raise ConfigError(
                "--format monai-bundle runs in ONNX Runtime, which has no bf16 on a CPU; take "
                "--precision fp16"
            )
