"""Time and memory of ``ctct predict`` as a new process."""

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
from ctct.prediction.run_manifest import MANIFEST


@dataclass(frozen=True)
class ColdStart:
    """Processes that segmented one scan each.

    Attributes:
        seconds: duration of each process, from its start to its end.
        peak_memory_mb: largest memory of any of them, MiB; None where the system does not tell.
    """

    seconds: tuple[float, ...]
    peak_memory_mb: float | None

    @property
    def median_s(self) -> float:
        """Median duration in seconds."""
        return statistics.median(self.seconds)


def cold_start(
    scan: Path, rounds: int = 3, on_stage: Callable[[str], None] = lambda name: None
) -> ColdStart:
    """Run ``ctct predict SCAN --no-report`` in new processes, after one that fills the cache.

    Args:
        scan: the scan to segment.
        rounds: processes that count.
        on_stage: called before each process.

    Raises:
        CtctError: the command failed; the message ends with its output.
    """
    command = [sys.executable, "-c", "from ctct.cli.main import run; run()", "predict", str(scan)]
    seconds, memory_mb = [], []
    for number in range(rounds + 1):
        on_stage("a new process")
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            process = subprocess.run(
                [*command, "-o", out, "--no-report"], capture_output=True, text=True, check=False
            )
            duration = time.perf_counter() - start
            if process.returncode:
                raise CtctError(f"ctct predict {scan} failed: {process.stderr.strip()[-500:]}")
            manifest = json.loads((Path(out) / MANIFEST).read_text())
        if number:
            seconds.append(duration)
            memory_mb.append(manifest.get("peak_memory_mb"))
    return ColdStart(tuple(seconds), None if None in memory_mb else max(memory_mb))
