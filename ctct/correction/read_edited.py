"""Reading corrected labels into the grid of the automatic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ctct.correction.edited_files import DICOM, EditedFile, check_no_rivals
from ctct.errors import InputError
from ctct.io.dicom.read_segmentation import read_segmentation
from ctct.io.label_maps import SAME_PLACE_MM, align_axes, check_same_grid, read_labels
from ctct.io.segment_nrrd import read_segments
from ctct.io.study import Study

Labels = npt.NDArray[np.uint8]


def read_edited(
    case: str,
    files: Sequence[EditedFile],
    study: Study,
    automatic: Labels,
    label_order: str = "acdc",
) -> Labels:
    """The labels (T, Z, H, W) of a case: corrected where a file holds the frame, else automatic.

    Args:
        case: its name.
        files: with corrected labels.
        study: of the automatic labels.
        automatic: (T, Z, H, W).
        label_order: numbering of files that have no names of segments.

    Raises:
        InputError: a file cannot be used: it is damaged, of another grid or place, has other
            labels or another number of frames, or two files hold the same frame.
        RuntimeUnavailableError: a library that reads the file is not installed.
    """
    check_no_rivals(case, files)
    labels = automatic.copy()
    for file in files:
        frames = labels[_span(file, case, len(automatic))]
        frames[:] = _read_in_grid(file, study, len(frames), label_order)
    return labels


def _span(file: EditedFile, case: str, frames: int) -> slice:
    """The frames that a file holds."""
    if file.frame is None:
        return slice(0, frames)
    if file.frame >= frames:
        raise InputError(
            f"{file.path}: is called frame {file.frame + 1} of {case}, which has {frames}"
        )
    return slice(file.frame, file.frame + 1)


def _read_in_grid(file: EditedFile, study: Study, frames: int, label_order: str) -> Labels:
    name = file.path.name.lower()
    if name.endswith(DICOM):
        return _read_dicom(file, study, frames)
    read = read_segments if name.endswith(".nrrd") else read_labels
    edited, labels = read(file.path, label_order)
    _check_frames(file, len(labels), frames, study)
    if file.part:
        one = slice(file.part[0], file.part[0] + 1)
        edited, labels = replace(edited, voxels=edited.voxels[one]), labels[one]
    edited, labels = align_axes(edited, labels, study)
    if name.endswith(".nrrd"):
        return place_in_grid(edited, labels, study)
    _, depth, height, width = study.voxels.shape
    if labels.shape[1:] != (depth, height, width):
        raise InputError(
            f"{file.path}: {_size(labels)} voxels, the automatic label map has "
            f"{_size(study.voxels)}; is it of another scan, or resampled?"
        )
    check_same_grid(edited, _one_like(edited, study))
    return labels


def _read_dicom(file: EditedFile, study: Study, frames: int) -> Labels:
    """The labels of a DICOM segmentation, of each phase that it shows, in the grid."""
    phases = read_segmentation(file.path)
    _check_frames(file, len(phases), frames, study)
    labels = np.zeros((frames, *study.voxels.shape[1:]), np.uint8)
    for t, phase in enumerate(phases):
        if phase:
            labels[t] = place_in_grid(*align_axes(*phase, study), study)[0]
    return labels


def _check_frames(file: EditedFile, found: int, frames: int, study: Study) -> None:
    if found == (file.part[1] if file.part else frames):
        return
    if file.part:
        raise InputError(
            f"{file.path}: holds {found} frames, the patient has {file.part[1]} scans of one frame"
        )
    remedy = "give all frames, or one file per frame, CASE_01 and so on"
    raise InputError(
        f"{file.path}: holds {found} frames, the scan has {study.frames}; {remedy}"
        if file.frame is None
        else f"{file.path}: holds {found} frames, its name says one"
    )


def _one_like(edited: Study, study: Study) -> Study:
    """The study with as many frames as the edited one, for a comparison of their grids."""
    return replace(study, voxels=study.voxels[: edited.frames])


def place_in_grid(edited: Study, labels: Labels, study: Study) -> Labels:
    """Labels on a part of a grid, as 3D Slicer and DICOM save them, put into the whole of it.

    Args:
        edited: of the labels, with the axes of ``study``.
        labels: (T, Z, H, W).
        study: with the whole grid.

    Returns:
        (T, Z, H, W), of the size of ``study``.

    Raises:
        InputError: the voxels do not coincide with those of ``study``, or a label lies outside.
    """
    where = f"{edited.path}: "
    size = np.array(study.voxels.shape[:0:-1])  # columns, rows, slices
    axes = study.affine[:3, :3]
    far = np.array(labels.shape[:0:-1]) - 1
    drift_mm = np.linalg.norm((edited.affine[:3, :3] - axes) * np.maximum(far, 1), axis=0).max()
    offset = np.linalg.solve(axes, edited.affine[:3, 3] - study.affine[:3, 3])
    whole = np.rint(offset).astype(int)
    shift_mm = np.linalg.norm(axes @ (offset - whole))
    if not (drift_mm <= SAME_PLACE_MM and shift_mm <= SAME_PLACE_MM):
        raise InputError(
            f"{where}its voxels do not coincide with those of the scan; is it of another scan, or "
            "resampled? Segment on the scan's own grid"
        )
    source, target = [], []
    for start, length, total in zip(whole[::-1], labels.shape[1:], size[::-1], strict=True):
        first, last = max(int(start), 0), min(int(start) + length, int(total))
        last = max(first, last)
        target.append(slice(first, last))
        source.append(slice(first - int(start), last - int(start)))
    placed = np.zeros((len(labels), *size[::-1]), np.uint8)
    placed[:, *target] = labels[:, *source]
    if lost := np.count_nonzero(labels) - np.count_nonzero(placed):
        raise InputError(
            f"{where}{lost} labelled voxels lie outside the scan; is it of another scan?"
        )
    return placed


def _size(array: npt.NDArray[np.generic]) -> str:
    return " × ".join(map(str, array.shape[:0:-1]))
