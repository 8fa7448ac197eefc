from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np


def test_sample_writes_a_cine_and_its_labels(ctct: Callable[..., object], tmp_path: Path) -> None:
    outcome = ctct("sample", tmp_path, "--frames", 2, "--seed", 3)
    assert outcome.code == 0
    image_path, labels_path = map(Path, outcome.out.split())
    image, labels = nib.load(image_path), nib.load(labels_path)
    assert image.shape == labels.shape
    assert image.shape[3] == 2
    assert (image.affine == labels.affine).all()
    assert set(np.unique(np.asarray(labels.dataobj))) == {0, 1, 2, 3}
