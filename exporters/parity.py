"""Whether an exported model still says what the trained one said, in units a reader knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ctct.evaluation.overlap import dice
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.labels import LV, RV, STRUCTURES, VALUE
from ctct.measurement.volumes import frame_volumes, measure_frames


@dataclass(frozen=True)
class Parity:
    """How far a candidate is from the reference over all studies.

    Attributes:
        agreement: share of voxels with the same label, before clean-up.
        dice: Dice of each structure of the one against the other, over all voxels.
        disagreement: largest difference of the pair's disagreement; NaN where a graph has none.
        edv_ml: largest difference of the end-diastolic volume of either ventricle.
        esv_ml: likewise end-systolic.
        ef_points: largest difference of the ejection fraction of either, in percentage points.
    """

    agreement: float
    dice: dict[str, float]
    disagreement: float
    edv_ml: float
    esv_ml: float
    ef_points: float

    def __str__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.dice.items())
        return (
            f"labels agree {100 * self.agreement:.4f} %, Dice {scores}, "
            f"Δdisagreement {self.disagreement:.3f}, ΔEDV {self.edv_ml:.2f} mL, "
            f"ΔESV {self.esv_ml:.2f} mL, ΔEF {self.ef_points:.2f} points"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows only finite numbers: the others are None."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Limits:
    """What a :class:`Parity` must keep to. Volumes and EF: a fraction of what readers differ by."""

    agreement: float = 0.0
    dice: float = 0.0
    volume_ml: float = 1.5
    ef_points: float = 0.7

    def failures(self, parity: Parity) -> list[str]:
        """What is beyond the limits, in words; empty where the gate is passed."""
        found = [
            f"Dice {name} {value:.4f} < {self.dice:g}"
            for name, value in parity.dice.items()
            if not value >= self.dice
        ]
        if not parity.agreement >= self.agreement:
            found.append(f"agreement {parity.agreement:.6f} < {self.agreement:g}")
        for name, value in (("EDV", parity.edv_ml), ("ESV", parity.esv_ml)):
            if not value <= self.volume_ml:
                found.append(f"Δ{name} {value:.2f} mL > {self.volume_ml:g} mL")
        if not parity.ef_points <= self.ef_points:
            found.append(f"ΔEF {parity.ef_points:.2f} > {self.ef_points:g} points")
        return found


LIMITS = {
    "fp32": Limits(agreement=0.9999),
    "fp16": Limits(dice=0.998),
    "bf16": Limits(dice=0.998),
    "int8": Limits(dice=0.99),
}


def segment_all(segmenter: Segmenter, studies: Sequence[Study]) -> list[Segmentation]:
    """The raw labels of each study, without clean-up, which would hide differences."""
    return [segmenter.segment(study, clean_up=False) for study in studies]


def compare(reference: Sequence[Segmentation], candidate: Sequence[Segmentation]) -> Parity:
    """Hold the candidate's answers against the reference's, study by study.

    Volumes are those of the labels as they are. ED and ES are the reference's frames for both, so
    that a change of volume is not hidden behind a change of frame; of a single frame the volume
    counts as EDV.
    """
    labels = [(r.labels, c.labels) for r, c in zip(reference, candidate, strict=True)]
    voxels = sum(own.size for own, _ in labels)
    same = sum(int(np.count_nonzero(own == other)) for own, other in labels)
    differences = np.array([_indices(r, c) for r, c in zip(reference, candidate, strict=True)])
    apart = [
        float(np.abs(r.disagreement.astype(np.float32) - c.disagreement).max())
        for r, c in zip(reference, candidate, strict=True)
    ]
    flat = [np.concatenate([pair[side].ravel() for pair in labels]) for side in (0, 1)]
    return Parity(
        agreement=same / voxels,
        dice={s: dice(flat[0] == VALUE[s], flat[1] == VALUE[s]) for s in STRUCTURES},
        disagreement=max(apart),
        edv_ml=float(differences[:, 0].max()),
        esv_ml=float(differences[:, 1].max()),
        ef_points=float(differences[:, 2].max()),
    )


def _indices(reference: Segmentation, candidate: Segmentation) -> tuple[float, float, float]:
    """Largest differences of EDV (mL), ESV (mL) and EF (points) over both ventricles."""
    voxel_ml = reference.study.voxel_ml
    voxel_ml = voxel_ml if np.isfinite(voxel_ml) else 0.0  # a lone 2-D image has no volume
    own, other = (frame_volumes(s.labels, voxel_ml) for s in (reference, candidate))
    measured = measure_frames(own)
    if measured.ed is None or measured.es is None:
        return max(abs(own[0].volume_ml[v] - other[0].volume_ml[v]) for v in (LV, RV)), 0.0, 0.0
    there = measure_frames(other, measured.ed, measured.es).indices
    here = measured.indices
    edv, esv, ef = (
        max(_difference(here[f"{v}{index}"], there[f"{v}{index}"]) for v in (LV, RV))
        for index in ("EDV (mL)", "ESV (mL)", "EF (%)")
    )
    return edv, esv, ef


def _difference(own: float, other: float) -> float:
    """|own - other|; 0 where neither is a number, infinite where one is not."""
    if np.isnan(own) and np.isnan(other):
        return 0.0
    return abs(own - other) if np.isfinite(own - other) else float("inf")
