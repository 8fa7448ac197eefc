"""The studies an export is verified on, and the slices an 8-bit one is calibrated on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.inference.segmentation import check_segmentable
from ctct.io.discover import discover
from ctct.io.read import read_case
from ctct.io.study import Study
from ctct.synthetic import synthetic_cine

log = logging.getLogger(__name__)

#: Seeds of the synthetic cines; those of calibration are other people than those of verification.
VERIFICATION_SEEDS, CALIBRATION_SEEDS = (0, 1), (2, 3, 4, 5)
#: Phases of each: ED, near ES, and one between.
FRAMES = 3

#: A short-axis slice is this wide, in mm.
CARDIAC_MM = (120.0, 700.0)

#: Slices enough to know the range of an activation, and how many of them a call.
CALIBRATION_SLICES, CALIBRATION_BATCH = 96, 8

#: A batch of slices (N, 1, H, W) and their spacing (N, 2), as the graph takes it.
Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def verification_studies(folder: Path | None = None) -> list[Study]:
    """Every scan of ``folder``, or the synthetic cine of two people.

    Raises:
        InputError: the folder holds no scan, or one that cannot be read.
    """
    if folder is None:
        return [synthetic_cine(seed, FRAMES)[0] for seed in VERIFICATION_SEEDS]
    return list(_read(folder))


def calibration_batches(folder: Path | None = None) -> list[Inputs]:
    """Batches of slices drawn evenly from the scans of ``folder``, or from synthetic cines.

    Raises:
        InputError: the folder holds no scan, or scans that cannot show a heart.
    """
    if folder is None:
        log.warning("int8 is calibrated on synthetic cines; --calibration DIR takes real scans")
        studies: Sequence[Study] = [synthetic_cine(seed, FRAMES)[0] for seed in CALIBRATION_SEEDS]
    else:
        studies = list(_read(folder))
        for study in studies:
            _check_cardiac_size(study)
    share = max(CALIBRATION_SLICES // len(studies), 1)
    return [batch for study in studies for batch in _batches(study, share)]


def _read(folder: Path) -> Iterator[Study]:
    cases, _ = discover([folder])
    for case in cases:
        study = read_case(case)
        check_segmentable(study)
        yield study


def _batches(study: Study, count: int) -> Iterator[Inputs]:
    slices, spacing_mm = study.as_batch()
    chosen = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    for start in range(0, len(chosen), CALIBRATION_BATCH):
        part = chosen[start : start + CALIBRATION_BATCH]
        yield slices[part], spacing_mm[part]


def _check_cardiac_size(study: Study) -> None:
    low, high = CARDIAC_MM
    field = [n * mm for n, mm in zip(study.voxels.shape[2:], study.spacing_mm, strict=True)]
    if not all(low <= side <= high for side in field):
        raise InputError(
            f"{study.path or study.name}: {field[0]:.0f} × {field[1]:.0f} mm is not the field of a "
            f"cardiac scan ({low:.0f} to {high:.0f} mm a side); leave it out of --calibration"
        )
