"""Which patients of a folder of results are worth correcting first; what ``ctct next`` lists.

First those with the gravest verdict, then those whose predicted Dice is lowest. The verdict holds
what the labels, the numbers and the scan give to doubt, and where the scan differs from the
training scans; the predicted Dice holds how far the networks disagree. ``ctct benchmark next`` says
what correcting in this order gains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ctct.correction.automatic import read_latest_manifest
from ctct.correction.find_corrections import find_corrections, is_edited_in_place
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import OK, VERDICTS
from ctct.prediction.results import TableOptions, join_entries, list_entries
from ctct.report.tables import csv_bytes


@dataclass(frozen=True)
class Candidate:
    """A patient to correct.

    Attributes:
        patient: the name.
        cases: names of the scans that hold ED and ES, or the only frame.
        verdict: "ok", "review" or "reject".
        dice: mean over the structures of the Dice that they probably have, of each the lower one of
            ED and ES; NaN where it is not known, as of a single network.
        reason: why, in words: the flags, or which structure is the least sure.
    """

    patient: str
    cases: tuple[str, ...]
    verdict: str
    dice: float
    reason: str


def rank_patients(patients: Iterable[PatientResult]) -> list[Candidate]:
    """The patients, the one most worth correcting first."""
    return sorted(map(_candidate, patients), key=_urgency)


def _candidate(patient: PatientResult) -> Candidate:
    m, judgement = patient.measurements, patient.judgement
    shown = [m.frames[number].name for number in (m.phases or {"": 0}).values()]
    dice = judgement.predicted_dice
    reasons = [flag.reason for flag in judgement.flags if flag.level != OK]
    if dice and not reasons:
        weakest = min(dice, key=lambda structure: dice[structure])
        reasons = [f"no flag; least sure is {weakest}, Dice of about {dice[weakest]:.2f} expected"]
    return Candidate(
        patient.name,
        tuple(dict.fromkeys(shown)),
        judgement.verdict,
        sum(dice.values()) / len(dice) if dice else math.nan,
        "; ".join(reasons) or "no flag",
    )


def _urgency(candidate: Candidate) -> tuple[float, float, str]:
    """Smaller for what comes first; where the Dice is not known, nothing vouches for the labels."""
    dice = 0.0 if math.isnan(candidate.dice) else candidate.dice
    return -VERDICTS.index(candidate.verdict), dice, candidate.patient


def list_next(results: Path) -> tuple[list[Candidate], int]:
    """The patients to correct, the most worthwhile first, and how many are corrected.

    Args:
        results: folder that ``ctct predict`` wrote.

    Raises:
        InputError: it did not.
    """
    options = TableOptions.from_json(read_latest_manifest(results).get("tables", {}))
    entries = list(list_entries(results))
    patients = join_entries(entries, options, pictures=False)
    files, _ = find_corrections(results, {entry.case: entry.patient for entry in entries})
    candidates, corrected = [], 0
    for candidate in rank_patients(patients):
        done = all(case in files or is_edited_in_place(results, case) for case in candidate.cases)
        corrected += done
        candidates += [] if done else [candidate]
    return candidates, corrected


def candidates_csv(candidates: Iterable[Candidate]) -> bytes:
    """One row per patient, in the order given."""
    header = ("rank", "patient", "cases", "verdict", "predicted Dice", "reason")
    rows = [
        (rank, c.patient, " ".join(c.cases), c.verdict, _format(c.dice), c.reason)
        for rank, c in enumerate(candidates, 1)
    ]
    return csv_bytes(header, rows)


def _format(dice: float) -> str:
    return "" if math.isnan(dice) else f"{dice:.3f}"
