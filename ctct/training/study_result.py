"""The result of each run of a study."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctct.errors import InputError

#: The result of a run, in its folder.
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Cell:
    """The run of a method with some labelled patients and a seed."""

    method: str
    labelled: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.method}_{self.labelled}_seed{self.seed}"


@dataclass(frozen=True)
class Result:
    """What a run of a study came to.

    Attributes:
        method: see :class:`Cell`.
        labelled: labelled patients.
        seed: of the run.
        split: how the patients were shared out, in words.
        step: at which the weights that were kept were validated.
        minutes: that the whole run took.
        validation: mean Dice per case of ``cnn``, ``transformer`` and ``ensemble`` on the
            validation patients.
        test: the same of each structure on the test patients; empty without any.
    """

    method: str
    labelled: int
    seed: int
    split: str
    step: int
    minutes: float
    validation: dict[str, float]
    test: dict[str, dict[str, float]]


def read_results(paths: Iterable[Path]) -> list[Result]:
    """Results in order of labelled patients, method and seed.

    Raises:
        InputError: one cannot be read.
    """
    results = []
    for path in paths:
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
            results.append(Result(**content))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read; delete it to score the run again") from error
    return sorted(results, key=lambda r: (r.labelled, r.method, r.seed))
