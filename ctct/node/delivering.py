"""Brings results to their destinations, and ends a study once all have them."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from ctct.node.audit import Audit
from ctct.node.metrics import Metrics
from ctct.node.queue import SEGMENTED, Delivery, Queue, QueuedStudy
from ctct.node.sending import SendingError, send_results
from ctct.node.settings import SendingSettings
from ctct.node.spool import Spool

log = logging.getLogger(__name__)

#: Pause after a first failure, and the longest.
_FIRST_PAUSE_S, _MAX_PAUSE_S = 5.0, 600.0
_DAY_S = 86400


class Delivering:
    """Delivers the results of a queue.

    Args:
        queue: of studies.
        spool: their files.
        settings: of the destinations.
        out: where results are kept; None: nowhere.
        keep_days: how long a destination may be down.
        audit: gets each delivery.
        metrics: counts them.
    """

    def __init__(
        self,
        queue: Queue,
        spool: Spool,
        settings: SendingSettings,
        out: Path | None,
        keep_days: float,
        audit: Audit,
        metrics: Metrics,
    ) -> None:
        self._queue, self._spool, self._settings, self._out = queue, spool, settings, out
        self._keep_days, self._audit, self._metrics = keep_days, audit, metrics

    def deliver_due(self) -> None:
        """Try what is due, and end the studies of which nothing is open."""
        down: set[str] = set()  # one attempt per round is enough to see that
        for delivery in self._queue.due_deliveries():
            if delivery.destination not in down and not self._deliver(delivery):
                down.add(delivery.destination)
        for study in self._queue.in_state(SEGMENTED):
            if not self._queue.undelivered(study.id):
                self._end(study)

    def _deliver(self, delivery: Delivery) -> bool:
        """Whether the destination can be reached."""
        study = self._queue.find(delivery.id)
        if study is None:
            return True
        try:
            self._send(study, delivery)
        except SendingError as error:
            self._metrics.count("deliveries", outcome="refused" if error.is_final else "postponed")
            self._handle(study, delivery, error)
            return error.is_final
        self._queue.delivered(delivery)
        self._metrics.count("deliveries", outcome="sent")
        self._audit.write("sent", study.study, delivery.destination)
        return True

    def _send(self, study: QueuedStudy, delivery: Delivery) -> None:
        try:
            send_results(self._files(study), delivery.destination, self._settings)
        except SendingError:
            raise
        except Exception as error:  # one strange result must not keep the others
            log.debug("%s", study.study, exc_info=True)
            raise SendingError(f"unexpected {type(error).__name__}") from error

    def _files(self, study: QueuedStudy) -> list[Path]:
        return sorted(self._spool.results(study.id).rglob("*.dcm"))

    def _handle(self, study: QueuedStudy, delivery: Delivery, error: SendingError) -> None:
        reason = f"{delivery.destination}: {error}"
        if error.is_final or time.time() - study.changed > self._keep_days * _DAY_S:
            self._queue.fail(study.id, reason)
            self._spool.put_apart(study.id, reason)
            self._audit.write("failed", study.study, delivery.destination, reason=reason)
            return
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** min(delivery.attempts, 20), _MAX_PAUSE_S)
        self._queue.postpone(delivery, pause_s, str(error))
        log.warning("%s waits: %s; tried again in %.0f s", study.study, reason, pause_s)

    def _end(self, study: QueuedStudy) -> None:
        """Keep the results where that is asked for, and delete the rest."""
        if self._out:
            self._keep(study, self._out / study.study)
        self._queue.done(study.id)
        self._spool.remove(study.id)
        self._audit.write("deleted", study.study, study.sender)

    def _keep(self, study: QueuedStudy, target: Path) -> None:
        results = self._spool.results(study.id)
        if not results.exists():  # the node ended after it had moved them
            return
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(results, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
