"""The queue on disk: which studies are there, how far each is, and where its results must go.

One SQLite file, each change a transaction that is forced to the disk. So after a kill or a power
cut it says what was done and what was not. It holds no identifier: studies and instances are
hashes of their UIDs.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

#: States of a study, in order; ``FAILED`` can follow any but ``DONE``.
STATES = RECEIVING, READY, SEGMENTED, DONE, FAILED = (
    *("receiving", "ready", "segmented", "done", "failed"),
)

_TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    id TEXT PRIMARY KEY,
    study TEXT NOT NULL,               -- hash of the StudyInstanceUID, or name of a watched scan
    sender TEXT NOT NULL,
    state TEXT NOT NULL,
    broken INTEGER NOT NULL DEFAULT 0, -- an association of it has not ended well
    starts INTEGER NOT NULL DEFAULT 0, -- how often its segmentation has begun
    reason TEXT NOT NULL DEFAULT '',   -- why it failed, or what was strange
    begun REAL NOT NULL,               -- seconds since 1970
    changed REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON studies (study) WHERE state = 'receiving';
CREATE INDEX IF NOT EXISTS by_state ON studies (state, begun);
CREATE TABLE IF NOT EXISTS instances (
    id TEXT NOT NULL, instance TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (id, instance)
);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT NOT NULL, destination TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL, error TEXT NOT NULL DEFAULT '', PRIMARY KEY (id, destination)
);
CREATE TABLE IF NOT EXISTS seen (name TEXT PRIMARY KEY, digest TEXT NOT NULL);
"""
_COLUMNS = "id, study, sender, state, broken, starts, reason, begun, changed"


@dataclass(frozen=True)
class QueuedStudy:
    """A study, as the queue knows it.

    Attributes:
        id: of this arrival of the study; names its folder.
        study: hash of the StudyInstanceUID, or name of a watched scan.
        sender: AE title and address, or URL, it came from.
        state: one of :data:`STATES`.
        broken: 1 if an association that stored into it has not ended well.
        starts: how often its segmentation has begun.
        reason: why it failed, or what was strange.
        begun: when it came, in seconds since 1970.
        changed: when its state changed, likewise.
    """

    id: str
    study: str
    sender: str
    state: str
    broken: int
    starts: int
    reason: str
    begun: float
    changed: float


@dataclass(frozen=True)
class Delivery:
    """Results that a destination has not taken yet.

    Attributes:
        id: of the study.
        destination: its name.
        attempts: so far.
    """

    id: str
    destination: str
    attempts: int


