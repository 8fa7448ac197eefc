"""The node: its parts, each in a thread of its own that no study and no fault can end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from ctct.node.audit import Audit
from ctct.node.delivering import Delivering
from ctct.node.intake import Intake
from ctct.node.metrics import PREFIX, Metrics
from ctct.node.queue import DONE, FAILED, READY, RECEIVING, SEGMENTED, Queue, QueuedStudy
from ctct.node.segmenting import Segmenting
from ctct.node.settings import NodeSettings
from ctct.node.spool import Spool
from ctct.node.status_page import StatusPage
from ctct.node.watching import Watching
from ctct.node.worker import Worker
from ctct.storage import lock_folder, prepare_folder

log = logging.getLogger(__name__)

_DAY_S = 86400
_KEEP_AUDIT_DAYS = 365
_AFTER_FAULT_S = 5.0
_LOOK_S, _SEGMENT_S, _KEEP_HOUSE_S = 0.25, 0.25, 60.0


class Node:
    """A node at work, from ``with`` to its end.

    Args:
        settings: all settings.

    Raises:
        CtctError: it cannot start: a folder, port, model or certificate cannot be used.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._faults: dict[str, str] = {}
        self._ended = ExitStack()
        try:
            self._open(settings)
        except BaseException:
            self._ended.close()
            raise

    def _open(self, s: NodeSettings) -> None:
        prepare_folder(s.folder)
        if s.out:
            prepare_folder(s.out)
        self._ended.enter_context(lock_folder(s.folder))
        self.metrics = Metrics()
        self.audit = Audit(s.folder / "audit")
        self.spool = Spool(s.folder)
        self.queue = Queue(s.folder / "queue.sqlite")
        self._ended.callback(self.queue.close)
        self._recover()
        self._watching = (
            Watching(s.watched, s.quiet_s, self.queue, self.audit) if s.watched else None
        )
        self._worker = Worker(s.segmenting, s.limits.segmenting_s)
        self._ended.callback(self._worker.close)
        self._worker.start()
        parts = (self.audit, self.metrics)
        self._segmenting = Segmenting(
            self.queue, self.spool, self._worker, s.sending.names, self._find_scan, *parts
        )
        self._delivering = Delivering(self.queue, self.spool, s.sending, s.out, s.keep_days, *parts)
        self.intake = Intake(self.queue, self.spool, s.limits, *parts)
        self.listener = None
        if s.listener:
            from ctct.node.listener import Listener

            self.listener = Listener(s.listener, s.limits, self.spool, self.intake, *parts)
            self._ended.callback(self.listener.close)
        self.status_page = None
        if s.status_port is not None:
            self.status_page = StatusPage(s.status_port, self.problems, self.encode_metrics)
            self._ended.callback(self.status_page.close)

    def __enter__(self) -> Self:
        s = self.settings
        self._repeat("complete studies", _LOOK_S, lambda: self.intake.close_complete(s.quiet_s))
        self._repeat("segmenting", _SEGMENT_S, self._segment)
        self._repeat("delivering", _LOOK_S, self._delivering.deliver_due)
        self._repeat("keeping house", _KEEP_HOUSE_S, self.keep_house)
        if self._watching:
            self._repeat("watching", min(1.0, max(s.quiet_s / 2, 0.1)), self._watching.look)
        if s.polling:
            from ctct.node.polling import Polling

            polling = Polling(s.polling, s.quiet_s, s.limits, self.queue, self.spool, self.audit)
            self._repeat("polling", s.polling.interval_s, polling.poll)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; what is in work is taken up at the next start."""
        self._stop.set()
        self._worker.end()
        for thread in self._threads:
            thread.join(timeout=10)
        self._ended.close()

    def _repeat(self, name: str, pause_s: float, step: Callable[[], object]) -> None:
        """Do a step again and again in a thread; a fault is told, and ends nothing."""

        def loop() -> None:
            while not self._stop.is_set():
                wait_s = pause_s
                try:
                    step()
                    self._faults.pop(name, None)
                except Exception as error:
                    if self._stop.is_set():
                        return
                    self._faults[name] = type(error).__name__
                    self.metrics.count("errors", part=name)
                    log.error("%s: %s; tried again", name, type(error).__name__)
                    log.debug("%s", name, exc_info=True)
                    wait_s = max(pause_s, _AFTER_FAULT_S)
                self._stop.wait(wait_s)

        thread = threading.Thread(target=loop, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _segment(self) -> None:
        while not self._stop.is_set() and self._segmenting.segment_next():
            pass

    def _find_scan(self, study: QueuedStudy) -> Path:
        if self._watching:
            return self._watching.scan(study.study)
        return self.spool.images(study.id, study.study)

    def _recover(self) -> None:
        """Bring folders and queue together after a kill, a power cut, or the loss of the queue."""
        self.spool.sweep_incoming()
        for id, study in self.spool.list_ids().items():
            known = self.queue.find(id)
            if known is None and study and not id.startswith("web-"):
                if self.queue.find_receiving(study) is None:
                    self.queue.add(study, "unknown", RECEIVING, id)
            elif known is None or known.state == DONE:
                self.spool.remove(id)
            elif known.state == FAILED:
                self.spool.put_apart(id, known.reason)
            else:
                self.spool.take_back(id)
        for state in (RECEIVING, READY, SEGMENTED):
            if count := len(self.queue.in_state(state)):
                log.info("studies from the last run that are %s: %d", state, count)
        self.spool.measure()

    def keep_house(self) -> None:
        """Delete what is old; of failed studies also the oldest where room is needed."""
        limits, oldest = self.settings.limits, time.time() - self.settings.keep_days * _DAY_S
        self.spool.measure()
        if self.listener:
            self.listener.sweep()
        for study in (*self.queue.in_state(DONE), *self.queue.in_state(FAILED)):
            has_no_room = (
                self.spool.bytes > 0.9 * limits.spool_bytes
                or self.spool.free_bytes() < 2 * limits.free_bytes
            )
            if study.changed < oldest or (study.state == FAILED and has_no_room):
                self.spool.remove(study.id)
                self.queue.remove(study.id)
                self.spool.measure()
                if study.state == FAILED:
                    self.audit.write("deleted", study.study, study.sender)
        self.spool.sweep_incoming(older_s=10 * limits.idle_s)
        self.audit.sweep(_KEEP_AUDIT_DAYS)

    def problems(self) -> list[str]:
        """What is wrong now, in words; for ``/health``."""
        limits = self.settings.limits
        found = [f"{name}: {error}" for name, error in sorted(self._faults.items())]
        found += [f"{t.name}: ended" for t in self._threads if not t.is_alive()]
        if self.listener and not self.listener.is_alive():
            found.append("listener: ended")
        if self.spool.bytes >= limits.spool_bytes:
            found.append("no room: the limit of the node is reached")
        if self.spool.free_bytes() <= limits.free_bytes:
            found.append("no room: the disk is full")
        return found

    def encode_metrics(self) -> str:
        """Numbers about the node, as OpenMetrics text."""
        waiting = self.queue.in_state(READY)
        age_s = time.time() - waiting[0].begun if waiting else 0
        info = (
            f'# TYPE {PREFIX}version info\n{PREFIX}version_info{{version="{version("ctct")}"}} 1\n'
        )
        return info + self.metrics.encode(
            {
                "queued_studies": self.queue.count_states(),
                "open_deliveries": self.queue.count_deliveries(),
                "oldest_waiting_seconds": age_s,
                "spool_bytes": self.spool.bytes,
                "free_bytes": self.spool.free_bytes(),
                "faults": len(self.problems()),
            }
        )

    def retry_failed(self) -> int:
        """Take all failed studies into the work again; their number."""
        failed = self.queue.in_state(FAILED)
        for study in failed:
            self.spool.take_back(study.id)
            self.queue.retry(study.id)
        return len(failed)
