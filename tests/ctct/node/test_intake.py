"""Taking images in, and telling when a study is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
from dicom_support import image, save

from ctct.node.audit import Audit
from ctct.node.hashes import hash_uid
from ctct.node.intake import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    MISMATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
    Intake,
)
from ctct.node.metrics import Metrics
from ctct.node.queue import FAILED, READY, RECEIVING, Queue
from ctct.node.settings import Limits
from ctct.node.spool import Spool

MakeIntake = Callable[..., Intake]


@pytest.fixture
def intake(queue: Queue, spool: Spool, audit: Audit, metrics: Metrics) -> MakeIntake:
    return lambda **limits: Intake(queue, spool, Limits(**limits), audit, metrics)


def received(spool: Spool, uid: str = "1.2.3.1", **changes: Any) -> Path:
    one = image(0, 0, SOPInstanceUID=uid, **changes)
    one.file_meta.MediaStorageSOPInstanceUID = uid
    path = spool.incoming / "tmp.dcm"
    path.unlink(missing_ok=True)  # the spool may hold a link to it
    return save(one, path)


def store(intake: Intake, spool: Spool, uid: str = "1.2.3.1", by: int = 1, **changes: Any) -> int:
    return intake.store(received(spool, uid, **changes), by, "A@127.0.0.1", uid)


def test_a_study_is_complete_after_its_association_and_a_quiet_time(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake()
    assert store(one, spool) == SUCCESS
    assert store(one, spool, "1.2.3.2") == SUCCESS
    one.close_complete(quiet_s=0)
    assert len(queue.in_state(RECEIVING)) == 1  # the association is open
    one.end(1, well=True)
    one.close_complete(quiet_s=10)
    assert len(queue.in_state(RECEIVING)) == 1  # not yet quiet
    one.close_complete(quiet_s=0)
    (study,) = queue.in_state(READY)
    assert study.study == hash_uid("1.2")
    assert spool.count_images(study.id, study.study)[0] == 2


def test_two_studies_of_one_association_are_told_apart(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake()
    store(one, spool)
    store(one, spool, "1.5.1", StudyInstanceUID="1.5")
    one.end(1, well=True)
    one.close_complete(quiet_s=0)
    assert {s.study for s in queue.in_state(READY)} == {hash_uid("1.2"), hash_uid("1.5")}


def test_damaged_and_contradictory_images_are_refused(intake: MakeIntake, spool: Spool) -> None:
    one = intake()
    garbage = spool.incoming / "garbage.dcm"
    garbage.write_bytes(b"no DICOM" * 50)
    assert one.store(garbage, 1, "A", "1.2.3.1") == CANNOT_UNDERSTAND
    no_study = received(spool, StudyInstanceUID=None)
    assert one.store(no_study, 1, "A", "1.2.3.1") == CANNOT_UNDERSTAND
    assert one.store(received(spool), 1, "A", "1.2.3.9") == MISMATCH


def test_the_same_instance_twice_is_fine_but_not_with_other_pixels(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake()
    assert [store(one, spool) for _ in range(2)] == [SUCCESS, SUCCESS]
    assert store(one, spool, PatientComments="other") == DUPLICATE
    (study,) = queue.in_state(RECEIVING)
    assert spool.count_images(study.id, study.study)[0] == 1
    assert study.reason == "an instance came twice with different content; the first was kept"


def test_no_room_is_answered_by_the_status_for_it(intake: MakeIntake, spool: Spool) -> None:
    assert store(intake(free_bytes=2**60), spool) == OUT_OF_RESOURCES
    spool.bytes = 1000
    assert store(intake(spool_bytes=1000), spool) == OUT_OF_RESOURCES


def test_a_study_with_too_many_images_is_refused_and_put_apart(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake(instances=2)
    statuses = [store(one, spool, f"1.2.3.{n}") for n in range(1, 5)]
    assert statuses == [SUCCESS, SUCCESS, OUT_OF_RESOURCES, OUT_OF_RESOURCES]
    one.end(1, well=True)
    one.close_complete(quiet_s=10)
    (study,) = queue.in_state(FAILED)
    assert study.reason == "more images than the node takes; stored 2, refused the others"
    assert (spool.root / "failed" / study.id / "reason.txt").read_text().startswith("stored 2")


def test_a_broken_association_waits_for_the_study_to_be_sent_again(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake()
    store(one, spool)
    one.end(1, well=False)
    one.close_complete(quiet_s=0)
    assert queue.in_state(READY) == []
    store(one, spool, by=2)
    store(one, spool, "1.2.3.2", by=2)
    one.end(2, well=True)
    one.close_complete(quiet_s=0)
    (study,) = queue.in_state(READY)
    assert spool.count_images(study.id, study.study)[0] == 2


def test_a_study_that_is_not_sent_again_is_put_apart(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake(wait_s=0)
    store(one, spool)
    one.end(1, well=False)
    one.close_complete(quiet_s=0)
    (study,) = queue.in_state(FAILED)
    assert study.reason == "the sender broke off and did not send it again"


def test_a_study_that_never_ends_is_put_apart(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake(wait_s=0)
    store(one, spool)
    one.close_complete(quiet_s=0)
    (study,) = queue.in_state(FAILED)
    assert study.reason == "not complete after 0 s"
    # Its rest alone would look like a whole study.
    assert store(one, spool, "1.2.3.2") == OUT_OF_RESOURCES
    one.end(1, well=True)
    assert store(one, spool, "1.2.3.2", by=2) == SUCCESS


def test_after_a_restart_a_study_waits_for_its_quiet_time_again(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    one = intake()
    store(one, spool)
    one.end(1, well=True)
    again = intake()
    again.close_complete(quiet_s=0.2)
    assert queue.in_state(READY) == []
    time.sleep(0.3)
    again.close_complete(quiet_s=0.2)
    assert len(queue.in_state(READY)) == 1


def test_a_kill_during_an_association_counts_as_broken(
    intake: MakeIntake, queue: Queue, spool: Spool
) -> None:
    store(intake(), spool)
    intake().close_complete(quiet_s=0)
    (study,) = queue.in_state(RECEIVING)
    assert study.broken
