"""A chart of measured speeds."""

from __future__ import annotations

import io
from collections.abc import Sequence

from ctct.benchmark.timing import Timing


def speed_png(timings: Sequence[Timing]) -> bytes:
    """PNG of a bar chart of slices per second, the first being the reference. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.8 + 0.5 * len(timings)), layout="constrained")
    axes = figure.subplots()
    rates = [timing.rate for timing in timings]
    colors = ["#9aa0a6", *["#1a73e8"] * (len(timings) - 1)]
    bars = axes.barh([timing.name for timing in timings], rates, color=colors)
    captions = [f"{rate:.1f}  ({rate / rates[0]:.1f}×)" for rate in rates]
    axes.bar_label(bars, captions, padding=4)
    axes.set_xlim(0, 1.25 * max(rates))
    axes.set_xlabel("slices per second")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
