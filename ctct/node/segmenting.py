"""Takes studies from the queue to results on the disk."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ctct.node.audit import Audit
from ctct.node.metrics import Metrics
from ctct.node.queue import Queue, QueuedStudy
from ctct.node.spool import Spool
from ctct.node.worker import CRASHED, FAILED, LATER, Outcome, Worker
from ctct.node.worker import SEGMENTED as IS_SEGMENTED

log = logging.getLogger(__name__)

#: A study during which the node ended this often is what ends it.
MAX_STARTS = 10
#: A study during which the worker crashed this often fails; the first time may be a lack of memory.
MAX_CRASHES = 2


class NotNowError(Exception):
    """No study can be segmented for now, as on a full disk."""


class Segmenting:
    """Segments the studies of a queue, one after the other.

    Args:
        queue: of studies.
        spool: their files.
        worker: segments.
        destinations: names of those that get the results.
        find_scan: the folder or file of a study; None where it is no more.
        audit: gets each outcome.
        metrics: counts them.
    """

    def __init__(
        self,
        queue: Queue,
        spool: Spool,
        worker: Worker,
        destinations: tuple[str, ...],
        find_scan: Callable[[QueuedStudy], Path],
        audit: Audit,
        metrics: Metrics,
    ) -> None:
        self._queue, self._spool, self._worker = queue, spool, worker
        self._destinations, self._find_scan = destinations, find_scan
        self._audit, self._metrics = audit, metrics

    def segment_next(self) -> bool:
        """Segment the oldest study that waits; False where none does.

        Raises:
            NotNowError: it cannot be segmented now, and waits.
        """
        study = self._queue.begin_next()
        if study is None:
            return False
        if self._spool.results(study.id).exists():  # the node ended just before it noted that
            self._end(study, Outcome(IS_SEGMENTED))
            return True
        digests = self._spool.hash_images(study.id, study.study)
        if self._queue.is_known(study, digests):
            self._forget(study)
            return True
        if study.starts >= MAX_STARTS:
            self._end(study, Outcome(FAILED, f"the node ended {study.starts} times during it"))
            return True
        return self._segment(study)

    def _segment(self, study: QueuedStudy) -> bool:
        begun = time.monotonic()
        work = self._spool.work(study.id, study.starts)
        outcome = self._worker.segment(self._find_scan(study), work)
        self._metrics.count("segmenting_seconds", time.monotonic() - begun)
        if outcome.kind == LATER:
            log.error("%s cannot be segmented for now: %s", study.study, outcome.reason)
            shutil.rmtree(work, ignore_errors=True)
            self._queue.put_back(study.id)
            raise NotNowError(outcome.reason)
        if outcome.kind == CRASHED and study.starts + 1 < MAX_CRASHES:
            log.error("%s: %s; tried again", study.study, outcome.reason)
            return True
        if outcome.kind == IS_SEGMENTED:
            self._spool.publish_work(study.id, work)
        self._end(study, outcome, seconds=round(time.monotonic() - begun, 1))
        return True

    def _end(self, study: QueuedStudy, outcome: Outcome, **details: float) -> None:
        if outcome.kind == IS_SEGMENTED:
            self._queue.segmented(study.id, self._destinations, outcome.reason)
        else:
            self._queue.fail(study.id, outcome.reason)
            self._spool.put_apart(study.id, outcome.reason)
        kind = IS_SEGMENTED if outcome.kind == IS_SEGMENTED else FAILED
        self._metrics.count("studies", outcome=kind)
        self._audit.write(kind, study.study, study.sender, reason=outcome.reason, **details)

    def _forget(self, study: QueuedStudy) -> None:
        """Drop a study that came again as it was: its results are made already."""
        self._spool.remove(study.id)
        self._queue.remove(study.id)
        self._metrics.count("studies", outcome="repeated")
        self._audit.write("repeated", study.study, study.sender)
