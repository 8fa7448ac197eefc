"""The studies that verify an export, and the slices that calibrate int8."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.errors import InputError
from ctct.inference.segmentation import check_segmentable
from ctct.io.study import Study
from ctct.synthetic import synthetic_cine

log = logging.getLogger(__name__)

#: Seeds of the synthetic cines; calibration and verification use different people.
VERIFICATION_SEEDS, CALIBRATION_SEEDS = (0, 1), (2, 3, 4, 5)
#: Frames of each cine: ED, near ES, and one between.
FRAMES = 3

#: Smallest and largest field of view of a cardiac scan, in mm.
CARDIAC_MM = (120.0, 700.0)

#: Slices that suffice to find the range of an activation, and slices per batch.
CALIBRATION_SLICES, CALIBRATION_BATCH = 96, 8

#: Slices (N, 1, H, W) and their spacing (N, 2), as the graph takes them.
SliceBatch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def verification_studies(folder: Path | None = None) -> list[Study]:
    """Read every scan of ``folder``, or make synthetic cines of two people.

    Raises:
        InputError: the folder holds no scan, or one that cannot be segmented.
    """
    if folder is None:
        return [synthetic_cine(seed, FRAMES)[0] for seed in VERIFICATION_SEEDS]
    return list(_read_studies(folder))


def calibration_batches(folder: Path | None = None) -> list[SliceBatch]:
    """Draw slices evenly from the scans of ``folder``, or from synthetic cines.

    Raises:
        InputError: the folder holds no scan, or one whose field of view is not a heart's.
    """
    if folder is None:
        log.warning("int8 is calibrated on synthetic cines; --calibration DIR takes real scans")
        studies = [synthetic_cine(seed, FRAMES)[0] for seed in CALIBRATION_SEEDS]
    else:
        studies = list(_read_studies(folder))
        for study in studies:
            _check_field_of_view(study)
    slices_per_study = max(CALIBRATION_SLICES // len(studies), 1)
    return [batch for study in studies for batch in _draw_batches(study, slices_per_study)]


def _read_studies(folder: Path) -> Iterator[Study]:
    cases, _ = discover([folder])
    for case in cases:
        study = read_case(case)
        check_segmentable(study)
        yield study


def _draw_batches(study: Study, count: int) -> Iterator[SliceBatch]:
    slices, spacing_mm = study.as_batch()
    chosen = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    for start in range(0, len(chosen), CALIBRATION_BATCH):
        part = chosen[start : start + CALIBRATION_BATCH]
        yield slices[part], spacing_mm[part]


def _check_field_of_view(study: Study) -> None:
    low, high = CARDIAC_MM
    field = [n * mm for n, mm in zip(study.voxels.shape[2:], study.spacing_mm, strict=True)]
    if not all(low <= side <= high for side in field):
        raise InputError(
            f"{study.path or study.name}: {field[0]:.0f} × {field[1]:.0f} mm is not the field of "
            f"view of a cardiac scan ({low:.0f} to {high:.0f} mm per side); leave it out of "
            "--calibration"
        )
