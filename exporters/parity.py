"""The parity gate: how far an exported model may differ from the trained pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study
from ctct.labels import LV, RV, VALUE
from ctct.measurement.volumes import frame_volumes, measure_frames


@dataclass(frozen=True)
class Parity:
    """How far a candidate differs from the reference over all studies.

    Attributes:
        agreement: share of voxels with the same label, before clean-up.
        dice: Dice of each structure between the two, over all voxels, where one of them has it.
        disagreement: largest difference of the disagreement map; NaN for a graph of one network.
        edv_ml: largest difference of the end-diastolic volume, over both ventricles.
        esv_ml: largest difference of the end-systolic volume, over both ventricles.
        ef_points: largest difference of the ejection fraction, over both ventricles, in percentage
            points.
        untested: structures that neither has in any study.
    """

    agreement: float
    dice: dict[str, float]
    disagreement: float
    edv_ml: float
    esv_ml: float
    ef_points: float
    untested: tuple[str, ...] = ()

    def __str__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.dice.items()) or "of none"
        untested = f", not tested as absent: {', '.join(self.untested)}" if self.untested else ""
        return (
            f"labels agree {100 * self.agreement:.4f} %, Dice {scores}, "
            f"Δdisagreement {self.disagreement:.3f}, ΔEDV {self.edv_ml:.2f} mL, "
            f"ΔESV {self.esv_ml:.2f} mL, ΔEF {self.ef_points:.2f} points{untested}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with None for numbers that are not finite."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Limits:
    """Limits of a :class:`Parity`. Volumes and EF: a fraction of what readers differ by."""

    agreement: float = 0.0
    dice: float = 0.0
    volume_ml: float = 1.5
    ef_points: float = 0.7

    def failures(self, parity: Parity) -> list[str]:
        """The limits that ``parity`` exceeds, in words; empty if it passes the gate."""
        exceeded = [
            f"Dice {name} {value:.4f} < {self.dice:g}"
            for name, value in parity.dice.items()
            if not value >= self.dice
        ]
        if not parity.dice:
            exceeded.append("nothing was segmented in any study")
        if not parity.agreement >= self.agreement:
            exceeded.append(f"agreement {parity.agreement:.6f} < {self.agreement:g}")
        for name, value in (("EDV", parity.edv_ml), ("ESV", parity.esv_ml)):
            if not value <= self.volume_ml:
                exceeded.append(f"Δ{name} {value:.2f} mL > {self.volume_ml:g} mL")
        if not parity.ef_points <= self.ef_points:
            exceeded.append(f"ΔEF {parity.ef_points:.2f} > {self.ef_points:g} points")
        return exceeded


#: Limits of each precision.
LIMITS = {
    "fp32": Limits(agreement=0.9999),
    "fp16": Limits(dice=0.998),
    "bf16": Limits(dice=0.998),
    "int8": Limits(dice=0.99),
}


def segment_all(segmenter: Segmenter, studies: Sequence[Study]) -> list[Segmentation]:
    """Segment each study without clean-up, which would hide differences."""
    return [segmenter.segment(study, clean_up=False) for study in studies]


def compare(reference: Sequence[Segmentation], candidate: Sequence[Segmentation]) -> Parity:
    """Compare the candidate's segmentations with the reference's, study by study.

    ED and ES are the reference's frames for both, so that a change of frame cannot hide a change of
    volume. The volume of a single frame counts as EDV.
    """
    both = list(zip(reference, candidate, strict=True))
    reference_labels = np.concatenate([r.labels.ravel() for r, _ in both])
    candidate_labels = np.concatenate([c.labels.ravel() for _, c in both])
    dice = dice_by_structure(reference_labels, candidate_labels)
    untested = tuple(
        name
        for name in dice
        if not ((reference_labels == VALUE[name]) | (candidate_labels == VALUE[name])).any()
    )
    clinical = np.array([_clinical_differences(r, c) for r, c in both]).max(axis=0)
    return Parity(
        agreement=float(np.mean(reference_labels == candidate_labels)),
        dice={name: value for name, value in dice.items() if name not in untested},
        disagreement=max(
            float(np.abs(r.disagreement.astype(np.float32) - c.disagreement).max()) for r, c in both
        ),
        edv_ml=float(clinical[0]),
        esv_ml=float(clinical[1]),
        ef_points=float(clinical[2]),
        untested=untested,
    )


def _clinical_differences(
    reference: Segmentation, candidate: Segmentation
) -> tuple[float, float, float]:
    """Largest differences of EDV (mL), ESV (mL) and EF (points) over both ventricles."""
    voxel_ml = reference.study.voxel_ml
    voxel_ml = voxel_ml if np.isfinite(voxel_ml) else 0.0  # a single 2-D image has no volume
    expected, actual = (frame_volumes(s.labels, voxel_ml) for s in (reference, candidate))
    phases = measure_frames(expected)
    if phases.ed is None or phases.es is None:
        volumes = (expected[0].volume_ml, actual[0].volume_ml)
        return max(abs(volumes[0][v] - volumes[1][v]) for v in (LV, RV)), 0.0, 0.0
    indices = (phases.indices, measure_frames(actual, phases.ed, phases.es).indices)
    edv, esv, ef = (
        max(_difference(indices[0][f"{v}{index}"], indices[1][f"{v}{index}"]) for v in (LV, RV))
        for index in ("EDV (mL)", "ESV (mL)", "EF (%)")
    )
    return edv, esv, ef


def _difference(a: float, b: float) -> float:
    """|a - b|; 0 if both are NaN, infinite if one is not finite."""
    if np.isnan(a) and np.isnan(b):
        return 0.0
    return abs(a - b) if np.isfinite(a - b) else float("inf")
