"""Settings of ``ctct node`` and ``ctct watch``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ctct.errors import ConfigError

_DESTINATION = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>.+):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Destination:
    """A DICOM node that gets results.

    Attributes:
        ae_title: its AE title.
        host: its name or address.
        port: its port.
    """

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a text such as "PACS@10.0.0.5:104".

        Raises:
            ConfigError: the text has another form.
        """
        found = _DESTINATION.fullmatch(text)
        if not found or not 0 < int(found["port"]) < 2**16:
            raise ConfigError(f"--send-to {text}: give AETITLE@HOST:PORT, as in PACS@10.0.0.5:104")
        return cls(check_title(found["title"]), found["host"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def check_title(title: str) -> str:
    """An AE title without blanks at its ends.

    Raises:
        ConfigError: it is empty, longer than 16 characters, or holds others than DICOM allows.
    """
    stripped = title.strip()
    if not 0 < len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable():
        raise ConfigError(f"AE title {title!r}: give 1 to 16 printable ASCII characters")
    return stripped


def parse_networks(texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Networks of addresses, from texts such as "10.0.0.0/24" or "10.0.0.5".

    Raises:
        ConfigError: a text is no address or network.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(
            f"--allow-from: {error}; give an address or network, as 10.0.0.0/24"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Tls:
    """Certificates.

    Attributes:
        certificate: PEM file of the node's certificate and those between it and its root.
        key: PEM file of its key.
        authorities: PEM file of the authorities that sign the certificates of the others.
    """

    certificate: Path
    key: Path
    authorities: Path


@dataclass(frozen=True)
class Limits:
    """What the node takes.

    Attributes:
        associations: at once.
        instance_bytes: size of an instance.
        instances: of a study.
        study_bytes: size of a study.
        spool_bytes: size of all that is kept.
        free_bytes: room that stays free on the disk.
        wait_s: age of a study that is not complete.
        idle_s: silence on a connection.
        segmenting_s: time to segment a study.
    """

    associations: int = 10
    instance_bytes: int = 2**30
    instances: int = 20_000
    study_bytes: int = 8 * 2**30
    spool_bytes: int = 50 * 2**30
    free_bytes: int = 2**30
    wait_s: float = 3600
    idle_s: float = 60
    segmenting_s: float = 1800


@dataclass(frozen=True)
class ListenerSettings:
    """Where the node listens, and to whom.

    Attributes:
        ae_title: its own AE title, which those who call must name.
        host: address to listen on.
        port: port, 0 for any.
        allowed_titles: AE titles that may call; empty: all.
        allowed_networks: of addresses that may call; empty: all.
        tls: encrypts, and asks those who call for a certificate.
    """

    ae_title: str = "CTCT"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed_titles: tuple[str, ...] = ()
    allowed_networks: tuple[Any, ...] = ()
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.allowed_titles:
            raise ConfigError(f"--host {self.host}: name those who may send, as in --allow-ae PACS")


@dataclass(frozen=True)
class SendingSettings:
    """Where results go.

    Attributes:
        ae_title: the node's own AE title.
        destinations: DICOM nodes.
        stow: URLs of DICOMweb archives.
        tls: encrypts what goes to ``destinations``.
        credentials: user and password for ``stow``.
    """

    ae_title: str = "CTCT"
    destinations: tuple[Destination, ...] = ()
    stow: tuple[str, ...] = ()
    tls: Tls | None = None
    credentials: tuple[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each destination in the queue."""
        return (*map(str, self.destinations), *self.stow)


@dataclass(frozen=True)
class PollingSettings:
    """An archive that is asked for studies.

    Attributes:
        url: of its DICOMweb service.
        query: QIDO-RS filters of studies, by attribute.
        interval_s: between two questions.
        credentials: user and password.
    """

    url: str
    query: dict[str, str] = field(default_factory=dict)
    interval_s: float = 60
    credentials: tuple[str, str] | None = None


@dataclass(frozen=True)
class SegmentingSettings:
    """How studies are segmented; see :func:`ctct.predict`.

    Attributes:
        model: see there, as are ``runtime`` to ``precision``.
        runtime: see there.
        device: see there.
        precision: see there.
        options: further arguments of :func:`ctct.predict`.
    """

    model: str = "default"
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeSettings:
    """All settings of a node.

    Attributes:
        folder: the queue, and what is in work.
        listener: None: nothing is listened to.
        polling: an archive that is asked for studies.
        watched: a folder that is searched for scans.
        out: where results are kept; None: nowhere.
        segmenting: how studies are segmented.
        sending: where results go.
        limits: what the node takes.
        quiet_s: time without a new image after which a study is complete.
        keep_days: how long failed studies, and records of others, are kept.
        status_port: port of ``/health`` and ``/metrics`` on loopback; None: nowhere.
    """

    folder: Path
    listener: ListenerSettings | None = None
    polling: PollingSettings | None = None
    watched: Path | None = None
    out: Path | None = None
    segmenting: SegmentingSettings = field(default_factory=SegmentingSettings)
    sending: SendingSettings = field(default_factory=SendingSettings)
    limits: Limits = field(default_factory=Limits)
    quiet_s: float = 10
    keep_days: float = 7
    status_port: int | None = None

    def __post_init__(self) -> None:
        if not self.sending.names and not self.out:
            raise ConfigError(
                "results would go nowhere: give --send-to AETITLE@HOST:PORT, --stow URL or -o DIR"
            )
