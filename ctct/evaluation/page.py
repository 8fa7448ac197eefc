"""``evaluation.html``: scores with box plots, agreement with Bland-Altman plots, every frame."""

from __future__ import annotations

import math
from importlib.metadata import version

from markupsafe import Markup

from ctct.evaluation.evaluate import Evaluation
from ctct.evaluation.matrices import score_matrices, slice_matrix
from ctct.evaluation.score import ASSD, DICE, HD95, METRICS
from ctct.evaluation.statistics import assess_agreement
from ctct.evaluation.summary import ALL, GROUPS, Findings, Quantity, pair_indices
from ctct.labels import LV, STRUCTURES
from ctct.measurement.regions import REGIONS
from ctct.report.box_plot import draw_box_plot
from ctct.report.chart import Axes, draw_chart, pad_range
from ctct.report.html import render
from ctct.report.svg import INK, SOFT, dot, label, line

#: Color of the points of a chart.
BLUE = "#0b5c9e"


def evaluation_html(findings: Findings) -> bytes:
    """The page as HTML that loads nothing."""
    evaluation = findings.evaluation

    def name_quantity(quantity: Quantity) -> str:
        metric = metric_name(quantity.metric, evaluation.unit)
        return f"{quantity.group} {quantity.structure} {metric}"

    page = render(
        "evaluation.html",
        "ctct.evaluation",
        evaluation=evaluation,
        findings=findings,
        patients=len({score.patient for score in evaluation.scores}),
        version=version("ctct"),
        name_quantity=name_quantity,
        name_metric=lambda metric: metric_name(metric, evaluation.unit),
        matrices=score_matrices(findings),
        regions=REGIONS,
        slices=slice_matrix(findings),
        box_plots=[plot for group in GROUPS if (plot := draw_dice(evaluation, group))],
        charts=[
            draw_bland_altman(evaluation, column)
            for column in (f"{LV}{index}" for index in ("EF (%)", "EDV (mL)", "ESV (mL)"))
            if column in findings.agreements and findings.agreements[column].count
        ],
        columns=[f"{s} {metric_name(m, evaluation.unit)}" for s in STRUCTURES for m in METRICS],
        left_out={
            "Not comparable": [f"{case}: {why}" for case, why in evaluation.failed.items()],
            "References without a prediction": evaluation.unpredicted,
            "Predictions without a reference": evaluation.unreferenced,
        },
    )
    return page.encode()


def draw_dice(evaluation: Evaluation, group: str) -> Markup | None:
    """Box plot of the Dice of each structure in the frames of a group; None if it has no frame."""
    scores = [score for score in evaluation.scores if group in (ALL, score.phase)]
    if not scores:
        return None
    values = {
        s: {f"{score.case}, frame {score.frame}": score.metrics[s][DICE] for score in scores}
        for s in STRUCTURES
    }
    title = "Dice of all frames" if group == ALL else f"Dice at {group}"
    return draw_box_plot(values, title, f"Box plot: {title}", BLUE)


def draw_bland_altman(evaluation: Evaluation, index: str) -> Markup:
    """Difference of prediction and reference over their mean, with bias and limits of agreement.

    After Bland and Altman, Lancet 327:307, 1986.
    """
    predicted, reference = pair_indices(evaluation, index)
    agreement = assess_agreement(predicted, reference)
    means = [(a + b) / 2 for a, b in zip(predicted, reference, strict=True)]
    differences = [a - b for a, b in zip(predicted, reference, strict=True)]
    axes = Axes(
        x=pad_range(means),
        y=pad_range([*differences, agreement.lower, agreement.upper, 0.0]),
        x_label=f"mean of both, {index}",
        y_label="prediction - reference",
    )
    shapes = []
    for value, name, color, dash in (
        (agreement.bias, "bias", INK, "none"),
        (agreement.upper, "+1.96 SD", SOFT, "5 4"),
        (agreement.lower, "-1.96 SD", SOFT, "5 4"),
    ):
        if math.isfinite(value):
            start, end = (axes.to_pixels(x, value) for x in axes.x)
            shapes.append(line(start, end, color, dash))
            shapes.append(label((end[0] - 2, end[1] - 4), f"{name} {value:.1f}", "end"))
    for patient, mean, gap in zip(evaluation.indices, means, differences, strict=True):
        if math.isfinite(mean):
            shapes.append(dot(axes.to_pixels(mean, gap), BLUE, f"{patient}: {gap:.1f}"))
    return draw_chart(axes, shapes, f"Bland-Altman plot of {index}")


def metric_name(metric: str, unit: str) -> str:
    """Name of a metric's column, with its unit."""
    return f"{metric} ({unit})" if metric in (HD95, ASSD) else metric
