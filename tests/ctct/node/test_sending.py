"""Sending to nodes that take results, refuse them or are down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")
from dicom_support import image, save
from node_support import free_port, wait_for
from pynetdicom import AE, evt

from ctct.node.audit import Audit
from ctct.node.delivering import Delivering
from ctct.node.metrics import Metrics
from ctct.node.queue import DONE, FAILED, READY, SEGMENTED, Queue
from ctct.node.sending import SendingError, send_by_dicom, send_by_web, send_results
from ctct.node.settings import Destination, SendingSettings
from ctct.node.spool import Spool

MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def archive() -> Iterator[Callable[..., tuple[Destination, list[str]]]]:
    """Starts an archive that answers with a status; where it is, and what it got."""
    servers = []

    def start(
        status: int = 0, title: str = "PACS", kind: str = MR, port: int = 0
    ) -> tuple[Destination, list[str]]:
        got: list[str] = []

        def store(event: Any) -> int:
            got.append(str(event.request.AffectedSOPInstanceUID))
            return status

        node = AE(title)
        node.require_called_aet = True
        node.add_supported_context(kind, ["1.2.840.10008.1.2.1"])
        server = node.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
        servers.append(server)
        return Destination("PACS", "127.0.0.1", server.server_address[1]), got

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [save(image(0, z), tmp_path / "results" / f"{z}.dcm") for z in range(3)]


Archive = Callable[..., tuple[Destination, list[str]]]


def test_all_files_arrive(archive: Archive, files: list[Path]) -> None:
    destination, got = archive()
    send_by_dicom(files, destination, SendingSettings())
    assert len(got) == 3
    destination, got = archive(0xB000)  # a warning: it was stored
    send_by_dicom(files, destination, SendingSettings())
    assert len(got) == 3


@pytest.mark.parametrize(
    ("options", "reason", "is_final"),
    [
        ({"status": 0xC000}, "refused result 1 of 3 with status C000", True),
        ({"status": 0xA700}, "refused result 1 of 3 with status A700", False),
        ({"title": "OTHER"}, "rejected the association", False),
        ({"kind": "1.2.840.10008.5.1.4.1.1.2"}, "takes no objects of any kind", True),
    ],
)
def test_refusals_are_told_apart(
    archive: Archive, files: list[Path], options: dict[str, Any], reason: str, is_final: bool
) -> None:
    destination, _ = archive(**options)
    with pytest.raises(SendingError, match=reason) as refused:
        send_by_dicom(files, destination, SendingSettings())
    assert refused.value.is_final == is_final


def test_an_archive_that_is_down_is_told(files: list[Path]) -> None:
    port = free_port()
    with pytest.raises(SendingError, match="cannot be reached") as refused:
        send_by_dicom(files, Destination("PACS", "127.0.0.1", port), SendingSettings())
    assert not refused.value.is_final
    with pytest.raises(SendingError, match="cannot be reached") as refused:
        send_by_web(files, f"http://127.0.0.1:{port}/dicom-web")
    assert not refused.value.is_final
    with pytest.raises(SendingError, match="no such destination"):
        send_results(files, "http://127.0.0.1:1/", SendingSettings())


@pytest.fixture
def segmented(queue: Queue, spool: Spool) -> Callable[[SendingSettings], str]:
    """Adds a study whose results are made."""

    def add(settings: SendingSettings) -> str:
        id = queue.add("study", "A", READY)
        folder = spool.work(id, 0)
        for z in range(2):
            save(image(0, z), folder / f"{z}.dcm")
        (folder / "measurements.csv").write_text("patient\n")
        spool.publish_work(id, folder)
        queue.segmented(id, settings.names)
        return id

    return add


@pytest.fixture
def deliver(
    queue: Queue, spool: Spool, audit: Audit, metrics: Metrics, tmp_path: Path
) -> Callable[..., None]:
    def run(settings: SendingSettings, keep_days: float = 7) -> None:
        out = tmp_path / "kept"
        out.mkdir(exist_ok=True)
        Delivering(queue, spool, settings, out, keep_days, audit, metrics).deliver_due()

    return run


def test_a_study_ends_once_all_destinations_have_its_results(
    archive: Archive,
    segmented: Callable[[SendingSettings], str],
    deliver: Callable[..., None],
    queue: Queue,
    spool: Spool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ctct.node.delivering._FIRST_PAUSE_S", 0.1)
    up, got = archive()
    down = Destination("PACS", "127.0.0.1", free_port())
    settings = SendingSettings(destinations=(up, down))
    id = segmented(settings)
    deliver(settings)
    assert queue.undelivered(id) == {str(down): "cannot be reached"}
    assert len(got) == 2
    _, late = archive(port=down.port)
    wait_for(lambda: (deliver(settings), queue.in_state(DONE))[1])
    assert (len(got), len(late)) == (2, 2)  # nothing twice
    assert spool.list_ids() == {}
    kept = {path.name for path in (tmp_path / "kept" / "study").iterdir()}
    assert kept == {"0.dcm", "1.dcm", "measurements.csv"}


def test_results_that_are_refused_are_kept_apart_and_others_go_on(
    archive: Archive,
    segmented: Callable[[SendingSettings], str],
    deliver: Callable[..., None],
    queue: Queue,
    spool: Spool,
) -> None:
    destination, _ = archive(0xA900)
    settings = SendingSettings(destinations=(destination,))
    first, second = segmented(settings), segmented(settings)
    deliver(settings)
    assert {study.id for study in queue.in_state(FAILED)} == {first, second}
    reason = f"{destination}: refused result 1 of 2 with status A900"
    assert queue.in_state(FAILED)[0].reason == reason
    assert (spool.folder(first) / "results" / "0.dcm").exists()


def test_an_archive_that_is_down_for_too_long_fails_the_study(
    segmented: Callable[[SendingSettings], str], deliver: Callable[..., None], queue: Queue
) -> None:
    settings = SendingSettings(destinations=(Destination("PACS", "127.0.0.1", free_port()),))
    segmented(settings)
    deliver(settings)
    assert len(queue.in_state(SEGMENTED)) == 1
    with queue._transaction() as database:
        database.execute("UPDATE deliveries SET due = 0")
    time.sleep(0.01)
    deliver(settings, keep_days=0)
    assert queue.in_state(FAILED)[0].reason.endswith("cannot be reached")
