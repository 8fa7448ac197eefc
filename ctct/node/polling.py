"""Asks a DICOMweb archive for studies (QIDO-RS), and fetches those that are new (WADO-RS)."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ctct.node.audit import Audit
from ctct.node.hashes import hash_uid
from ctct.node.listener import STORED
from ctct.node.queue import Queue
from ctct.node.sending import open_client
from ctct.node.settings import Limits, PollingSettings
from ctct.node.spool import Spool

log = logging.getLogger(__name__)

_PAGE = 100
_STUDY, _SERIES, _MODALITY = "0020000D", "0020000E", "00080060"
_STUDY_INSTANCES, _INSTANCES = "00201208", "00201209"


class Polling:
    """Polls an archive. A study is fetched once its MR series have not grown for a while.

    Later only the series that are new are fetched, so that no series is segmented twice.

    Args:
        settings: of the archive.
        quiet_s: time without a new image after which a study is complete.
        limits: what the node takes.
        queue: gets the studies.
        spool: gets their files.
        audit: gets each study.
    """

    def __init__(
        self,
        settings: PollingSettings,
        quiet_s: float,
        limits: Limits,
        queue: Queue,
        spool: Spool,
        audit: Audit,
    ) -> None:
        self._settings, self._quiet_s, self._limits = settings, quiet_s, limits
        self._queue, self._spool, self._audit = queue, spool, audit
        self._growing: dict[str, tuple[dict[str, int], float]] = {}

    def poll(self) -> None:
        """Ask once, and fetch what is complete.

        Raises:
            OSError: the archive cannot be reached, or refuses.
        """
        client = open_client(self._settings.url, self._settings.credentials)
        for study, size in self._list_studies(client):
            name = f"study {hash_uid(study)}"
            if size and self._queue.seen(name) == size:
                continue
            new = {
                uid: count
                for uid, count in _list_series(client, study).items()
                if self._queue.seen(f"series {hash_uid(uid)}") != str(count)
            }
            if not new:
                self._queue.see(name, size)
            elif self._is_quiet(study, new):
                self._fetch(client, study, new)

    def _list_studies(self, client: Any) -> Iterator[tuple[str, str]]:
        """UID of each study, and how many images it has, where the archive tells it."""
        offset = 0
        while True:
            page = client.search_for_studies(
                search_filters=self._settings.query,
                fields=["NumberOfStudyRelatedInstances"],
                limit=_PAGE,
                offset=offset,
            )
            for study in page:
                if uid := _value(study, _STUDY):
                    yield str(uid), str(_value(study, _STUDY_INSTANCES) or "")
            offset += len(page)
            if len(page) < _PAGE:
                return

    def _is_quiet(self, study: str, series: dict[str, int]) -> bool:
        """Whether the series have not grown for long enough."""
        name, now = hash_uid(study), time.monotonic()
        before, since = self._growing.get(name, (None, now))
        if before != series:
            since = now
        self._growing[name] = (series, since)
        return now - since >= self._quiet_s

    def _fetch(self, client: Any, study: str, series: Mapping[str, int]) -> None:
        """Fetch series of a study, and add it to the queue once all are there."""
        name, url = hash_uid(study), self._settings.url
        id = f"web-{name}"
        self._spool.remove(id)  # what an earlier process did not finish
        seen = {f"series {hash_uid(uid)}": str(count) for uid, count in series.items()}
        count = size = 0
        reason = ""
        for uid in series:
            for dataset in client.iter_series(study, uid):
                if str(dataset.get("SOPClassUID")) not in STORED:
                    continue
                size += self._add(dataset, id, name)
                count += 1
                if count > self._limits.instances or size > self._limits.study_bytes:
                    reason = "more images than the node takes"
                    break
            if reason:
                break
        self._growing.pop(name, None)
        final = secrets.token_hex(6)
        self._spool.rename(id, final)  # first: a folder that the queue lacks is found at the start
        self._queue.add_seen(name, url, seen, final)
        if reason:
            self._queue.fail(final, reason)
            self._spool.put_apart(final, reason)
        self._audit.write("received", name, url, instances=count, reason=reason)

    def _add(self, dataset: Any, id: str, study: str) -> int:
        received = self._spool.incoming / "from-web.dcm"
        dataset.save_as(received, enforce_file_format=True)
        try:
            return self._spool.add_image(id, study, hash_uid(str(dataset.SOPInstanceUID)), received)
        finally:
            received.unlink()


def _list_series(client: Any, study: str) -> dict[str, int]:
    """Number of instances of each MR series of a study, by its UID."""
    found = client.search_for_series(study, fields=["NumberOfSeriesRelatedInstances"])
    return {
        str(uid): int(_value(series, _INSTANCES) or 0)
        for series in found
        if _value(series, _MODALITY) == "MR" and (uid := _value(series, _SERIES))
    }


def _value(item: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute in DICOM JSON."""
    return next(iter(item.get(tag, {}).get("Value", ())), None)
