"""The DICOM server: C-ECHO, and C-STORE of MR images, from those who may."""

from __future__ import annotations

import ipaddress
import logging
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.transport import ThreadedAssociationServer

from ctct.errors import ConfigError
from ctct.node.audit import Audit
from ctct.node.intake import MISMATCH, OUT_OF_RESOURCES, SUCCESS, Intake
from ctct.node.metrics import Metrics
from ctct.node.settings import Limits, ListenerSettings
from ctct.node.spool import Spool
from ctct.node.tls import server_context

log = logging.getLogger(__name__)

_VERIFICATION = "1.2.840.10008.1.1"
#: MR Image, Enhanced MR Image and Legacy Converted Enhanced MR Image Storage.
STORED = tuple(f"1.2.840.10008.5.1.4.1.1.4{end}" for end in ("", ".1", ".4"))
#: Uncompressed, deflated, and what pydicom and its plugins unpack.
_SYNTAXES = tuple(
    f"1.2.840.10008.1.2{end}"
    for end in (
        *(".1", "", ".1.99", ".2", ".4.50", ".4.51", ".4.57", ".4.70", ".4.80", ".4.81"),
        *(".4.90", ".4.91", ".4.201", ".4.202", ".4.203", ".5"),
    )
)
#: Largest PDU that is read: negotiated is less, but an association request may be larger.
_MAX_PDU_BYTES = 2**20
_HANDSHAKE_S = 10


@dataclass
class _Connection:
    """What is known of a connection.

    Attributes:
        association: its association; kept, so that no other gets the same id.
        bytes: that came since its last image.
        is_refused: whether it was broken off.
        is_released: whether its end was requested.
        answers: how often each status was given.
    """

    association: Any
    bytes: int = 0
    is_refused: bool = False
    is_released: bool = False
    answers: Counter[str] = field(default_factory=Counter)


