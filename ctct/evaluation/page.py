"""The page of ``ctct evaluate``: averages, agreement of volumes with pictures, every case."""

from __future__ import annotations

import math
from importlib.metadata import version

from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.score import ASSD, HD95, METRICS
from ctct.evaluation.summary import Findings, agreements, index_pairs
from ctct.labels import LV, STRUCTURES
from ctct.report.chart import INK, SOFT, Axes, dot, label, line, padded, svg
from ctct.report.html import Markup, join, number, page, table, tag

NOTE = "Research use only: not a medical device."


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
            f"{q.group} {q.structure} {metric_name(q.metric, findings.evaluation.unit)}",
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
            f"{q.group} {q.structure} {metric_name(q.metric, findings.evaluation.unit)}",
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
    columns = [f"{s} {metric_name(m, evaluation.unit)}" for s in STRUCTURES for m in METRICS]
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


def metric_name(metric: str, unit: str) -> str:
    """The metric with its unit, as a column is called."""
    return f"{metric} ({unit})" if metric in (HD95, ASSD) else metric
