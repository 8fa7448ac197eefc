"""The table of what was edited."""

from __future__ import annotations

from collections.abc import Iterable

from ctct.correction.changes import FrameChange
from ctct.prediction.results import TABLES as PREDICTED_TABLES
from ctct.report.tables import csv_bytes

EDITS = "edits.csv"
TABLES = (*PREDICTED_TABLES, EDITS)


def edits_csv(changes: Iterable[FrameChange]) -> bytes:
    """One row per frame that was changed and structure: voxels, Dice, volumes."""
    header = [
        *("case", "frame", "structure", "voxels added", "voxels removed", "Dice"),
        *("automatic (mL)", "edited (mL)", "change (mL)"),
    ]
    rows = [
        [
            *(row.case, row.frame, row.structure, row.added, row.removed, f"{row.dice:.4f}"),
            *(_format(row.automatic_ml), _format(row.edited_ml)),
            _format(row.edited_ml - row.automatic_ml),
        ]
        for row in changes
    ]
    return csv_bytes(header, rows)


def _format(value: float) -> str:
    """Millionths of a milliliter, so that a few voxels are told exactly; "" where not known."""
    return "" if value != value else f"{value:.6f}"
