from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import ctct
from ctct.inference.segmenter import Segmenter
from ctct.io.study import Study


def test_importing_ctct_loads_next_to_nothing() -> None:
    program = (
        "import sys, ctct\n"
        "heavy = {'torch', 'numpy', 'openvino', 'nibabel', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_is_there_and_others_are_not() -> None:
    for name in ctct.__all__:
        assert callable(getattr(ctct, name))
    with pytest.raises(AttributeError, match="no attribute 'lode_model'"):
        _ = ctct.lode_model


def test_measure_a_segmentation(threshold: Segmenter) -> None:
    voxels = np.zeros((2, 1, 32, 32), np.float32)
    voxels[0, 0, :4, :5] = 200  # 20 pixels of LV, then 5
    voxels[1, 0, :1, :5] = 200
    study = Study("cine", voxels, (2.0, 2.0), 10.0)  # 0.04 mL a voxel
    indices = ctct.measure(threshold.segment(study)).indices
    assert indices["LVEDV (mL)"] == pytest.approx(0.8)
    assert indices["LVEF (%)"] == pytest.approx(75)
