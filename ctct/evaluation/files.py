"""Output files of ``ctct evaluate``: CSV, JSON and the page of :mod:`ctct.evaluation.page`."""

from __future__ import annotations

import math
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.page import evaluation_html, metric_name
from ctct.evaluation.score import METRICS, VolumeScore
from ctct.evaluation.summary import Findings
from ctct.labels import STRUCTURES
from ctct.measurement.regions import REGIONS
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.report.tables import csv_bytes
from ctct.storage import strict_json


def evaluation_files(findings: Findings) -> dict[str, bytes]:
    """The content of every output file, by name."""
    return {
        "scores.csv": scores_csv(findings.evaluation),
        "indices.csv": indices_csv(findings.evaluation),
        "evaluation.json": evaluation_json(findings),
        "evaluation.html": evaluation_html(findings),
    }


def scores_csv(evaluation: Evaluation) -> bytes:
    """One row per frame: metrics, wrong slices and empty masks of each structure."""
    unit = evaluation.unit
    rows = (
        [
            *(score.patient, score.case, score.frame, score.phase, f"{score.mean_dice:.4f}"),
            *(_format(score.metrics[s][m]) for s in STRUCTURES for m in METRICS),
            *(_format(score.regions.get(r, {}).get(s)) for r in REGIONS for s in STRUCTURES),
            *(
                getattr(score.slices.get(r, {}).get(s), kind, "")
                for r in REGIONS
                for s in STRUCTURES
                for kind in ("missed", "false")
            ),
            *(score.empty[s] for s in STRUCTURES),
        ]
        for score in evaluation.scores
    )
    header = [
        *("patient", "case", "frame", "phase", "mean Dice"),
        *(f"{s} {metric_name(m, unit)}" for s in STRUCTURES for m in METRICS),
        *(f"{s} Dice {region}" for region in REGIONS for s in STRUCTURES),
        *(
            f"{s} {kind} slices {region}"
            for region in REGIONS
            for s in STRUCTURES
            for kind in ("missed", "false")
        ),
        *(f"{s} empty in" for s in STRUCTURES),
    ]
    return csv_bytes(header, rows)


def indices_csv(evaluation: Evaluation) -> bytes:
    """One row per patient: each index by prediction and by reference."""
    header = [
        "patient",
        *(f"{c} {source}" for c in INDEX_COLUMNS for source in ("predicted", "reference")),
    ]
    rows = (
        [patient, *(_format(indices[c]) for c in INDEX_COLUMNS for indices in pair)]
        for patient, pair in evaluation.indices.items()
    )
    return csv_bytes(header, rows)


def evaluation_json(findings: Findings) -> bytes:
    """All results; null where a value is undefined."""
    evaluation = findings.evaluation
    content = {
        "ctct": version("ctct"),
        "unit": evaluation.unit,
        "averages": [{**q._asdict(), **asdict(s)} for q, s in findings.averages.items()],
        "slices": [
            {
                **dict(zip(("group", "region", "structure"), place, strict=True)),
                **counts._asdict(),
                "missed_rate": counts.missed_rate,
                "false_rate": counts.false_rate,
            }
            for place, counts in findings.slices.items()
        ],
        "frames_not_labelled": findings.unlabelled,
        "agreement": {column: asdict(a) for column, a in findings.agreements.items()},
        "compared_with": findings.compared_with or None,
        "comparison": [
            {**q._asdict(), **asdict(c.difference), "p": c.p}
            for q, c in findings.comparisons.items()
        ],
        "scores": [_score_values(score) for score in evaluation.scores],
        "references_without_prediction": evaluation.unpredicted,
        "predictions_without_reference": evaluation.unreferenced,
        "failed": evaluation.failed,
    }
    return strict_json(content)


def _score_values(score: VolumeScore) -> dict[str, Any]:
    slices = {
        region: {structure: counts._asdict() for structure, counts in by_structure.items()}
        for region, by_structure in score.slices.items()
    }
    return {**asdict(score), "slices": slices}


def _format(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"
