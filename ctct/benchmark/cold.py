"""How long ``ctct predict`` takes as a process of its own, and how much memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import CtctError
from ctct.predict.run_manifest import RECORD


@dataclass(frozen=True)
class ColdStart:
    """Processes that segmented one scan each.

    Attributes:
        seconds: from the start of each process to its end.
        peak_memory_mb: the most that one took, MiB; None where the system does not tell.
    """

    seconds: tuple[float, ...]
    peak_memory_mb: float | None

    @property
    def median_s(self) -> float:
        """Seconds of the median process."""
        return statistics.median(self.seconds)


def cold_start(
    scan: Path, rounds: int = 3, observe: Callable[[str], None] = lambda name: None
) -> ColdStart:
    """Run ``ctct predict SCAN --no-report`` some times, after one that fills the cache of models.

    Raises:
        CtctError: the command failed; what it said.
    """
    command = [sys.executable, "-c", "from ctct.cli.main import run; run()", "predict", str(scan)]
    seconds, memory_mb = [], []
    for number in range(rounds + 1):
        observe("a process of its own")
        with tempfile.TemporaryDirectory() as out:
            begun = time.perf_counter()
            ended = subprocess.run(
                [*command, "-o", out, "--no-report"], capture_output=True, text=True, check=False
            )
            taken = time.perf_counter() - begun
            if ended.returncode:
                raise CtctError(f"ctct predict {scan} failed: {ended.stderr.strip()[-500:]}")
            record = json.loads((Path(out) / RECORD).read_text())
        if number:
            seconds.append(taken)
            memory_mb.append(record.get("peak_memory_mb"))
    return ColdStart(tuple(seconds), None if None in memory_mb else max(memory_mb))
