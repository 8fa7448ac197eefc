"""What ``ctct evaluate`` found, as CSV, JSON and one HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version

from ctct.io.write import strict_json
from ctct.labels import LV, STRUCTURES
from ctct.measurement.evaluate import ASSD, HD95, METRICS, Evaluation
from ctct.measurement.regions import REGIONS
from ctct.measurement.statistics import Agreement, Comparison, Summary
from ctct.measurement.summary import Quantity, agreements, index_pairs, summaries
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.report.chart import INK, SOFT, Axes, dot, label, line, padded, svg
from ctct.report.page import Markup, join, number, page, table, tag
from ctct.report.tables import csv_bytes

NOTE = "Research use only: not a medical device."


@dataclass(frozen=True)
class Findings:
    """An evaluation and what follows from it.

    Attributes:
        evaluation: scores and indices.
        averages: each quantity's summary.
        agreements: each index's agreement with the reference.
        compared_with: name of the other predictions; "" without any.
        comparisons: paired differences from them.
    """

    evaluation: Evaluation
    averages: Mapping[Quantity, Summary]
    agreements: Mapping[str, Agreement]
    compared_with: str
    comparisons: Mapping[Quantity, Comparison]

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        compared_with: str = "",
        comparisons: Mapping[Quantity, Comparison] | None = None,
    ) -> Findings:
        """Everything that follows from ``evaluation``."""
        return cls(
            evaluation,
            summaries(evaluation),
            agreements(evaluation),
            compared_with,
            comparisons or {},
        )

    def files(self) -> dict[str, bytes]:
        """The content of every output file, by name."""
        return {
            "scores.csv": scores_csv(self.evaluation),
            "indices.csv": indices_csv(self.evaluation),
            "evaluation.json": evaluation_json(self),
            "evaluation.html": evaluation_html(self),
        }


def scores_csv(evaluation: Evaluation) -> bytes:
    """A row a frame: every metric of every structure, and in which mask it was empty."""
    unit = evaluation.unit
    rows = (
        [
            *(score.patient, score.case, score.frame, score.phase, f"{score.mean_dice:.4f}"),
            *(_cell(score.metrics[s][m]) for s in STRUCTURES for m in METRICS),
            *(_cell(score.regions.get(r, {}).get(s)) for r in REGIONS for s in STRUCTURES),
            *(score.empty[s] for s in STRUCTURES),
        ]
        for score in evaluation.scores
    )
    header = [
        *("patient", "case", "frame", "phase", "mean Dice"),
        *(f"{s} {_metric(m, unit)}" for s in STRUCTURES for m in METRICS),
        *(f"{s} Dice {region}" for region in REGIONS for s in STRUCTURES),
        *(f"{s} empty in" for s in STRUCTURES),
    ]
    return csv_bytes(header, rows)


def indices_csv(evaluation: Evaluation) -> bytes:
    """A row a patient: each index by prediction and by reference."""
    header = ["patient", *(f"{c} {by}" for c in INDEX_COLUMNS for by in ("predicted", "reference"))]
    rows = (
        [patient, *(_cell(side[c]) for c in INDEX_COLUMNS for side in pair)]
        for patient, pair in evaluation.indices.items()
    )
    return csv_bytes(header, rows)


def evaluation_json(findings: Findings) -> bytes:
    """Everything, with null for what is not defined."""
    evaluation = findings.evaluation
    content = {
        "ctct": version("ctct"),
        "unit": evaluation.unit,
        "averages": [{**q._asdict(), **asdict(s)} for q, s in findings.averages.items()],
        "agreement": {column: asdict(a) for column, a in findings.agreements.items()},
        "compared_with": findings.compared_with or None,
        "comparison": [
            {**q._asdict(), **asdict(c.difference), "p": c.p}
            for q, c in findings.comparisons.items()
        ],
        "scores": [asdict(score) for score in evaluation.scores],
        "references_without_prediction": evaluation.unpredicted,
        "predictions_without_reference": evaluation.unreferenced,
        "failed": evaluation.failed,
    }
    return strict_json(content)


def evaluation_html(findings: Findings) -> bytes:
    """One page: averages, agreement of volumes with pictures, every case, what is missing."""
    evaluation = findings.evaluation
    patients = {score.patient for score in evaluation.scores}
    return page(
        "ctct evaluation",
        tag("h1", "Evaluation"),
        tag(
            "p",
            f"{len(evaluation.scores)} frames of {len(patients)} patients; distances in "
            f"{evaluation.unit}; ctct {version('ctct')}. {NOTE}",
            class_="note",
        ),
        tag("h2", "Overlap and distances"),
        tag(
            "p",
            "Over frames. The interval is of the mean, by bootstrap over patients. A mask empty on "
            "both sides has Dice 1, on one side 0; either has no distance and is counted as "
            "undefined. Base, mid and apex are thirds of the reference's left ventricle.",
            class_="note",
        ),
        _averages(findings),
        tag("h2", "Volumes and function"),
        _agreement(findings),
        _comparison(findings),
        tag("h2", "Frames, worst first"),
        _frames(evaluation),
        _missing(evaluation),
    )


def _averages(findings: Findings) -> Markup:
    rows = [
        [
            f"{q.group} {q.structure} {_metric(q.metric, findings.evaluation.unit)}",
            f"{number(s.mean, 3)} ± {number(s.sd, 3)}",
            number(s.median, 3),
            f"{number(s.low, 3)} … {number(s.high, 3)}",
            s.count,
            s.undefined,
        ]
        for q, s in findings.averages.items()
    ]
    return table(["", "mean ± SD", "median", "95 % interval", "frames", "undefined"], rows)


def _agreement(findings: Findings) -> Markup:
    if not findings.agreements:
        return tag("p", "No patient has an ED and an ES frame.", class_="note")
    rows = [
        [
            column,
            number(a.bias, 2),
            f"{number(a.lower, 2)} … {number(a.upper, 2)}",
            number(a.correlation, 3),
            a.count,
        ]
        for column, a in findings.agreements.items()
    ]
    charts = (
        bland_altman(findings.evaluation, f"{LV}{c}") for c in ("EF (%)", "EDV (mL)", "ESV (mL)")
    )
    return join(
        [
            table(["", "bias", "limits of agreement", "correlation", "patients"], rows),
            tag("div", *charts, class_="row picture"),
        ]
    )


def bland_altman(evaluation: Evaluation, column: str) -> Markup:
    """Difference over mean of prediction and reference, with bias and limits of agreement.

    After Bland and Altman, Lancet 327:307, 1986.
    """
    own, truth = index_pairs(evaluation, column)
    found = agreements(evaluation)[column]
    means = [(a + b) / 2 for a, b in zip(own, truth, strict=True)]
    gaps = [a - b for a, b in zip(own, truth, strict=True)]
    axes = Axes(
        padded(means),
        padded([*gaps, found.lower, found.upper, 0.0]),
        f"mean of both, {column}",
        "predicted - reference",
    )
    lines = []
    for value, words, dash in (
        (found.bias, "bias", "none"),
        (found.upper, "+1.96 SD", "5 4"),
        (found.lower, "-1.96 SD", "5 4"),
    ):
        if math.isfinite(value):
            start, end = axes.at(axes.x[0], value), axes.at(axes.x[1], value)
            lines.append(line(start, end, INK if dash == "none" else SOFT, dash))
            lines.append(label(end[0] - 2, end[1] - 4, f"{words} {value:.1f}", "end"))
    dots = (
        dot(axes.at(mean, gap), "#0b5c9e", f"{patient}: {gap:.1f}")
        for patient, mean, gap in zip(evaluation.indices, means, gaps, strict=True)
        if math.isfinite(mean)
    )
    return svg(axes, *lines, *dots, title=f"Bland-Altman plot of {column}")


def _comparison(findings: Findings) -> Markup:
    if not findings.comparisons:
        return Markup()
    rows = [
        [
            f"{q.group} {q.structure} {_metric(q.metric, findings.evaluation.unit)}",
            number(c.difference.mean, 4),
            f"{number(c.difference.low, 4)} … {number(c.difference.high, 4)}",
            number(c.p, 4),
            c.difference.count,
        ]
        for q, c in findings.comparisons.items()
    ]
    return join(
        [
            tag("h2", f"Compared with {findings.compared_with}"),
            tag(
                "p",
                f"These predictions - {findings.compared_with}, paired, the frames of a patient "
                "averaged; Wilcoxon's signed-rank test, not corrected for the number of rows.",
                class_="note",
            ),
            table(["", "mean difference", "95 % interval", "p", "patients"], rows),
        ]
    )


def _frames(evaluation: Evaluation) -> Markup:
    rows = [
        [
            f"{score.case} {score.phase}" if score.phase else score.case,
            score.frame,
            number(score.mean_dice, 3),
            *(number(score.metrics[s][m], 3) for s in STRUCTURES for m in METRICS),
        ]
        for score in sorted(evaluation.scores, key=lambda score: score.mean_dice)
    ]
    columns = [f"{s} {_metric(m, evaluation.unit)}" for s in STRUCTURES for m in METRICS]
    return table(["case", "frame", "mean Dice", *columns], rows)


def _missing(evaluation: Evaluation) -> Markup:
    parts: list[Markup] = []
    for title, names in (
        ("Not comparable", [f"{case}: {why}" for case, why in evaluation.failed.items()]),
        ("References without a prediction", evaluation.unpredicted),
        ("Predictions without a reference", evaluation.unreferenced),
    ):
        if names:
            parts += [tag("h2", title), tag("ul", *(tag("li", name) for name in names))]
    return join(parts)


def _metric(metric: str, unit: str) -> str:
    return f"{metric} ({unit})" if metric in (HD95, ASSD) else metric


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"
