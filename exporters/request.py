"""What to export."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ctct.exporters.formats import FORMATS
from ctct.exporters.precision import PRECISIONS

from ctct.errors import ConfigError
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.variant import Variant


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        formats: keys of :data:`~ctct.exporters.formats.FORMATS`.
        precision: wished for, of :data:`~ctct.exporters.precision.PRECISIONS`.
        variant: of the graph.
        verify: whether to hold each artefact against the pair in PyTorch, in float32.
        verify_on: folder of scans for that; None for synthetic cines.
        calibration: folder of scans for int8, likewise.
        given: entries of the metadata that replace the source's own: training_data, license.
        profile: batches and slice sizes that an engine takes, and the batches that Triton makes.
        targets: GPUs to build an engine for, as in ("sm80", "sm89"); None for the one at hand.
    """

    formats: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    variant: Variant = field(default_factory=Variant)
    verify: bool = True
    verify_on: Path | None = None
    calibration: Path | None = None
    given: dict[str, str] = field(default_factory=dict)
    profile: EngineProfile = field(default_factory=EngineProfile)
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.formats or any(name not in FORMATS for name in self.formats):
            raise ConfigError(
                f"--format must be one or more of {', '.join(FORMATS)}; got "
                f"{','.join(self.formats)!r}"
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"--precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if self.variant.probabilities and {"engine", "triton"} & set(self.formats):
            raise ConfigError(
                "--format engine and triton give labels and disagreement alone; leave out "
                "--probabilities"
            )
