"""Settings, redaction, metrics, audit trail, spool and watching."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
from dicom_support import write_cine

from ctct.errors import ConfigError
from ctct.node.audit import Audit
from ctct.node.hashes import hash_uid
from ctct.node.metrics import Metrics
from ctct.node.queue import READY, Queue
from ctct.node.redaction import identifying_values, redact
from ctct.node.settings import (
    Destination,
    ListenerSettings,
    NodeSettings,
    check_title,
    parse_networks,
)
from ctct.node.spool import OtherContentError, Spool
from ctct.node.status_page import StatusPage
from ctct.node.watching import Watching


def test_a_destination_is_title_host_and_port() -> None:
    assert Destination.parse("PACS@10.0.0.5:104") == Destination("PACS", "10.0.0.5", 104)
    assert Destination.parse("PACS@[::1]:104").host == "::1"


@pytest.mark.parametrize("text", ["PACS", "PACS@host", "@host:1", "PACS@host:0", "PACS@host:x"])
def test_other_destinations_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give AETITLE@HOST:PORT"):
        Destination.parse(text)


def test_settings_that_would_harm_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name those who may send"):
        ListenerSettings(host="0.0.0.0")
    with pytest.raises(ConfigError, match="results would go nowhere"):
        NodeSettings(tmp_path)
    with pytest.raises(ConfigError, match="1 to 16"):
        check_title("A" * 17)
    with pytest.raises(ConfigError, match="--allow-from"):
        parse_networks(("10.0.0.0/33",))


def test_a_message_loses_names_numbers_and_uids(tmp_path: Path) -> None:
    folder = write_cine(tmp_path, phases=1, places=1)
    values = identifying_values(folder.iterdir())
    assert values
    words = "bad 'Doe^Jane' (JANE, id-4711) of 20200101 in 1.2.840.113619.2; the janes stay"
    assert redact(words, values) == (
        f"bad '[…]' ([…], […]) of […] in {hash_uid('1.2.840.113619.2')}; the janes stay"
    )
    (tmp_path / "x").write_bytes(b"garbage")
    assert identifying_values([tmp_path / "x"]) is None


def test_metrics_are_openmetrics_text() -> None:
    metrics = Metrics()
    metrics.count("instances", status="0000")
    metrics.count("instances", 2, status="A700")
    text = metrics.encode({"open_deliveries": 3, "queued_studies": {"ready": 1}})
    lines = text.splitlines()
    assert "# TYPE ctct_node_instances counter" in lines
    assert 'ctct_node_instances_total{status="A700"} 2' in lines
    assert "ctct_node_open_deliveries 3" in lines
    assert 'ctct_node_queued_studies{state="ready"} 1' in lines
    assert lines[-1] == "# EOF"


def test_the_status_page_tells_health_and_metrics() -> None:
    problems: list[str] = []
    page = StatusPage(0, lambda: problems, lambda: "# EOF\n")
    url = f"http://127.0.0.1:{page.port}"
    try:
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert json.load(answer) == {"status": "ok", "problems": []}
        problems.append("delivering: OSError")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/health")
        assert refused.value.code == 503
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert answer.read() == b"# EOF\n"
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/other")
        with pytest.raises(ConfigError, match="--status-port"):
            StatusPage(page.port, lambda: [], str)
    finally:
        page.close()


def test_the_audit_trail_has_a_line_per_event_and_is_swept(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.write("received", "77ac319bfe1979e2", "PACS@10.0.0.5", instances=200, reason="")
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "event": "received",
        "study": "77ac319bfe1979e2",
        "who": "PACS@10.0.0.5",
        "instances": 200,
    }
    audit.sweep(days=1)
    assert path.exists()
    os.utime(path, (0, 0))
    audit.sweep(days=1)
    assert not path.exists()


def test_the_spool_moves_a_failed_study_and_brings_it_back(spool: Spool) -> None:
    file = spool.incoming / "x"
    file.write_bytes(b"image")
    assert spool.add_image("id", "study", "instance", file) == 5
    assert spool.add_image("id", "study", "instance", file) == 0
    file.unlink()
    file.write_bytes(b"other")
    with pytest.raises(OtherContentError):
        spool.add_image("id", "study", "instance", file)
    work = spool.work("id", 0)
    assert not spool.results("id").exists()
    spool.publish_work("id", work)
    assert spool.results("id").exists()
    spool.put_apart("id", "no short axis")
    assert spool.list_ids() == {"id": "study"}
    assert (spool.folder("id") / "reason.txt").read_text() == "no short axis\n"
    assert spool.folder("id").parent.name == "failed"
    spool.take_back("id")
    assert spool.count_images("id", "study") == (1, 5)
    spool.remove("id")
    assert spool.list_ids() == {}


def test_what_is_being_received_is_swept_once_it_is_old(spool: Spool) -> None:
    file = spool.incoming / "x"
    file.write_bytes(b"image")
    spool.sweep_incoming(older_s=60)
    assert file.exists()
    spool.sweep_incoming()
    assert not file.exists()


def test_a_watched_scan_is_taken_once_it_stops_changing_and_again_once_it_changes(
    tmp_path: Path, queue: Queue, audit: Audit
) -> None:
    folder = tmp_path / "shared"
    (folder / "scan").mkdir(parents=True)
    (folder / "scan" / "a").write_bytes(b"1")
    (folder / ".hidden").write_bytes(b"1")
    (folder / "empty").mkdir()
    watching = Watching(folder, 0.2, queue, audit)
    watching.look()
    time.sleep(0.3)
    (folder / "scan" / "b").write_bytes(b"2")
    watching.look()
    assert queue.in_state(READY) == []
    time.sleep(0.3)
    for _ in range(3):
        watching.look()
    (study,) = queue.in_state(READY)
    assert watching.scan(study.study) == folder / "scan"
    (folder / "scan" / "c").write_bytes(b"3")
    watching.look()
    time.sleep(0.3)
    watching.look()
    assert len(queue.in_state(READY)) == 2
