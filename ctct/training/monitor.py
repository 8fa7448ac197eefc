"""What can be seen of a run while it goes: a table, curves, pictures, TensorBoard."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import torch

from ctct.models.graph import SegmentationGraph
from ctct.storage import write_atomic
from ctct.training.config import TrainingConfig
from ctct.training.cross_teaching import pseudo_labels
from ctct.training.pictures import curves_png, teaching_png
from ctct.training.step import TrainingBatch

log = logging.getLogger(__name__)

METRICS_FILE, CURVES_FILE, PICTURES = "metrics.csv", "curves.png", "pictures"
COLUMNS = (
    *("step", "supervised", "crossed", "cross_teaching_weight", "cnn_rate", "steps_per_s"),
    *("dice_cnn", "dice_transformer", "dice_ensemble"),
)


class Monitor:
    """Writes ``metrics.csv``, ``curves.png``, ``pictures/`` and TensorBoard's files of a run.

    Optional packages that are not installed are done without, and named in one line.

    Args:
        folder: of the run.
        step: where the run goes on; rows of ``metrics.csv`` beyond it are dropped.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.folder = folder
        self.rows = [row for row in read_metrics(folder) if row["step"] <= step]
        self._write()
        missing = []
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except ImportError:
            self._board = None
            missing.append("tensorboard")
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            missing.append("matplotlib")
        if missing:
            log.info("done without %s, not installed", " and ".join(missing))
        self._curves = "matplotlib" not in missing

    def record(self, step: int, **values: float) -> None:
        """Add a row; a second one of the same step joins the first."""
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1] |= values
        else:
            self.rows.append({"step": step, **values})
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        self._write()

    @torch.no_grad()
    def picture(
        self, step: int, batch: TrainingBatch, teachers: SegmentationGraph, config: TrainingConfig
    ) -> None:
        """``pictures/step_000500.png``: a few slices of a batch and what the pair makes of them."""
        shown = batch.weak.shape[0]
        own, other = (net(batch.weak).float().softmax(1) for net in _networks(teachers))
        labels, counts = pseudo_labels(own, other, config.other_teacher_share, config.confidence)
        png = teaching_png(
            batch.weak[:, 0].cpu().numpy(),
            [label.cpu().numpy() for label in batch.labels],
            own.argmax(1).cpu().numpy(),
            other.argmax(1).cpu().numpy(),
            labels.cpu().numpy() * counts.cpu().numpy().astype("int64"),
            (0.5 * (own - other).abs().sum(1)).cpu().numpy(),
            most=min(shown, 8),
        )
        (self.folder / PICTURES).mkdir(exist_ok=True)
        write_atomic(self.folder / PICTURES / f"step_{step:06d}.png", png)

    def curves(self) -> None:
        """``curves.png``: losses and validation Dice over the run."""
        if self._curves:
            write_atomic(self.folder / CURVES_FILE, curves_png(self.rows))

    def close(self) -> None:
        """Flush what is not written yet."""
        if self._board:
            self._board.close()

    def _write(self) -> None:
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({k: v if k == "step" else f"{v:.6g}" for k, v in row.items()})
        write_atomic(self.folder / METRICS_FILE, table.getvalue().encode())


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.csv``, numbers as numbers, without the empty cells."""
    path = folder / METRICS_FILE
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {k: int(v) if k == "step" else float(v) for k, v in row.items() if v}
            for row in csv.DictReader(file)
        ]


def _networks(graph: SegmentationGraph) -> tuple[torch.nn.Module, torch.nn.Module]:
    return graph.cnn, graph.transformer
