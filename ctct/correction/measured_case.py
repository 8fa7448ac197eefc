"""One case measured with its corrected labels, or with those of an earlier call."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctct.cases.case import Case
from ctct.correction.automatic import AutomaticResults
from ctct.correction.changes import CaseChanges, find_changes
from ctct.correction.edited_files import EditedFile
from ctct.correction.edited_result import edit_result
from ctct.correction.read_edited import read_edited
from ctct.errors import CtctError, InputError, RuntimeUnavailableError
from ctct.io.label_maps import read_labels
from ctct.measurement.papillary import LABELS
from ctct.prediction.case_files import read_case_result
from ctct.prediction.case_record import read_record
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patients import HeaderInfo, Overrides, frame_numbers, join_context
from ctct.prediction.quality_record import output_path
from ctct.prediction.run_manifest import DONE, FAILED, SKIPPED, CaseStatus
from ctct.storage import prepare_folder, strict_json, write_atomic

log = logging.getLogger(__name__)

#: The folder that says which files each label map was made from.
RECORDS = "edits"


@dataclass(frozen=True)
class MeasuredCase:
    """A case before and after the correction.

    Attributes:
        case: the case.
        header: what its scan said of the patient.
        automatic: its result by the labels of the networks.
        edited: its result now; the same where there is no correction.
        changes: what was changed; None where nothing was corrected.
        is_in_place: whether the label map of the results was corrected itself, so that the
            automatic one is gone and ``automatic`` is not of the networks either.
    """

    case: Case
    header: HeaderInfo
    automatic: CaseResult
    edited: CaseResult
    changes: CaseChanges | None
    is_in_place: bool = False


def measure_case(
    case: Case,
    files: Sequence[EditedFile],
    results: AutomaticResults,
    out: Path,
    overrides: Overrides,
    image: bool,
    papillary: str = LABELS,
) -> tuple[MeasuredCase | None, CaseStatus]:
    """Measure a case, and write its corrected label map to ``out``.

    Args:
        case: one of the results.
        files: with its corrected labels; none where it was not corrected.
        results: the automatic ones.
        out: folder for the label map, in the geometry of the automatic one.
        overrides: what the user says of the patients.
        image: read the scan too.
        papillary: what the papillary muscles count with.

    Returns:
        The case, None where it failed; and its status.

    Raises:
        CtctError: what would fail every other case too, as a full disk.
    """
    begun = time.perf_counter()
    status = CaseStatus(case.name, str(case.path), DONE)
    try:
        measured = _measure(case, files, results, out, overrides, image, papillary, status)
    except (InputError, RuntimeUnavailableError) as error:
        status.status, status.reason, measured = FAILED, str(error), None
    except CtctError:
        raise
    except Exception as error:  # one strange file must not cost the other cases
        log.debug("%s", case.name, exc_info=True)
        reason = f"{case.name}: unexpected {type(error).__name__}: {error}; run with --debug"
        status.status, status.reason, measured = FAILED, " ".join(reason.split()), None
    status.seconds["measure"] = round(time.perf_counter() - begun, 3)
    return measured, status


def _measure(
    case: Case,
    files: Sequence[EditedFile],
    results: AutomaticResults,
    out: Path,
    overrides: Overrides,
    image: bool,
    papillary: str,
    status: CaseStatus,
) -> MeasuredCase:
    record = read_record(results.folder, case.name)
    if record is None:
        raise InputError(f"{case.name}: its record is gone; run ctct predict again")
    label_order = results.tables.label_order
    automatic = read_case_result(
        *(results.folder, case, label_order, overrides),
        image=image and case.path.exists(),
        indicators=record.indicators,
        header=record.header,
        papillary=papillary,
    )
    status.slices = automatic.study.frames * automatic.study.slices
    written = output_path(results.folder, case.name)
    is_in_place = not record.was_written_to(written)
    numbers = frame_numbers(case, automatic.study.frames)
    context = join_context([case], [record.header], numbers, overrides)
    if is_in_place:
        automatic = edit_result(automatic, automatic.labels, context, {}, papillary, True)
    if not files:
        return MeasuredCase(case, record.header, automatic, automatic, None, is_in_place)
    sources = _hash_all([written, *(file.path for file in files)])
    status.output = output_path(out, case.name).name
    labels = _read_earlier(out, case.name, sources, label_order)
    if labels is not None and labels.shape == automatic.labels.shape:
        status.status = SKIPPED
    else:
        labels = read_edited(case.name, files, automatic.study, automatic.labels, label_order)
        _write(out, case.name, automatic, labels, sources, label_order)
    changes = find_changes(case.name, automatic.labels, labels, automatic.study.voxel_ml)
    edited = edit_result(automatic, labels, context, changes.dice, papillary)
    return MeasuredCase(case, record.header, automatic, edited, changes, is_in_place)


def _hash_all(paths: Sequence[Path]) -> dict[str, str]:
    """File name to hash of its content.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        return {
            f"{n}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
            for n, path in enumerate(paths)
        }
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); save it again"
        ) from error


def _record_path(out: Path, case: str) -> Path:
    return out / RECORDS / f"{case}.json"


def _write(
    out: Path,
    case: str,
    automatic: CaseResult,
    labels: npt.NDArray[np.uint8],
    sources: dict[str, str],
    label_order: str,
) -> None:
    """Write the label map, then what it was made from: without the latter it is made again."""
    content = replace(automatic, labels=labels).encode_labels(label_order)
    write_atomic(output_path(out, case), content)
    record = {"sources": sources, "label_map_sha256": hashlib.sha256(content).hexdigest()}
    path = _record_path(out, case)
    prepare_folder(path.parent)
    write_atomic(path, strict_json(record))


def _read_earlier(
    out: Path, case: str, sources: dict[str, str], label_order: str
) -> npt.NDArray[np.uint8] | None:
    """The labels that an earlier call made from the same files; None where there are none."""
    path = output_path(out, case)
    try:
        record: Any = json.loads(_record_path(out, case).read_text())
        if record["sources"] != sources:
            return None
        if hashlib.sha256(path.read_bytes()).hexdigest() != record["label_map_sha256"]:
            return None
        return read_labels(path, label_order)[1]
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
