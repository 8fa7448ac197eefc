"""Cardiac MRI segmentation by cross teaching between a CNN and a Transformer.

>>> import ctct
>>> model = ctct.load_model()
>>> result = model.segment(ctct.sample_study(frames=2, slices=5))  # or "cine.nii.gz", an array, …
>>> result.labels.shape
(2, 5, 256, 216)
>>> round(result.indices["LVEF (%)"]) in range(100)
True

The public names are those of ``dir(ctct)``; everything else is private and may change. They are
loaded when first used, so ``import ctct`` costs next to nothing and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctct import errors, labels
    from ctct.api.functions import evaluate, export, measure, read_study, sample_study
    from ctct.api.model import Model, load_model
    from ctct.api.prediction import predict
    from ctct.api.result import Result
    from ctct.api.training import compare_methods, train
    from ctct.inference.segmenter import ModelSpec
    from ctct.io.study import Study

    __version__: str

#: Public name to the module that defines it; "" for modules and what is made here.
_HOMES = {
    "Model": "ctct.api.model",
    "ModelSpec": "ctct.inference.segmenter",
    "Result": "ctct.api.result",
    "Study": "ctct.io.study",
    "__version__": "",
    "compare_methods": "ctct.api.training",
    "errors": "",
    "evaluate": "ctct.api.functions",
    "export": "ctct.api.functions",
    "labels": "",
    "load_model": "ctct.api.model",
    "measure": "ctct.api.functions",
    "predict": "ctct.api.prediction",
    "read_study": "ctct.api.functions",
    "sample_study": "ctct.api.functions",
    "train": "ctct.api.training",
}

__all__ = [
    "Model",
    "ModelSpec",
    "Result",
    "Study",
    "__version__",
    "compare_methods",
    "errors",
    "evaluate",
    "export",
    "labels",
    "load_model",
    "measure",
    "predict",
    "read_study",
    "sample_study",
    "train",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("ctct")
    if name not in _HOMES:
        raise AttributeError(
            f"module 'ctct' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    if home := _HOMES[name]:
        return getattr(import_module(home), name)
    return import_module(f"ctct.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
