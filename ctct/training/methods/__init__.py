"""What networks learn from unlabelled slices: one file per method."""

from __future__ import annotations

from collections.abc import Mapping

from ctct.training.methods.base import Method
from ctct.training.methods.co_training import DeepCoTraining
from ctct.training.methods.cross_consistency import CrossConsistency
from ctct.training.methods.cross_pseudo_supervision import CrossPseudoSupervision
from ctct.training.methods.cross_teaching import CrossTeaching
from ctct.training.methods.deep_adversarial import DeepAdversarial
from ctct.training.methods.entropy_minimization import EntropyMinimization
from ctct.training.methods.interpolation_consistency import InterpolationConsistency
from ctct.training.methods.labelled_only import LabelledOnly
from ctct.training.methods.mean_teacher import MeanTeacher
from ctct.training.methods.uncertainty_aware import UncertaintyAwareMeanTeacher

#: Each method by its name, a value of :data:`ctct.choices.MethodName`.
METHODS: Mapping[str, type[Method]] = {
    "cross_teaching": CrossTeaching,
    "labelled_only": LabelledOnly,
    "mean_teacher": MeanTeacher,
    "uncertainty_aware_mean_teacher": UncertaintyAwareMeanTeacher,
    "interpolation_consistency": InterpolationConsistency,
    "entropy_minimization": EntropyMinimization,
    "deep_adversarial": DeepAdversarial,
    "cross_pseudo_supervision": CrossPseudoSupervision,
    "cross_consistency": CrossConsistency,
    "deep_co_training": DeepCoTraining,
}

__all__ = ["METHODS", "Method"]
