"""The table of ``ctct benchmark generalization``: for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ctct.benchmark.generalization import BAD_DICE, VOLUMES, Deviation, SetResult
from ctct.benchmark.repeatability import repeatability, repeatability_row
from ctct.evaluation.score import DICE, SliceCounts
from ctct.evaluation.summary import ALL, MEAN, Findings, Quantity
from ctct.labels import LV, RV, STRUCTURES
from ctct.measurement.quality_flags import VERDICTS
from ctct.measurement.regions import REGIONS
from ctct.report.html import number
from ctct.storage import strict_json
from ctct.synthetic.changes import CHANGES

_SHOWN = ("ctct", "model", "runtime", "processor", "cores", "date")
_INDICES = tuple(f"{v}{index}" for v in (LV, RV) for index in ("EDV (mL)", "ESV (mL)", "EF (%)"))

#: Cells without a value.
_EMPTY = dict.fromkeys(("– (–)", "– ± –", "0 + 0 of 0"), "–")

LEGEND = (
    "Dice: mean over frames (worst frame). Missed + false: slices in which a structure is labelled "
    "in the reference alone + in the prediction alone, of all slices. EDV, ESV and EF: bias, "
    "prediction - reference, ± standard deviation over patients. Verdicts: of patients as ctct "
    "predict joins scans."
)
ROBUSTNESS_LEGEND = (
    "The same scans stored in another way: mean size of the change (largest change) of EDV and ESV "
    "in percent, and of EF in points, against the unchanged scans."
)
REPEATABILITY_LEGEND = (
    "Repeatability: 1.96 √2 times the standard deviation within a patient, over the unchanged and "
    "the changed scans; of volumes and mass in percent, of EF in points. 95 of 100 differences of "
    "two such measurements of one heart are smaller. No patient was scanned twice."
)


def set_cells(result: SetResult) -> dict[str, str]:
    """The row of a set: column to cell, a dash where there is no value."""
    findings = result.findings
    cells = {
        "set": result.name,
        "patients": str(result.patients),
        "frames": str(len(findings.evaluation.scores)),
    }
    for structure in (*STRUCTURES, MEAN):
        dice = findings.averages[Quantity(ALL, structure, DICE)]
        cells[f"{structure} Dice"] = f"{number(dice.mean, 3)} ({number(dice.minimum, 3)})"
    for structure in (RV, LV):
        for phase in ("ED", "ES"):
            slices = count_slices_at(findings, phase, structure)
            cells[f"{structure} {phase} missed + false"] = (
                f"{slices.missed} + {slices.false} of {slices.present + slices.absent}"
            )
    for column in _INDICES:
        agreement = findings.agreements.get(column)
        bias, sd = (agreement.bias, agreement.sd) if agreement else (None, None)
        cells[column] = f"{number(bias)} ± {number(sd)}"
    cells[f"verdict {' / '.join(VERDICTS)}"] = " / ".join(str(result.verdicts[v]) for v in VERDICTS)
    cells[f"ok with Dice < {BAD_DICE}"] = f"{len(result.bad_but_ok)} of {result.bad}"
    cells["not scored"] = str(len(result.failed))
    return {column: _EMPTY.get(cell, cell) for column, cell in cells.items()}


def count_slices_at(findings: Findings, phase: str, structure: str) -> SliceCounts:
    """Missed and false slices of a structure at ED or ES, over all regions."""
    counts = (findings.slices.get((phase, region, structure)) for region in REGIONS)
    return reduce(SliceCounts.add, filter(None, counts), SliceCounts())


def robustness_rows(result: SetResult) -> list[dict[str, str]]:
    """A row per change; none without deviations."""
    rows = []
    for change in CHANGES:
        deviations = [d for d in result.deviations if d.change == change]
        if deviations:
            cells = {"set": result.name, "change": change, "patients": str(len(deviations))}
            for ventricle in (LV, RV):
                percent, points = pool_deviations(deviations, ventricle)
                cells[f"{ventricle} volumes (%)"] = _summarize(percent)
                cells[f"{ventricle}EF (points)"] = _summarize(points)
            rows.append(cells)
    return rows


def pool_deviations(
    deviations: Iterable[Deviation], ventricle: str
) -> tuple[list[float], list[float]]:
    """Changes of EDV and ESV in percent, and of EF in points, of one ventricle of all patients."""
    percent: list[float] = []
    points: list[float] = []
    for deviation in deviations:
        percent += [deviation.percent[column] for column in VOLUMES if column.startswith(ventricle)]
        points.append(deviation.points[f"{ventricle}EF (%)"])
    return percent, points


def _summarize(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return "–"
    return f"{np.mean(np.abs(known)):.1f} ({max(known, key=abs):+.1f})"


def notes(result: SetResult) -> list[str]:
    """What the row does not say: what is not labelled, what failed, and what is rated wrongly."""
    frames = len(result.findings.evaluation.scores)
    lines = [
        f"{structure} is not labelled in {count} of {frames} frames, and not scored there"
        for structure, count in result.findings.unlabelled.items()
    ]
    lines += [f"rated ok with Dice < {BAD_DICE}: {frame}" for frame in result.bad_but_ok]
    lines += [f"not scored: {case}: {reason}" for case, reason in result.failed.items()]
    return [f"{result.name}: {line}" for line in lines]


def terminal_lines(results: Sequence[SetResult]) -> list[str]:
    """The tables and notes for a terminal, which is too narrow for a set per line."""
    rows = [list(cells) for cells in zip(*_as_cells(map(set_cells, results)), strict=True)]
    lines = [*align(rows), "", LEGEND]
    if changed := [row for result in results for row in robustness_rows(result)]:
        lines += ["", *align(_as_cells(changed)), "", ROBUSTNESS_LEGEND]
        repeated = [repeatability_row(r.name, r.deviations) for r in results if r.deviations]
        lines += ["", *align(_as_cells(repeated)), "", REPEATABILITY_LEGEND]
    said = [note for result in results for note in notes(result)]
    return [*lines, "", *said] if said else lines


def _as_cells(rows: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """The cells of a table, with the names of the columns as its first row."""
    rows = list(rows)
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line per row, with columns of even width: the first to the left, the others to the right.

    >>> align([["set", "frames"], ["chla", "4"]])
    ['set   frames', 'chla       4']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def as_markdown(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """A table in Markdown, a line per row."""
    header, *cells = _as_cells(rows)
    lines = [header, ["---"] * len(header), *cells]
    return ["| " + " | ".join(map(_escape, line)) + " |" for line in lines]


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def generalization_files(
    results: Sequence[SetResult], unusable: Mapping[Path, str], about: Mapping[str, Any]
) -> dict[str, bytes]:
    """The content of every output file, by name.

    Args:
        results: of each set.
        unusable: folder to the reason why there is no result.
        about: model, machine and versions.
    """
    content = {
        **about,
        "sets": [_set_values(result) for result in results],
        "unusable": {str(folder): reason for folder, reason in unusable.items()},
    }
    robustness = [row for result in results for row in robustness_rows(result)]
    lines = [
        "# Generalization",
        "",
        *(f"- {key}: {_escape(str(about[key]))}" for key in _SHOWN if key in about),
        "",
        *as_markdown([set_cells(result) for result in results]),
        "",
        LEGEND,
    ]
    if robustness:
        lines += ["", *as_markdown(robustness), "", ROBUSTNESS_LEGEND]
        repeated = [repeatability_row(r.name, r.deviations) for r in results if r.deviations]
        lines += ["", *as_markdown(repeated), "", REPEATABILITY_LEGEND]
    said = [note for result in results for note in notes(result)]
    said += [f"{folder}: {reason}" for folder, reason in unusable.items()]
    if said:
        lines += ["", *(f"- {_escape(note)}" for note in said)]
    return {
        "generalization.json": strict_json(content),
        "generalization.md": ("\n".join(lines) + "\n").encode(),
    }


def _set_values(result: SetResult) -> dict[str, Any]:
    findings = result.findings
    return {
        "name": result.name,
        "folder": str(result.folder),
        "patients": result.patients,
        "frames": len(findings.evaluation.scores),
        "dice": {
            structure: asdict(findings.averages[Quantity(ALL, structure, DICE)])
            for structure in (*STRUCTURES, MEAN)
        },
        "slices": {
            structure: {
                phase: count_slices_at(findings, phase, structure)._asdict()
                for phase in ("ED", "ES")
            }
            for structure in STRUCTURES
        },
        "agreement": {
            column: {**asdict(a), "sd": a.sd} for column, a in findings.agreements.items()
        },
        "frames_not_labelled": findings.unlabelled,
        "verdicts": result.verdicts,
        "max_bad_dice": BAD_DICE,
        "bad_frames": result.bad,
        "bad_frames_rated_ok": result.bad_but_ok,
        "failed": result.failed,
        "robustness": [asdict(deviation) for deviation in result.deviations],
        "repeatability": repeatability(result.deviations),
    }