class Listener:
    """A DICOM server that gives images to ``intake``; its threads never wait for another study.

    Args:
        settings: where it listens, and to whom.
        limits: what it takes.
        spool: where images are received.
        intake: takes them.
        audit: gets refusals.
        metrics: counts associations.

    Raises:
        ConfigError: it cannot listen there, or the certificates cannot be used.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        limits: Limits,
        spool: Spool,
        intake: Intake,
        audit: Audit,
        metrics: Metrics,
    ) -> None:
        self._intake, self._limits = intake, limits
        self._audit, self._metrics = audit, metrics
        self._open: dict[int, _Connection] = {}  # by the id of the association
        _config.STORE_RECV_CHUNKED_DATASET = True  # images go to a file, not to memory
        node = AE(settings.ae_title)
        node.require_called_aet = True
        node.require_calling_aet = list(settings.allowed_titles)
        node.maximum_associations = limits.associations
        node.acse_timeout = node.dimse_timeout = node.network_timeout = limits.idle_s
        node.maximum_pdu_size = 2**17
        node.add_supported_context(_VERIFICATION)
        for kind in STORED:
            node.add_supported_context(kind, list(_SYNTAXES))
        tls = server_context(settings.tls) if settings.tls else None
        try:
            self._server: Any = node.make_server(
                (settings.host, settings.port),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._opened),
                    (evt.EVT_DATA_RECV, self._count_bytes),
                    (evt.EVT_PDU_RECV, self._note_release),
                    (evt.EVT_REJECTED, self._rejected),
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_RELEASED, self._ended),
                    (evt.EVT_ABORTED, self._ended),
                    (evt.EVT_CONN_CLOSE, self._ended),
                ],
                server_class=_Server,
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"--host {settings.host} --port {settings.port}: cannot listen there ({error}); "
                "choose another port"
            ) from error
        node._servers.append(self._server)
        self._former_tempdir = tempfile.tempdir
        tempfile.tempdir = str(spool.incoming)  # where pynetdicom makes those files
        self._server.configure(tls, settings.allowed_networks, limits, self._refused)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="listener", daemon=True
        )
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it listens."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Listen no more, and break off what is open."""
        self._server.shutdown()
        for association in self._server.active_associations:
            association.abort()
        tempfile.tempdir = self._former_tempdir

    def sweep(self) -> None:
        """End the connections whose end was not told."""
        for key, connection in list(self._open.items()):
            association = connection.association
            if association.ident is not None and not association.is_alive():
                self._end(key, connection.is_released)

    def _opened(self, event: Any) -> None:
        self._open[id(event.assoc)] = _Connection(event.assoc)
        socket_of_association = event.assoc.dul.socket
        read = socket_of_association.recv

        def read_limited(size: int) -> bytearray:
            if size > _MAX_PDU_BYTES:
                raise OSError("PDU too large")
            return bytearray(read(size))

        socket_of_association.recv = read_limited

    def _count_bytes(self, event: Any) -> None:
        connection = self._open.get(id(event.assoc))
        if connection is None:
            return
        connection.bytes += len(event.data)
        if connection.bytes > self._limits.instance_bytes:
            connection.bytes = 0
            connection.is_refused = True  # the image may have come whole, and is not to be stored
            self._refused(_name(event.assoc), "an image that is too large")
            event.assoc.abort()

    def _note_release(self, event: Any) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ) and (connection := self._open.get(id(event.assoc))):
            connection.is_released = True

    def _store(self, event: Any) -> int:
        key, request = id(event.assoc), event.request
        status = MISMATCH
        connection = self._open.get(key)
        if connection is None or connection.is_refused:  # it is lost, and so is the answer
            return OUT_OF_RESOURCES
        if str(request.AffectedSOPClassUID or "") in STORED:
            uid = str(request.AffectedSOPInstanceUID or "")
            status = self._intake.store(event.dataset_path, key, _name(event.assoc), uid)
        if connection := self._open.get(key):
            connection.bytes = 0
            connection.answers[f"{status:04X}"] += 1
        else:  # the connection was lost meanwhile
            self._intake.end(key, well=False)
        return status

    def _rejected(self, event: Any) -> None:
        self._refused(_name(event.assoc), "its AE title, the called one, or too many associations")

    def _refused(self, who: str, reason: str) -> None:
        self._metrics.count("associations", ended="refused")
        self._audit.write("refused", "", who, reason=reason)

    def _ended(self, event: Any) -> None:
        connection = self._open.get(id(event.assoc))
        if connection:
            well = connection.is_released or event.event is evt.EVT_RELEASED
            self._end(id(event.assoc), well)

    def _end(self, key: int, well: bool) -> None:
        connection = self._open.pop(key, None)
        if connection is None:  # another thread told it at the same time
            return
        self._intake.end(key, well)
        self._metrics.count("associations", ended="released" if well else "broken off")
        if set(connection.answers) - {f"{SUCCESS:04X}"}:
            who, statuses = _name(connection.association), dict(connection.answers)
            self._audit.write("refused", "", who, statuses=statuses)


def _name(association: Any) -> str:
    """AE title and address of the one who called."""
    requestor = association.requestor
    title = str(requestor.ae_title or "?").strip()
    printable = "".join(c if c.isprintable() else "?" for c in title)
    return f"{printable}@{requestor.address}"


class _Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Refuses addresses, and shakes hands in the thread of the connection, with a time limit."""

    daemon_threads = True

    def configure(
        self,
        tls: Any,
        networks: tuple[Any, ...],
        limits: Limits,
        refused: Callable[[str, str], None],
    ) -> None:
        self._tls, self._networks, self._limits, self._on_refused = tls, networks, limits, refused

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection may be made."""
        address = ipaddress.ip_address(client_address[0].split("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if self._networks and not any(address in network for network in self._networks):
            self._on_refused(str(address), "its address")
            return False
        if len(self.active_associations) >= 2 * self._limits.associations + 10:
            self._on_refused(str(address), "too many connections")
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin an association, in the thread of the connection."""
        if self._tls:
            request.settimeout(_HANDSHAKE_S)
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except OSError:
                self._on_refused(str(client_address[0]), "its certificate, or no TLS")
                request.close()
                return
        request.settimeout(self._limits.idle_s)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that fails costs no more than itself."""
        log.debug("a connection failed", exc_info=True)
