"""The queue on disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ctct.node.queue import DONE, FAILED, READY, RECEIVING, SEGMENTED, Queue


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue.sqlite")


def test_a_study_goes_from_its_first_image_to_its_end(queue: Queue) -> None:
    id = queue.add("study", "PACS@10.0.0.5", RECEIVING)
    found = queue.find_receiving("study")
    assert found
    assert (found.id, found.sender, found.state) == (id, "PACS@10.0.0.5", RECEIVING)
    assert queue.begin_next() is None
    queue.complete(id)
    assert queue.find_receiving("study") is None
    begun = queue.begin_next()
    assert begun
    assert (begun.id, begun.starts) == (id, 0)
    queue.segmented(id, ["A", "B"])
    first, second = queue.due_deliveries()
    queue.delivered(first)
    queue.postpone(second, 60, "cannot be reached")
    assert queue.due_deliveries() == []
    assert queue.undelivered(id) == {"B": "cannot be reached"}
    queue.delivered(second)
    queue.done(id)
    assert queue.count_states() == dict.fromkeys((RECEIVING, READY, SEGMENTED, FAILED), 0) | {
        DONE: 1
    }


def test_the_oldest_study_is_segmented_first_but_not_for_ever(queue: Queue) -> None:
    old, young = (queue.add(name, "A", READY) for name in ("old", "young"))

    def begin() -> tuple[str, int]:
        study = queue.begin_next()
        assert study
        return study.id, study.starts

    assert [begin() for _ in range(4)] == [(old, 0), (young, 0), (old, 1), (young, 1)]
    queue.put_back(young)
    assert begin() == (young, 1)
    queue.fail(young, "bad")
    assert begin() == (old, 2)


def test_a_study_is_received_once_at_a_time(queue: Queue) -> None:
    queue.add("study", "A", RECEIVING)
    with pytest.raises(sqlite3.IntegrityError):
        queue.add("study", "B", RECEIVING)
    queue.add("study", "A", READY)  # but an earlier arrival may wait


def test_a_study_that_came_again_as_it_was_is_known(queue: Queue) -> None:
    images = {"a": "1", "b": "2", "c": "3"}
    first, again, other, failed = (
        queue.find(queue.add(name, "A", READY)) for name in ("s", "s", "s", "t")
    )
    assert first and again and other and failed
    assert not queue.is_known(first, images)
    assert not queue.is_known(first, images)  # itself, after a kill
    queue.segmented(first.id, [])
    assert queue.is_known(again, {"a": "1", "c": "3"})
    assert not queue.is_known(other, {"a": "1", "b": "other pixels"})
    assert not queue.is_known(failed, images)  # of another study
    queue.fail(first.id, "bad")
    assert not queue.is_known(again, images)  # a way to try again


def test_a_failed_study_has_its_reasons_and_can_be_retried(queue: Queue) -> None:
    id = queue.add("study", "A", READY)
    queue.add_remark(id, "strange")
    queue.add_remark(id, "strange")
    queue.segmented(id, ["A"])
    queue.fail(id, "refused")
    found = queue.find(id)
    assert found
    assert (found.state, found.reason) == (FAILED, "strange; refused")
    assert queue.count_deliveries() == 0
    queue.retry(id)
    found = queue.find(id)
    assert found
    assert (found.state, found.reason, found.starts) == (READY, "", 0)


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ctct.node.queue import Queue\n"
        "queue = Queue(Path(sys.argv[1]))\n"
        "id = queue.add('study', 'A', 'ready')\n"
        "with queue._transaction() as database:\n"
        "    database.execute(\"UPDATE studies SET state = 'done'\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "queue.sqlite"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert Queue(path).count_states()[READY] == 1


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"no database" * 100)
    queue = Queue(path)
    queue.add("study", "A", READY)
    assert (tmp_path / "queue.sqlite.damaged").read_bytes() == b"no database" * 100


def test_what_was_taken_is_remembered_after_its_study_is_forgotten(queue: Queue) -> None:
    id = queue.add_seen("study", "A", {"series": "20"})
    queue.remove(id)
    assert queue.seen("series") == "20"
    assert queue.seen("other") == ""
    assert queue.find(id) is None
