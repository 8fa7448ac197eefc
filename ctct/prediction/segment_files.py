"""The files that 3D Slicer edits, of each frame and of the cine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.io.segment_nrrd import SEGMENTATION, SEQUENCE, encode_segmentation, encode_sequence
from ctct.io.study import Study
from ctct.storage import prepare_folder, write_atomic

SEG_NRRD = "seg-nrrd"


def segment_path(folder: Path, case: str, frame: int) -> Path:
    """Where the ``.seg.nrrd`` of a frame, from 0, of the case of that name goes."""
    return folder / SEG_NRRD / f"{case}_{frame + 1:02}{SEGMENTATION}"


def write_segment_files(
    folder: Path, case: str, study: Study, labels: npt.NDArray[np.uint8], label_order: str
) -> None:
    """Write a ``.seg.nrrd`` of each frame and, of a cine, a ``.seq.nrrd`` of all.

    Args:
        folder: of results.
        case: its name.
        study: its geometry.
        labels: (T, Z, H, W), in the ACDC order.
        label_order: numbering in the files, a key of ``ctct.labels.ORDERS``.

    Raises:
        OutputError: a file cannot be written.
    """
    prepare_folder(folder / SEG_NRRD)
    if len(labels) > 1:
        sequence = encode_sequence(study, labels, label_order)
        write_atomic(folder / SEG_NRRD / f"{case}_seg{SEQUENCE}", sequence)
    for frame in reversed(range(len(labels))):  # the first one tells that all are there
        content = encode_segmentation(study, labels[frame], label_order)
        write_atomic(segment_path(folder, case, frame), content)
