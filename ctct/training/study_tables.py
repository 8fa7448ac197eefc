"""Tables and curves of a study."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from pathlib import Path

from ctct.labels import STRUCTURES
from ctct.report.tables import csv_bytes
from ctct.training.monitor import read_metrics
from ctct.training.split import PUBLISHED_SPLIT
from ctct.training.study_result import Result

#: Mean Dice of 30 patients of ACDC with 3 and with 7 labelled ones (Luo et al., MIDL 2022, table
#: 1): of one U-Net, and for cross teaching of the pair, whose U-Net alone has 0.656 and 0.864.
PUBLISHED = {
    "labelled_only": {3: 0.512, 7: 0.764},
    "mean_teacher": {3: 0.566, 7: 0.810},
    "entropy_minimization": {3: 0.602, 7: 0.791},
    "deep_adversarial": {3: 0.528, 7: 0.795},
    "uncertainty_aware_mean_teacher": {3: 0.610, 7: 0.815},
    "interpolation_consistency": {3: 0.581, 7: 0.811},
    "cross_pseudo_supervision": {3: 0.603, 7: 0.833},
    "cross_consistency": {3: 0.586, 7: 0.816},
    "deep_co_training": {3: 0.582, 7: 0.804},
    "cross_teaching": {3: 0.688, 7: 0.875},
}
NETWORKS = {"cnn": "CNN", "transformer": "Transformer", "ensemble": "pair"}


def study_files(folder: Path, results: Sequence[Result]) -> dict[str, bytes]:
    """The content of ``study.csv``, ``study.md`` and, with matplotlib, ``curves.png``."""
    files = {"study.csv": study_csv(results), "study.md": study_markdown(results).encode()}
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return files
    return {**files, "curves.png": curves_png(folder, results)} if results else files


def study_csv(results: Sequence[Result]) -> bytes:
    """One row per run: Dice on validation and test patients, and what it cost."""
    header = [
        *("method", "labelled", "seed", "step", "minutes"),
        *(f"validation {network}" for network in NETWORKS.values()),
        *(f"test {n} {s}" for n in NETWORKS.values() for s in (*STRUCTURES, "mean")),
    ]
    rows = (
        [
            *(r.method, r.labelled, r.seed, r.step, f"{r.minutes:.1f}"),
            *(f"{r.validation[network]:.4f}" for network in NETWORKS),
            *(
                f"{value:.4f}"
                for network in (NETWORKS if r.test else ())
                for value in (*r.test[network].values(), mean(r.test[network]))
            ),
        ]
        for r in results
    )
    return csv_bytes(header, rows)


def study_markdown(results: Sequence[Result]) -> str:
    """One row per method and number of labelled patients: mean ± SD over the seeds.

    Scores of the test patients where there are any, else of the validation patients.
    """
    side = "test" if any(r.test for r in results) else "validation"
    lines = [
        f"Mean Dice per case, {side} patients, mean ± standard deviation over seeds. Published: 30",
        "patients of ACDC, 30 000 steps, one U-Net; of cross teaching, the pair (Luo et al., MIDL",
        "2022); only beside runs with the published split.",
        "",
        "| labelled | method | CNN | Transformer | pair | seeds | minutes per run | published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for labelled, method in dict.fromkeys((r.labelled, r.method) for r in results):
        runs = [r for r in results if (r.labelled, r.method) == (labelled, method)]
        cells = []
        for network in NETWORKS:
            if side == "test":
                values = [mean(r.test[network]) for r in runs if r.test]
            else:
                values = [r.validation[network] for r in runs]
            cells.append(mean_and_deviation(values))
        minutes = statistics.mean(r.minutes for r in runs)
        is_published = all(r.split == PUBLISHED_SPLIT for r in runs)
        published = PUBLISHED.get(method, {}).get(labelled) if is_published else None
        lines.append(
            f"| {labelled} | {method} | {' | '.join(cells)} | {len(runs)} | {minutes:.0f} | "
            f"{'' if published is None else f'{published:.3f}'} |"
        )
    return "\n".join(lines) + "\n"


def mean_and_deviation(values: Sequence[float]) -> str:
    """As in "0.853 ± 0.004"; without a deviation of a single value, and empty without any."""
    if not values:
        return ""
    text = f"{statistics.mean(values):.3f}"
    return f"{text} ± {statistics.stdev(values):.3f}" if len(values) > 1 else text


def mean(dice: dict[str, float]) -> float:
    """Over the structures."""
    return statistics.mean(dice.values())


def curves_png(folder: Path, results: Sequence[Result]) -> bytes:
    """Validation Dice of the pair over the steps, each method's mean over seeds. Needs matplotlib.

    One panel for each number of labelled patients.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    numbers = sorted({r.labelled for r in results})
    figure = Figure(figsize=(6 * len(numbers), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(numbers), squeeze=False, sharey=True)[0]
    for axes, labelled in zip(panels, numbers, strict=True):
        for method in dict.fromkeys(r.method for r in results):
            by_step: dict[int, list[float]] = {}
            for r in results:
                if (r.labelled, r.method) != (labelled, method):
                    continue
                for row in read_metrics(folder / f"{method}_{labelled}_seed{r.seed}"):
                    if "dice_ensemble" in row:
                        by_step.setdefault(row["step"], []).append(row["dice_ensemble"])
            if by_step:
                steps = sorted(by_step)
                axes.plot(steps, [statistics.mean(by_step[s]) for s in steps], ".-", label=method)
        axes.set_title(f"{labelled} labelled patients")
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("mean Dice per case of the pair, validation")
    panels[-1].legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
