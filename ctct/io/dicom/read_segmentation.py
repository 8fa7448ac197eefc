"""DICOM Segmentation objects as label maps, read by highdicom."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io.dicom.cine_segmentation import split_phases
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.io.segment_nrrd import labels_as_study, name_structure
from ctct.io.study import Study
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE

log = logging.getLogger(__name__)

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


#: A grid, and labels (1, Z, H, W) on it.
Phase = tuple[Study, npt.NDArray[np.uint8]]


def read_segmentation(path: Path) -> list[Phase | None]:
    """The phases of a DICOM segmentation as studies and their labels (1, Z, H, W), in ACDC order.

    One of a cine names the phase of each frame in TemporalPositionIndex, see
    :mod:`ctct.io.dicom.cine_segmentation`; a phase without a frame is None. Slices that the object
    leaves out are empty. A grid may be a part of the scan's, and its axes may run the other way.

    Raises:
        InputError: the file is damaged, no segmentation, or holds segments of other names.
        RuntimeUnavailableError: highdicom is not installed.
    """
    if find_spec("highdicom") is None:
        raise RuntimeUnavailableError(
            f"{path}: reading DICOM-SEG needs highdicom; {how_to_install('dicom-results')}"
        )
    import highdicom
    from pydicom import dcmread

    try:
        with suppress_pydicom_warnings:
            return [
                phase and _read_phase(path, highdicom.seg.Segmentation.from_dataset(phase))
                for phase in split_phases(dcmread(path))
            ]
    except InputError:
        raise
    except Exception as error:  # damage can make pydicom and highdicom raise any exception
        log.debug("%s", path, exc_info=True)
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a usable DICOM segmentation ({reason})") from error


def _read_phase(path: Path, segmentation: Any) -> Phase:
    """The labels of a segmentation of one phase.

    Raises:
        InputError: it holds segments of other names, or they overlap.
    """
    volume = segmentation.get_volume(rescale_fractional=False)
    names = [_name(segmentation, number) for number in segmentation.segment_numbers]
    masks = np.asarray(volume.array) > 0  # (Z, H, W, segments)
    labels = np.zeros(masks.shape[:3], np.uint8)
    for mask, name in zip(np.moveaxis(masks, -1, 0), names, strict=True):
        structure = name if name in STRUCTURES else name_structure(name)
        if structure is None and mask.any():
            raise InputError(
                f"{path}: holds a segment {name!r}; call the segments {RV}, {MYO} and {LV}"
            )
        if structure is None:
            continue
        if overlap := np.count_nonzero(mask & (labels > 0)):
            raise InputError(f"{path}: {overlap} voxels belong to {structure} and another segment")
        labels[mask] = VALUE[structure]
    # highdicom's indices are slice, row and column, its coordinates LPS+.
    affine = _FLIP @ np.asarray(volume.affine, float)[:, [2, 1, 0, 3]]
    return labels_as_study(path, labels[None], affine), labels[None]


def _name(segmentation: Any, number: int) -> str:
    """The structure that a segment is by its label or its coded type; else its label."""
    description = segmentation.get_segment_description(number)
    meaning = str(description.segmented_property_type.meaning)
    label = str(description.segment_label)
    return name_structure(label) or name_structure(meaning) or label
