"""The audit trail: who sent what when, and what became of it; without identifiers."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ctct.storage import prepare_folder

log = logging.getLogger(__name__)
_DAY_S = 86400


class Audit:
    """Writes a line of JSON per event into a file per day, forced to the disk."""

    def __init__(self, folder: Path) -> None:
        prepare_folder(folder)
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, event: str, study: str, who: str, **details: Any) -> None:
        """Write one event, to the trail and to the log.

        Args:
            event: as in "received", "segmented", "sent", "failed", "refused".
            study: hash of its UID; "" where it is about no study.
            who: sent it, or got it.
            details: further values; empty ones are left out.
        """
        now = datetime.now(UTC)
        record = {"time": now.isoformat(timespec="milliseconds"), "event": event}
        record |= {"study": study, "who": who} | {k: v for k, v in details.items() if v or v == 0}
        line = json.dumps({key: value for key, value in record.items() if value != ""})
        log.info("%s", " ".join(str(v) for k, v in record.items() if k != "time" and v != ""))
        try:
            with self._lock, (self._folder / f"{now:%Y-%m-%d}.jsonl").open("a") as stream:
                stream.write(line + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:  # a full disk stops no study that is under way
            log.error("the audit trail cannot be written: %s", error.strerror)

    def sweep(self, days: float) -> None:
        """Delete what is older."""
        for path in self._folder.glob("*.jsonl"):
            if path.stat().st_mtime < time.time() - days * _DAY_S:
                path.unlink(missing_ok=True)
