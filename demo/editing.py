"""What the viewer needs to measure, judge and save labels that its reader edits."""

from __future__ import annotations

import base64
import csv
import gzip
import math
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from ctct.inference.segmentation import Segmentation
from ctct.io.nifti import encode_labels
from ctct.labels import VALUE
from ctct.measurement.predicted_dice import MODELS
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.measurement.ranges import normal_range
from ctct.measurement.subject import INDEXED, SUBJECT_COLUMNS, Subject, indices_of_subject
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patients import PatientContext
from ctct.report.tables import frames_csv, patients_csv

#: The index that each index of the patient's body is computed from.
_BASES = {**{indexed: index for index, indexed in INDEXED.items()}, "BSA (m2)": None}


def edit_data(
    segmentation: Segmentation, result: CaseResult, context: PatientContext
) -> dict[str, Any]:
    """All that measuring, judging and saving in the browser takes, as JSON can hold it.

    The browser computes by the rules in ``browser/src``; what does not depend on the labels comes
    from here.

    Args:
        segmentation: the labels.
        result: of these labels.
        context: ED and ES where they are known.
    """
    study, subject = segmentation.study, result.measurements.subject
    indicators = result.indicators
    columns = (*INDEX_COLUMNS, *SUBJECT_COLUMNS)
    ranges = {index: normal_range(index, subject.sex) for index in columns}
    return {
        "name": result.name,
        "version": version("ctct"),
        "voxelMl": _finite(study.voxel_ml),
        "spacingMm": study.spacing_mm,
        "given": {"ed": context.ed, "es": context.es},
        "warnings": context.warnings,
        "indicators": [encode_indicators(f) for f in indicators.frames] if indicators else [],
        "imageFlags": [asdict(flag) for flag in indicators.image] if indicators else [],
        "diceModels": {structure: asdict(model) for structure, model in MODELS.items()},
        "derived": derived_indices(subject),
        "ranges": {index: limits for index, limits in ranges.items() if limits},
        "tables": table_columns(),
        "file": encode_file(segmentation),
    }


def table_columns() -> dict[str, list[str]]:
    """The columns of each table that is saved."""
    tables = {"measurements.csv": patients_csv([]), "frames.csv": frames_csv([])}
    return {name: next(csv.reader([table.decode()])) for name, table in tables.items()}


def encode_indicators(frame: FrameIndicators) -> dict[str, Any]:
    """Indicators as the browser names them: structures by value where its rules have them so."""
    content = asdict(frame) | {
        "score": frame.score,
        "missing": [VALUE[s] for s in frame.missing],
        "by_structure": {VALUE[s]: values for s, values in frame.by_structure.items()},
        "predicted_dice": {VALUE[s]: dice for s, dice in frame.predicted_dice.items()},
    }
    return {_camel(name): _finite(value) for name, value in content.items()}


def derived_indices(subject: Subject) -> list[tuple[str, str | None, float]]:
    """Index of the patient's body, the one it is computed from, and the factor between them."""
    factors = indices_of_subject(dict.fromkeys(INDEX_COLUMNS, 1.0), subject)
    return [(name, _BASES.get(name, "LVSV (mL)"), factor) for name, factor in factors.items()]


def encode_file(segmentation: Segmentation) -> dict[str, Any]:
    """The head of the label map's file, and where each voxel (frame, slice, row, column) lies."""
    study = segmentation.study
    content = gzip.decompress(encode_labels(study, segmentation.labels))
    shape = study.voxels.shape
    head = content[: len(content) - math.prod(shape)]
    encoder = study.label_encoder
    axis = getattr(encoder, "slice_axis", 2)
    size = [shape[3], shape[2]]  # column, row, and the slice where the file has it
    size.insert(axis, shape[1])
    steps = np.cumprod([1, *size]).tolist()  # column fastest
    column, row = (n for n in range(3) if n != axis)
    return {
        "head": base64.b64encode(head).decode(),
        "shape": shape,
        "strides": (steps[3], steps[axis], steps[row], steps[column]),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _finite(value: Any) -> Any:
    """None in place of NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
