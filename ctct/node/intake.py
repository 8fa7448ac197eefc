"""Taking images in, and telling when a study is complete.

A study is complete once the associations that stored into it have ended and none has stored into it
for a while. If one of them broke off, the sender is expected to send the study again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path

from ctct.node.audit import Audit
from ctct.node.hashes import hash_uid
from ctct.node.metrics import Metrics
from ctct.node.queue import RECEIVING, Queue, QueuedStudy
from ctct.node.settings import Limits
from ctct.node.spool import OtherContentError, Spool

log = logging.getLogger(__name__)

#: Statuses of C-STORE (PS3.4, B.2.3, and PS3.7, annex C).
SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
DUPLICATE = 0x0111

_OTHER_PIXELS = "an instance came twice with different content; the first was kept"
_TOO_LARGE = "more images than the node takes"


@dataclass
class _Arrival:
    """What this process knows of a study that is being received.

    Attributes:
        last: when an image came, on the monotonic clock.
        open: associations that stored into it and have not ended.
        instances: number of images.
        bytes: their size.
    """

    last: float
    open: set[Hashable] = field(default_factory=set)
    instances: int = 0
    bytes: int = 0


class Intake:
    """Takes images into the spool; threads may share it."""

    def __init__(
        self, queue: Queue, spool: Spool, limits: Limits, audit: Audit, metrics: Metrics
    ) -> None:
        self._queue, self._spool, self._limits = queue, spool, limits
        self._audit, self._metrics = audit, metrics
        self._lock = threading.Lock()
        self._arrivals: dict[str, _Arrival] = {}
        self._given_up: set[tuple[Hashable, str]] = set()  # associations and studies

    def store(self, received: Path, association: Hashable, sender: str, instance_uid: str) -> int:
        """Take an image in.

        Args:
            received: a DICOM file in the spool's folder for them.
            association: it came by.
            sender: AE title and address.
            instance_uid: SOPInstanceUID of the request.

        Returns:
            The status of C-STORE. On success the image is on the disk.
        """
        status = self._store(received, association, sender, instance_uid)
        self._metrics.count("instances", status=f"{status:04X}")
        return status

    def _store(self, received: Path, association: Hashable, sender: str, uid: str) -> int:
        try:
            study_uid, own_uid = read_uids(received)
        except Exception:  # pydicom raises any of them on damaged files
            return CANNOT_UNDERSTAND
        if not study_uid or not own_uid:
            return CANNOT_UNDERSTAND
        if own_uid != uid:
            return MISMATCH
        if not self._has_room():
            return OUT_OF_RESOURCES
        try:
            _force_to_disk(received)
            with self._lock:
                return self._take(received, association, sender, hash_uid(study_uid), hash_uid(uid))
        except Exception as error:  # of the disk, or of the queue on it
            log.error("an image cannot be stored: %s", type(error).__name__)
            return OUT_OF_RESOURCES

    def _has_room(self) -> bool:
        return (
            self._spool.bytes < self._limits.spool_bytes
            and self._spool.free_bytes() > self._limits.free_bytes
        )

    def _take(
        self, received: Path, association: Hashable, sender: str, study: str, instance: str
    ) -> int:
        if (association, study) in self._given_up:  # the rest alone would look like a whole study
            return OUT_OF_RESOURCES
        found = self._queue.find_receiving(study)
        id = found.id if found else self._queue.add(study, sender, RECEIVING)
        arrival = self._arrival(id, study)
        if association not in arrival.open:
            self._queue.mark_broken(id, True)  # until it ends well
            arrival.open.add(association)
        arrival.last = time.monotonic()
        limits = self._limits
        if arrival.instances >= limits.instances or arrival.bytes >= limits.study_bytes:
            self._queue.add_remark(id, _TOO_LARGE)
            return OUT_OF_RESOURCES
        try:
            size = self._spool.add_image(id, study, instance, received)
        except OtherContentError:
            self._queue.add_remark(id, _OTHER_PIXELS)
            return DUPLICATE
        arrival.instances += size > 0
        arrival.bytes += size
        return SUCCESS

    def _arrival(self, id: str, study: str) -> _Arrival:
        if id not in self._arrivals:
            instances, size = self._spool.count_images(id, study)
            self._arrivals[id] = _Arrival(time.monotonic(), set(), instances, size)
        return self._arrivals[id]

    def end(self, association: Hashable, well: bool) -> None:
        """An association has ended: ``well`` if it was released, and not broken off."""
        with self._lock:
            self._given_up = {pair for pair in self._given_up if pair[0] != association}
            for id, arrival in self._arrivals.items():
                if association not in arrival.open:
                    continue
                arrival.open.discard(association)
                arrival.last = time.monotonic()
                if not well or not arrival.open:
                    self._queue.mark_broken(id, not well)

    def close_complete(self, quiet_s: float) -> None:
        """Pass on the studies that are complete, and put apart those that never will be."""
        for study in self._queue.in_state(RECEIVING):
            try:
                self._close_if_complete(study, quiet_s)
            except OSError as error:  # one strange folder must not keep the other studies
                log.error("%s: %s; tried again", study.study, type(error).__name__)

    def _close_if_complete(self, study: QueuedStudy, quiet_s: float) -> None:
        with self._lock:
            reason = self._judge(study, quiet_s)
            if reason is None:
                return
            arrival = self._arrivals.pop(study.id)
            if not reason:
                self._queue.complete(study.id)
            else:
                self._given_up |= {(association, study.study) for association in arrival.open}
                self._queue.fail(study.id, reason)
                self._spool.put_apart(study.id, reason)
        self._metrics.count("studies", outcome="failed" if reason else "received")
        who, number = study.sender, arrival.instances
        self._audit.write("received", study.study, who, instances=number, reason=reason)

    def _judge(self, study: QueuedStudy, quiet_s: float) -> str | None:
        """Empty if a study is complete, None if it may become so, otherwise why it will not."""
        arrival = self._arrival(study.id, study.study)
        if _TOO_LARGE in study.reason and not arrival.open:
            return f"stored {arrival.instances}, refused the others"
        is_quiet = not arrival.open and time.monotonic() - arrival.last >= quiet_s
        if is_quiet and not study.broken:
            return ""
        if time.time() - study.begun < max(self._limits.wait_s, quiet_s):
            return None
        if study.broken and is_quiet:
            return "the sender broke off and did not send it again"
        return f"not complete after {self._limits.wait_s:g} s"


def read_uids(path: Path) -> tuple[str, str]:
    """StudyInstanceUID and SOPInstanceUID of a DICOM file; "" where one is missing."""
    from pydicom import dcmread

    names = ["StudyInstanceUID", "SOPInstanceUID"]
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=names)
    study, instance = (str(dataset.get(name) or "") for name in names)
    return study, instance


def _force_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
