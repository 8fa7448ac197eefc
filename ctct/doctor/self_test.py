"""The synthetic cine through the bundled model, and the numbers that must come out.

``python -m ctct.doctor.self_test`` prints the outcome as JSON: a process of its own, because a
library that does not fit the machine may end it or never return.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from ctct.errors import CtctError

#: Indices of two frames of the synthetic cine, by the bundled model.
EXPECTED = {
    "LVEDV (mL)": 156.1,
    "LVESV (mL)": 108.0,
    "LVEF (%)": 30.8,
    "RVEDV (mL)": 160.3,
    "RVESV (mL)": 113.3,
    "RVEF (%)": 29.3,
    "LVM (g)": 119.7,
}
#: How far runtimes and precisions may be from them; those tested are within a fifth of it.
TOLERANCE = {"mL": 1.0, "g": 1.0, "%": 0.5}
#: Seconds after which the process is ended; it takes three on two cores.
DEADLINE_S = 60.0


def run_self_test(deadline_s: float = DEADLINE_S) -> dict[str, Any]:
    """Segment the cine in another process.

    Returns:
        "runtime", "device", "seconds" and "indices"; or "error", why there is no result.
    """
    # As found by this process; -P, because a folder may hold another ctct.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ctct.doctor.self_test"],
            capture_output=True,
            text=True,
            timeout=deadline_s,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {deadline_s:.0f} s"}
    except OSError as error:
        return {"error": f"{sys.executable}: cannot be started ({error.strerror})"}
    try:
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"error": f"the process ended with {_end(done.returncode)}"}
    return outcome


def deviations(indices: Mapping[str, float]) -> list[str]:
    """The indices that are not as expected, in words."""
    return [
        f"{name} is {indices.get(name, float('nan')):.1f}, expected {value} ± {tolerance}"
        for name, value in EXPECTED.items()
        if not abs(indices.get(name, float("nan")) - value)
        <= (tolerance := TOLERANCE[name.split("(")[1].rstrip(")")])
    ]


def _end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _segment() -> dict[str, Any]:
    started = time.monotonic()
    try:
        from ctct.api.functions import sample_study
        from ctct.api.model import load_model

        model = load_model()
        result = model.segment(sample_study(frames=2))
    except CtctError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "runtime": model.runtime,
        "device": model.device,
        "seconds": round(time.monotonic() - started, 1),
        "indices": {name: round(result.indices[name], 2) for name in EXPECTED},
    }


if __name__ == "__main__":
    print(json.dumps(_segment()))  # noqa: T201
