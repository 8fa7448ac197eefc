"""Indices of the same patients by other models, for instance by each network of a pair alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ctct.errors import InputError
from ctct.io.label_maps import read_labels
from ctct.measurement.volumes import FrameVolumes, Measurements, frame_volumes
from ctct.prediction.case_record import read_record
from ctct.prediction.quality_record import output_path

log = logging.getLogger(__name__)


def indices_at_phases(patient: Measurements, frames: Sequence[FrameVolumes]) -> dict[str, float]:
    """Indices of other labels of the same frames, at the ED and ES of ``patient``.

    So a difference between the two is one of labels.
    """
    return Measurements(tuple(frames), patient.ed, patient.es).indices


def indices_by_model(
    patient: Measurements, folders: Sequence[Path], label_order: str = "acdc"
) -> dict[str, dict[str, float]]:
    """Indices of a patient from the label maps in other folders of results.

    Args:
        patient: as measured here.
        folders: results of other models on the same scans, under the same names.
        label_order: numbering of the label maps there.

    Returns:
        Name of each folder that has all of the patient's frames, to the indices.
    """
    by_model = {}
    names = dict.fromkeys(frame.name for frame in patient.frames)
    for folder in folders:
        try:
            frames = [f for name in names for f in read_frames(folder, name, label_order)]
            if len(frames) != len(patient.frames):
                raise InputError(f"{folder}: {len(frames)} frames, here are {len(patient.frames)}")
        except InputError as error:
            log.warning("%s", error)
            continue
        by_model[folder.name] = indices_at_phases(patient, frames)
    return by_model


def read_frames(folder: Path, case: str, label_order: str) -> list[FrameVolumes]:
    """Volumes in a label map: from its record, or decoded where there is none.

    Raises:
        InputError: the label map cannot be used.
    """
    path = output_path(folder, case)
    record = read_record(folder, case)
    if record and record.is_measured and record.measured and record.measured.is_of(path):
        return record.frames
    study, labels = read_labels(path, label_order)
    return frame_volumes(labels, study.voxel_ml)
