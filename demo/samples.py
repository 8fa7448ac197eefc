"""Synthetic hearts to try the page with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from threading import Lock

import numpy as np

from ctct.io.nifti import encode_study
from ctct.synthetic import synthetic_cine
from ctct.synthetic.damage import DAMAGES

#: For each sample, the seed of ``ctct sample`` and the key of DAMAGES that alters the image.
SAMPLES: Mapping[str, tuple[int, str]] = {
    "Try the sample": (0, "none"),
    "Large heart": (4, "none"),
    "Small heart": (3, "none"),
    "Noisy image": (8, "noise 0.25"),
}
FIRST = next(iter(SAMPLES))

_lock = Lock()


def sample_file(name: str) -> tuple[str, bytes]:
    """Name and content of the file of a sample, made on first use."""
    with _lock:
        return _make(name)


@lru_cache
def _make(name: str) -> tuple[str, bytes]:
    seed, damage = SAMPLES[name]
    study, labels = DAMAGES[damage](*synthetic_cine(seed), np.random.default_rng(seed))
    if damage != "none":
        study = replace(study, name=f"{study.name}_noisy")
    return f"{study.name}.nii.gz", encode_study(study, labels)[study.name]
