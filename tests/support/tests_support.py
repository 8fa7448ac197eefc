"""Small scans, and a fast replacement for the networks."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from ctct.inference.segmentation import Segmentation
from ctct.io.study import Study
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.runtimes.base import Prediction

#: Quality indicators of a frame without any fault.
GOOD_INDICATORS = FrameIndicators(
    missing=(),
    open_ring=0.0,
    gaps=0,
    scattered=0.0,
    swapped=False,
    cut_off=0.0,
    relative_disagreement=0.2,
    disagreement={"RV": 0.1, "MYO": 0.1, "LV": 0.1},
    slice_disagreement=(0.1,),
    contrast=2.0,
)


def write_scan(
    path: Path,
    shape: tuple[int, ...] = (40, 36, 3),
    zooms: tuple[float, ...] = (1.5, 1.25, 8.0, 0.05),
) -> np.ndarray:
    """Write a NIfTI scan of random integers 0 to 199 and return its array, (x, y, z[, t])."""
    array = np.random.default_rng(0).integers(0, 200, shape).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([*zooms[:3], 1.0]))
    image.header.set_zooms(zooms[: len(shape)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return array


def phantom(height: int, width: int, slices: int = 3) -> npt.NDArray[np.uint8]:
    """Labels (Z, H, W): a round LV with a radius of 6 pixels, a wall of 3 pixels, and an RV."""
    rows, columns = np.indices((height, width))
    radius = np.hypot(rows - height / 2, columns - width / 2)
    beside = np.hypot(rows - height / 2, columns - width / 2 + 12)
    one = np.select([radius < 6, radius < 9, beside < 6], [3, 2, 1], 0).astype(np.uint8)
    return np.repeat(one[None], slices, 0)


def scan_of(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Intensities of labels (T, Z, H, W), with noise that is the same in all frames."""
    noise = np.random.default_rng(0).normal(0, 25, labels.shape[1:])
    return (np.array([20, 180, 80, 200])[labels] + noise).astype(np.float32)


def analyze_phantom(name: str, labelled_slices: int = 5, frames: int = 1) -> CaseResult:
    """A scan of 5 slices; all are labelled, but in the last frame only some of them."""
    labels = np.repeat(phantom(60, 70, 5)[None], frames, 0)
    labels[-1, labelled_slices:] = 0
    study = Study(name, scan_of(labels), (1.5, 1.5), 8.0)
    return analyze_case(Segmentation(study, labels, np.full(labels.shape, 0.1, np.float16)))


def write_acdc(root: Path) -> None:
    """A folder in the layout of the ACDC download: two training patients and one for validation.

    Their numbers are those of the published split: 99 and 38 are its first two training patients,
    2 is a validation patient. Frame numbers and spacing are ACDC's, by which it is recognized.
    """
    patients = {
        "patient038": ((40, 36), 0.833, "11"),
        "patient099": ((44, 48), 1.786, "09"),
        "patient002": ((36, 40), 1.367, "12"),
    }
    for number, (patient, (size, mm, es)) in enumerate(patients.items()):
        for frame in ("01", es):
            labels = phantom(*size)
            noise = np.random.default_rng(number + int(frame)).normal(0, 5, labels.shape)
            image = np.array([20, 180, 80, 200])[labels] + noise
            (root / patient).mkdir(parents=True, exist_ok=True)
            for ending, voxels in (("", image.round().astype(np.int16)), ("_gt", labels)):
                file = root / patient / f"{patient}_frame{frame}{ending}.nii.gz"
                affine = np.diag([mm, mm, 10.0, 1.0])
                nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), affine), file)


def write_partly_labelled(root: Path, values: tuple[int, int] = (3, 1)) -> None:
    """Two children with a stack for the LV and one for the RV, each labelled by itself.

    ``values`` are the numbers of the LV in its stack, and of the RV in its stack.
    """
    root.mkdir(parents=True, exist_ok=True)
    for number, patient in enumerate(("sbj01", "sbj02")):
        for stack, value, shown in zip(("LV", "RV"), values, (3, 1), strict=True):
            labels = phantom(36, 40, 2 + number)
            noise = np.random.default_rng(10 + 2 * number + value).normal(0, 5, labels.shape)
            image = np.array([20, 180, 80, 200])[labels] + noise
            partial = np.uint8(value) * (labels == shown)
            for ending, voxels in (("", image.round().astype(np.int16)), ("_gt", partial)):
                file = root / f"{patient}_{stack}ED{ending}.nii.gz"
                affine = np.diag([1.5, 1.5, 8.0, 1.0])
                nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), affine), file)


class ThresholdRuntime:
    """Replaces the networks: pixels from 150 on are LV, from 100 on MYO, all others background."""

    name, device = "threshold", "cpu"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        assert slices.dtype == spacing_mm.dtype == np.float32
        assert spacing_mm.shape == (len(slices), 2)
        self.batches.append(len(slices))
        image = slices[:, 0]
        labels = np.where(image >= 150, 3, np.where(image >= 100, 2, 0)).astype(np.uint8)
        return Prediction(labels, np.full(image.shape, 0.25, np.float32))
