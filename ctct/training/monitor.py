"""The progress of a run, for people: losses, a table, curves, pictures, TensorBoard."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import torch

from ctct.errors import CtctError
from ctct.models.graph import SegmentationGraph
from ctct.storage import write_atomic
from ctct.training.config import UnlabelledSettings
from ctct.training.data.batch import TrainingBatch
from ctct.training.data.slices import SliceSet
from ctct.training.methods.cross_teaching import pseudo_labels
from ctct.training.pictures import curves_png, teaching_png
from ctct.training.step import StepLosses

log = logging.getLogger(__name__)

METRICS_FILE, CURVES_FILE, PICTURES = "metrics.csv", "curves.png", "pictures"
COLUMNS = (
    *("step", "loss_labelled", "loss_unlabelled", "unlabelled_weight", "cnn_rate"),
    *("steps_per_s", "dice_cnn", "dice_transformer", "dice_ensemble"),
)
#: Columns of runs of version 0.1.
_FORMER_COLUMNS = {
    "supervised": "loss_labelled",
    "crossed": "loss_unlabelled",
    "cross_teaching_weight": "unlabelled_weight",
    "cross_weight": "unlabelled_weight",
}


class DivergedError(CtctError):
    """The loss is no longer a number."""


class RecentLosses:
    """Losses since the last look at them.

    They stay on the device: reading one waits for the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._none = torch.full((), -1, device=device)
        self._zeros = torch.zeros(2, device=device)
        self._first_bad = self._none  # the first step whose loss is not finite, or -1
        self.clear()

    def clear(self) -> None:
        """Forget the steps so far."""
        self._sums = self._zeros
        self._numbers: dict[int, tuple[torch.Tensor, ...]] = {}

    def add(self, step: int, losses: StepLosses, batch: TrainingBatch) -> None:
        """Add the losses of a step."""
        is_bad = ~losses.total.detach().isfinite()
        self._first_bad = torch.where((self._first_bad < 0) & is_bad, step, self._first_bad)
        self._sums = self._sums + torch.stack((losses.labelled, losses.unlabelled))
        self._numbers[step] = batch.numbers

    def means(self) -> tuple[float, float]:
        """Mean loss of labelled and of unlabelled slices."""
        labelled, unlabelled = (self._sums / len(self._numbers)).tolist()
        return labelled, unlabelled

    def check(self, *sets: SliceSet) -> None:
        """Refuse a loss that is not a number.

        Raises:
            DivergedError: names the slices of that batch, which are of these ``sets``.
        """
        step = int(self._first_bad.item())
        if step < 0:
            return
        names = [
            slices.names[i]
            for slices, numbers in zip(sets, self._numbers[step], strict=False)
            for i in numbers.tolist()
        ]
        raise DivergedError(
            f"the loss of step {step} is not a number; its batch was {', '.join(names)}; look at "
            "these scans, or start again with smaller --cnn-rate and --transformer-rate, or "
            "--precision fp32"
        )


class Monitor:
    """Writes ``metrics.csv``, ``curves.png``, ``pictures/`` and TensorBoard's files of a run.

    Where an optional package is not installed, its part is left out and one line says so.

    Args:
        folder: of the run.
        step: at which the run continues; later rows of ``metrics.csv`` are dropped.
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
            log.info("without %s, not installed", " and ".join(missing))
        self._curves = "matplotlib" not in missing

    def record(self, step: int, **values: float) -> None:
        """Add a row to the table; a second call for the same step adds to its row."""
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
        self,
        step: int,
        batch: TrainingBatch,
        teachers: SegmentationGraph,
        settings: UnlabelledSettings,
    ) -> None:
        """``pictures/step_000500.png``: slices of a batch and what the pair teaches on them."""
        with teachers.on_grid(batch.images.shape[-1]):
            cnn, transformer = (
                network(batch.images).float().softmax(1)
                for network in (teachers.cnn, teachers.transformer)
            )
        labels, counts = pseudo_labels(
            cnn, transformer, settings.other_teacher_share, settings.confidence
        )
        png = teaching_png(
            batch.images[:, 0].cpu().numpy(),
            [label.cpu().numpy() for label in batch.labels],
            cnn.argmax(1).cpu().numpy(),
            transformer.argmax(1).cpu().numpy(),
            labels.cpu().numpy() * counts.cpu().numpy().astype("int64"),
            (0.5 * (cnn - transformer).abs().sum(1)).cpu().numpy(),
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
            {
                _FORMER_COLUMNS.get(name, name): int(value) if name == "step" else float(value)
                for name, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]
