"""A batch of slices, and PyTorch's answer to it."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.io.study import Study
from ctct.model_files.model_file import ModelFile
from ctct.runtimes.base import Prediction
from ctct.runtimes.choose import load_runtime, resolve


@pytest.fixture(scope="package")
def batch(cine: tuple[Study, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Three slices of the cine, cropped to an odd and oblong shape, each with its own spacing."""
    slices = np.ascontiguousarray(cine[0].voxels[0, 2:8:2, None, 3:-6, 10:-5])
    return slices, np.array([[1.4, 1.4], [1.2, 1.3], [1.6, 1.5]], np.float32)


@pytest.fixture(scope="package")
def expected(default_model: ModelFile, batch: tuple[np.ndarray, np.ndarray]) -> Prediction:
    return load_runtime(resolve(default_model, "torch", "cpu", "fp32"))(*batch)
