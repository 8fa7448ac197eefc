"""The DICOM server against real senders, in this process."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
from dicom_support import image, write_cine
from node_support import storescu, wait_for
from pynetdicom import AE

from ctct.errors import ConfigError
from ctct.node.audit import Audit
from ctct.node.intake import Intake
from ctct.node.listener import Listener
from ctct.node.metrics import Metrics
from ctct.node.queue import FAILED, READY, RECEIVING, Queue
from ctct.node.settings import Limits, ListenerSettings, Tls, parse_networks
from ctct.node.spool import Spool

MR = "1.2.840.10008.5.1.4.1.1.4"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
Listen = Callable[..., Listener]


@pytest.fixture
def intakes() -> list[Intake]:
    return []


@pytest.fixture
def listen(
    queue: Queue, spool: Spool, audit: Audit, metrics: Metrics, intakes: list[Intake]
) -> Iterator[Listen]:
    open_ones = []

    def start(limits: dict[str, Any] | None = None, **settings: Any) -> Listener:
        some = Limits(**{"idle_s": 5, **(limits or {})})
        intakes.append(Intake(queue, spool, some, audit, metrics))
        chosen = ListenerSettings(**{"port": 0, **settings})
        open_ones.append(Listener(chosen, some, spool, intakes[-1], audit, metrics))
        return open_ones[-1]

    yield start
    for one in open_ones:
        one.close()


def associate(port: int, title: str = "SENDER", called: str = "CTCT", kind: str = MR) -> Any:
    node = AE(title)
    node.add_requested_context(VERIFICATION)
    node.add_requested_context(kind)
    node.acse_timeout = node.connection_timeout = 10
    return node.associate("127.0.0.1", port, ae_title=called)


def trail(spool: Spool) -> str:
    return "".join(path.read_text() for path in (spool.root / "audit").iterdir())


def test_echo_and_store_of_those_who_may(listen: Listen, queue: Queue, spool: Spool) -> None:
    association = associate(listen(allowed_titles=("SENDER",)).port)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    assert association.send_c_store(image(0, 0)).Status == 0
    association.release()
    (study,) = queue.in_state(RECEIVING)
    assert study.sender == "SENDER@127.0.0.1"
    assert spool.count_images(study.id, study.study)[0] == 1
    wait_for(lambda: not queue.in_state(RECEIVING)[0].broken)
    assert list(spool.incoming.iterdir()) == []


@pytest.mark.parametrize(("title", "called"), [("OTHER", "CTCT"), ("SENDER", "OTHER")])
def test_unknown_titles_are_rejected(listen: Listen, spool: Spool, title: str, called: str) -> None:
    association = associate(listen(allowed_titles=("SENDER",)).port, title, called)
    assert association.is_rejected
    wait_for(lambda: "refused" in trail(spool))


def test_other_addresses_cannot_connect(listen: Listen, spool: Spool) -> None:
    listener = listen(allowed_networks=parse_networks(("10.0.0.0/8",)))
    assert not associate(listener.port).is_established
    assert "its address" in trail(spool)


def test_objects_that_are_no_mr_images_are_refused(listen: Listen) -> None:
    association = associate(listen().port, kind=CT)
    assert [c.abstract_syntax for c in association.rejected_contexts] == [CT]
    association.release()


def test_too_many_associations_are_rejected(listen: Listen) -> None:
    port = listen({"associations": 1}).port
    first, second = associate(port), associate(port)
    assert (first.is_established, second.is_rejected) == (True, True)
    first.release()
    assert wait_for(lambda: associate(port).is_established)


def test_an_association_that_breaks_off_is_noted(
    listen: Listen, queue: Queue, intakes: list[Intake]
) -> None:
    association = associate(listen().port)
    association.send_c_store(image(0, 0))
    association.abort()
    wait_for(lambda: not intakes[0]._arrivals[queue.in_state(RECEIVING)[0].id].open)
    intakes[0].close_complete(quiet_s=0)
    assert queue.in_state(RECEIVING)[0].broken


def test_a_connection_lost_within_an_image_leaves_nothing(
    listen: Listen, queue: Queue, spool: Spool, metrics: Metrics
) -> None:
    association = associate(listen().port)
    association.send_c_store(image(0, 0))
    raw = association.dul.socket.socket
    raw.sendall(struct.pack(">BBL", 4, 0, 5000) + b"\0" * 100)  # a tenth of a PDU
    raw.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: metrics.value("associations", ended="broken off"))
    assert queue.in_state(RECEIVING)[0].broken
    assert metrics.value("instances", status="0000") == 1


@pytest.mark.parametrize(
    "pdu",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">BBL", 1, 0, 10) + b"\xff" * 10,
        struct.pack(">BBL", 1, 0, 2**32 - 1) + b"\0" * 1000,
        struct.pack(">BBL", 4, 0, 6) + struct.pack(">L", 2**31) + b"\0\0",
        struct.pack(">BBL", 9, 0, 0),
        b"",
    ],
    ids=["http", "nonsense", "4 GiB", "data first", "unknown", "nothing"],
)
def test_malformed_pdus_end_their_connection_only(
    listen: Listen, metrics: Metrics, pdu: bytes
) -> None:
    listener = listen()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as raw:
        raw.sendall(pdu)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    association = associate(listener.port)
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_silent_connection_is_ended(listen: Listen) -> None:
    listener = listen({"idle_s": 1})
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as raw:
        assert raw.recv(4096) == b""  # closed by the node
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as raw:
        raw.sendall(b"\x01\x00\x00")  # half a header
        assert raw.recv(4096) == b""
    assert associate(listener.port).is_established


def test_an_image_that_is_too_large_breaks_off(listen: Listen, queue: Queue, spool: Spool) -> None:
    association = associate(listen({"instance_bytes": 5000}).port)
    big = image(0, 0)
    big.PatientComments = "x" * 10_000
    answer = association.send_c_store(big)
    assert "Status" not in answer
    wait_for(lambda: "too large" in trail(spool))
    wait_for(lambda: not queue.in_state(RECEIVING))


def test_an_image_without_its_own_uid_is_answered(listen: Listen, metrics: Metrics) -> None:
    association = associate(listen().port)
    odd = image(0, 0, StudyInstanceUID=None)
    assert association.send_c_store(odd).Status == 0xC000
    assert association.send_c_store(image(0, 0)).Status == 0
    association.release()
    assert metrics.value("instances", status="C000") == 1


def test_many_images_of_something_else_stop_at_the_limit(
    listen: Listen, queue: Queue, intakes: list[Intake]
) -> None:
    association = associate(listen({"instances": 50}).port)
    statuses = [association.send_c_store(image(n % 20, n // 20)).Status for n in range(100)]
    association.release()
    assert statuses == [0] * 50 + [0xA700] * 50
    wait_for(lambda: (intakes[0].close_complete(0), queue.in_state(FAILED))[1])


def test_storescu_of_dcmtk_is_understood(
    listen: Listen, queue: Queue, tmp_path: Path, intakes: list[Intake]
) -> None:
    folder = write_cine(tmp_path / "cine")
    done = storescu(folder, listen().port)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: (intakes[0].close_complete(0), queue.in_state(READY))[1])


def test_a_port_that_is_taken_is_an_error(listen: Listen) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another port"):
            listen(port=taken.getsockname()[1])


def test_tls_with_certificates_on_both_sides(
    listen: Listen, certificates: Path, queue: Queue, spool: Spool
) -> None:
    folder = certificates
    tls = Tls(folder / "node.pem", folder / "node.key", folder / "ca.pem")
    listener = listen(tls=tls)
    with socket.create_connection(("127.0.0.1", listener.port)) as silent:  # blocks no other
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "sender.pem", folder / "sender.key")
        node = AE("SENDER")
        node.add_requested_context(MR)
        association = node.associate(
            *("127.0.0.1", listener.port), ae_title="CTCT", tls_args=(context, "localhost")
        )
        assert association.is_established
        assert association.send_c_store(image(0, 0)).Status == 0
        association.release()
        silent.close()
    assert len(queue.in_state(RECEIVING)) == 1
    assert not associate(listener.port).is_established  # without TLS
    wait_for(lambda: "no TLS" in trail(spool))


def test_certificates_that_cannot_be_used_are_an_error(listen: Listen, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give PEM files"):
        listen(tls=Tls(*[tmp_path / "none.pem"] * 3))