class Queue:
    """The queue in the file ``path``, made if missing; threads may share it.

    A file that is no database any more is put aside as ``*.damaged``, and the queue begins empty.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._database = _open(path)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def _select(self, condition: str, *values: object) -> list[QueuedStudy]:
        with self._lock:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM studies WHERE {condition}", values
            ).fetchall()
        return [QueuedStudy(*row) for row in rows]

    def _set(self, id: str, state: str, reason: str | None = None) -> None:
        with self._transaction() as database:
            database.execute(
                "UPDATE studies SET state = ?, changed = ?, reason = coalesce(?, reason) "
                "WHERE id = ?",
                (state, time.time(), reason, id),
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def find(self, id: str) -> QueuedStudy | None:
        """The study of that id."""
        return next(iter(self._select("id = ?", id)), None)

    def in_state(self, state: str) -> list[QueuedStudy]:
        """All studies in a state, the oldest first."""
        return self._select("state = ? ORDER BY begun", state)

    def add(self, study: str, sender: str, state: str, id: str = "") -> str:
        """Add a study; the id that it gets."""
        id, now = id or secrets.token_hex(6), time.time()
        with self._transaction() as database:
            database.execute(
                "INSERT INTO studies (id, study, sender, state, begun, changed) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (id, study, sender, state, now, now),
            )
        return id

    def find_receiving(self, study: str) -> QueuedStudy | None:
        """The arrival of a study that is not complete yet."""
        return next(iter(self._select("state = ? AND study = ?", RECEIVING, study)), None)

    def mark_broken(self, id: str, broken: bool) -> None:
        """Record whether an association that stores into a study has not ended well."""
        with self._transaction() as database:
            database.execute("UPDATE studies SET broken = ? WHERE id = ?", (broken, id))

    def add_remark(self, id: str, remark: str) -> None:
        """Record once what is strange about a study."""
        with self._transaction() as database:
            database.execute(
                "UPDATE studies SET reason = trim(reason || '; ' || ?, '; ') "
                "WHERE id = ? AND instr(reason, ?) = 0",
                (remark, id, remark),
            )

    def complete(self, id: str) -> None:
        """All of a study has come."""
        self._set(id, READY)

    def is_known(self, study: QueuedStudy, digests: Mapping[str, str]) -> bool:
        """Whether an earlier arrival of the study held these instances, and did not fail.

        Otherwise they are recorded. ``digests`` has the content's by instance.
        """
        with self._transaction() as database:
            known = database.execute(
                "SELECT instance, digest FROM instances JOIN studies USING (id) "
                "WHERE study = ? AND id != ? AND state IN (?, ?, ?)",
                (study.study, study.id, READY, SEGMENTED, DONE),
            ).fetchall()
            if digests and digests.items() <= set(known):
                return True
            database.executemany(
                "INSERT OR REPLACE INTO instances VALUES (?, ?, ?)",
                [(study.id, *item) for item in digests.items()],
            )
        return False

    def begin_next(self) -> QueuedStudy | None:
        """The study to segment next, its number of starts counted up.

        The oldest, but after those whose segmentation has begun less often: one that ends the
        node again and again does not keep the others.
        """
        with self._transaction() as database:
            found = self._select("state = ? ORDER BY starts, begun LIMIT 1", READY)
            for study in found:
                database.execute("UPDATE studies SET starts = starts + 1 WHERE id = ?", (study.id,))
        return next(iter(found), None)

    def put_back(self, id: str) -> None:
        """Its segmentation could not begin: do not count that."""
        with self._transaction() as database:
            database.execute("UPDATE studies SET starts = starts - 1 WHERE id = ?", (id,))

    def segmented(self, id: str, destinations: Sequence[str], reason: str = "") -> None:
        """Its results are on the disk, and are due at all destinations."""
        with self._transaction() as database:
            self._set_in(database, id, SEGMENTED, reason)
            database.executemany(
                "INSERT OR IGNORE INTO deliveries (id, destination, due) VALUES (?, ?, 0)",
                [(id, destination) for destination in destinations],
            )

    @staticmethod
    def _set_in(database: sqlite3.Connection, id: str, state: str, reason: str) -> None:
        database.execute(
            "UPDATE studies SET state = ?, changed = ?, reason = trim(reason || '; ' || ?, '; ') "
            "WHERE id = ?",
            (state, time.time(), reason, id),
        )

    def due_deliveries(self) -> list[Delivery]:
        """The deliveries to try now, the longest due first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, destination, attempts FROM deliveries WHERE due <= ? ORDER BY due",
                (time.time(),),
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def delivered(self, delivery: Delivery) -> None:
        """A destination has taken all."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM deliveries WHERE id = ? AND destination = ?",
                (delivery.id, delivery.destination),
            )

    def postpone(self, delivery: Delivery, seconds: float, error: str) -> None:
        """A destination took not all: try again later."""
        with self._transaction() as database:
            database.execute(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, error = ? "
                "WHERE id = ? AND destination = ?",
                (time.time() + seconds, error, delivery.id, delivery.destination),
            )

    def undelivered(self, id: str) -> dict[str, str]:
        """Each destination that has not taken all, to the last error."""
        with self._lock:
            return dict(
                self._database.execute(
                    "SELECT destination, error FROM deliveries WHERE id = ?", (id,)
                ).fetchall()
            )

    def done(self, id: str) -> None:
        """All is where it must be."""
        self._set(id, DONE)

    def fail(self, id: str, reason: str) -> None:
        """Take a study out of the work, and nothing of it is delivered any more."""
        with self._transaction() as database:
            self._set_in(database, id, FAILED, reason)
            database.execute("DELETE FROM deliveries WHERE id = ?", (id,))

    def retry(self, id: str) -> None:
        """Take a failed study into the work again, as it is."""
        with self._transaction() as database:
            database.execute(
                "UPDATE studies SET state = ?, starts = 0, reason = '', changed = ? "
                "WHERE id = ? AND state = ?",
                (READY, time.time(), id, FAILED),
            )

    def remove(self, id: str) -> None:
        """Forget a study."""
        with self._transaction() as database:
            for table in ("studies", "instances", "deliveries"):
                database.execute(f"DELETE FROM {table} WHERE id = ?", (id,))

    def count_states(self) -> dict[str, int]:
        """How many studies are in each state."""
        with self._lock:
            counts = dict(
                self._database.execute(
                    "SELECT state, count(*) FROM studies GROUP BY state"
                ).fetchall()
            )
        return {state: counts.get(state, 0) for state in STATES}

    def count_deliveries(self) -> int:
        """How many deliveries are open."""
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    def seen(self, name: str) -> str:
        """Digest of what was last taken under a name; "" where nothing was."""
        with self._lock:
            row = self._database.execute(
                "SELECT digest FROM seen WHERE name = ?", (name,)
            ).fetchone()
        return row[0] if row else ""

    def see(self, name: str, digest: str) -> None:
        """Record under a name what needs not be looked at again."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (name, digest))

    def add_seen(self, study: str, sender: str, seen: Mapping[str, str], id: str = "") -> str:
        """Add a study that is complete, and record by name the digests of what was taken."""
        with self._transaction() as database:
            id = id or secrets.token_hex(6)
            now = time.time()
            database.execute(
                "INSERT INTO studies (id, study, sender, state, begun, changed) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (id, study, sender, READY, now, now),
            )
            database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", seen.items())
        return id


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full
            raise
        log.error("the queue is damaged and was put aside as %s.damaged", path.name)
        path.replace(path.with_name(f"{path.name}.damaged"))
        for ending in ("-wal", "-shm"):
            with suppress(OSError):
                path.with_name(path.name + ending).unlink()
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")
        if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
        database.executescript(_TABLES)
    except BaseException:
        database.close()
        raise
    return database
