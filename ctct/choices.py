"""Names that options and arguments accept, each list in one place; imports nothing heavy."""

from __future__ import annotations

from typing import Literal

#: A runtime, or the fastest one found.
RuntimeName = Literal["auto", "openvino", "onnxruntime", "onnxruntime-trt", "tensorrt", "torch"]
#: Where networks run.
Device = Literal["auto", "cpu", "cuda"]
#: The precision of prediction; "auto" takes the bf16 variant where the CPU computes in bfloat16.
Precision = Literal["auto", "fp32", "bf16"]
#: The precision of an exported file.
ExportPrecision = Literal["fp32", "fp16", "bf16", "int8"]
#: A numbering of the structures, a key of :data:`ctct.labels.ORDERS`.
LabelOrder = Literal["acdc", "mnms", "ukbb", "monai"]
#: What papillary muscles count with; see :mod:`ctct.measurement.papillary`.
Papillary = Literal["labels", "cavity", "myocardium"]
#: What the names of cases come from.
NameFrom = Literal["path", "file", "study", "patient"]
#: How results are laid out.
Layout = Literal["ctct", "bids"]
#: Settings of a training run to start from.
Preset = Literal["paper", "best", "small"]
#: A way to learn from unlabelled slices, a key of :data:`ctct.training.methods.METHODS`.
MethodName = Literal[
    "cross_teaching",
    "labelled_only",
    "mean_teacher",
    "entropy_minimization",
    "deep_adversarial",
    "uncertainty_aware_mean_teacher",
    "interpolation_consistency",
    "cross_pseudo_supervision",
    "cross_consistency",
    "deep_co_training",
]
