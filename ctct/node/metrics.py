"""Numbers about the node, as OpenMetrics text (https://openmetrics.io)."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping

_Labels = tuple[tuple[str, str], ...]
PREFIX = "ctct_node_"
#: Name of each counter to its help.
COUNTERS = {
    "instances": "Images that were sent to the node, by the status of the answer.",
    "associations": "Associations that ended, by how.",
    "studies": "Studies, by what became of them.",
    "deliveries": "Results sent, by outcome.",
    "segmenting_seconds": "Time spent on segmenting.",
    "errors": "Faults in the node's own loops.",
}


class Metrics:
    """Counters; threads may share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, _Labels], float] = defaultdict(float)

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to one of :data:`COUNTERS`."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += by

    def value(self, name: str, **labels: str) -> float:
        """The value of a counter so far."""
        with self._lock:
            return self._counts.get((name, tuple(sorted(labels.items()))), 0)

    def encode(self, gauges: Mapping[str, Mapping[str, float] | float]) -> str:
        """All counters, and gauges by name; one with several values has them by state."""
        with self._lock:
            counts = dict(self._counts)
        lines = []
        for name, words in COUNTERS.items():
            lines += [f"# TYPE {PREFIX}{name} counter", f"# HELP {PREFIX}{name} {words}"]
            lines += [
                f"{PREFIX}{name}_total{_encode_labels(labels)} {value:g}"
                for (counter, labels), value in sorted(counts.items())
                if counter == name
            ]
        for name, values in gauges.items():
            lines.append(f"# TYPE {PREFIX}{name} gauge")
            if isinstance(values, Mapping):
                lines += [f'{PREFIX}{name}{{state="{s}"}} {v:g}' for s, v in values.items()]
            else:
                lines.append(f"{PREFIX}{name} {values:g}")
        return "\n".join((*lines, "# EOF", ""))


def _encode_labels(labels: _Labels) -> str:
    """Labels of fixed words, which need no escapes."""
    inner = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{inner}}}" if labels else ""
