"""Cardiac MRI segmentation by cross teaching between a CNN and a Transformer.

>>> import ctct
>>> model = ctct.load_model()
>>> study = ctct.read_study("cine.nii.gz")  # doctest: +SKIP
>>> segmentation = model.segment(study)  # doctest: +SKIP
>>> ctct.measure(segmentation).indices["LVEF (%)"]  # doctest: +SKIP

Names are loaded when first used, so ``import ctct`` costs next to nothing and never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctct.api import Segmentation, Segmenter, Study, load_model, measure, read_study

__all__ = ["Segmentation", "Segmenter", "Study", "load_model", "measure", "read_study"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("ctct.api"), name)
    raise AttributeError(f"module 'ctct' has no attribute {name!r}")
