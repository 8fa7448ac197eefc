"""Settings of the server of the page."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctct.demo.worker import DEADLINE_S, EngineChoice
from ctct.errors import ConfigError

_ROOT_PATH = re.compile(r"(/[\w.~-]+)+")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
LOOPBACK = ("127.0.0.0/8", "::1")


@dataclass(frozen=True)
class Quotas:
    """What visitors may take.

    Attributes:
        waiting: scans of a visitor that wait for their turn.
        hourly: scans of a visitor in an hour.
        hourly_in_sum: scans of all visitors in an hour.
        visitor_bytes: uploads of a visitor that are not read yet.
        bytes_in_sum: uploads of all visitors that are not read yet.
    """

    waiting: int = 10
    hourly: int = 300
    hourly_in_sum: int = 1000
    visitor_bytes: int = 2**30
    bytes_in_sum: int = 4 * 2**30


@dataclass(frozen=True)
class ServerSettings:
    """Where the page is served, and to whom.

    Attributes:
        engines: the models and runtimes to offer.
        host: address to listen on.
        port: to listen on; None for the first free one from 7860.
        root_path: path of the page on a proxy, as in "/ctct"; "" for none.
        hosts: names under which visitors reach the page, besides addresses and "localhost".
        passwords: file of the users; None: no password is asked for.
        trusted_header: header in which a proxy names the user; "" for none.
        proxies: addresses and networks of the proxies.
        quotas: what visitors may take.
        deadline_s: longest time for a scan.
    """

    engines: EngineChoice = field(default_factory=EngineChoice)
    host: str = "127.0.0.1"
    port: int | None = None
    root_path: str = ""
    hosts: tuple[str, ...] = ()
    passwords: Path | None = None
    trusted_header: str = ""
    proxies: tuple[str, ...] = LOOPBACK
    quotas: Quotas = field(default_factory=Quotas)
    deadline_s: float = DEADLINE_S

    def __post_init__(self) -> None:
        if self.root_path and not _ROOT_PATH.fullmatch(self.root_path):
            raise ConfigError(f"--root-path {self.root_path}: give a path such as /ctct")
        if self.trusted_header and not _HEADER.fullmatch(self.trusted_header):
            raise ConfigError(
                f"--trusted-header {self.trusted_header}: give the name of a header, as "
                "X-Remote-User"
            )
        if self.trusted_header and self.passwords:
            raise ConfigError("--auth and --trusted-header exclude each other")
        parse_networks(self.proxies)


def parse_networks(texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Networks, from texts such as "10.0.0.0/24" or "10.0.0.5".

    Raises:
        ConfigError: a text is no address or network.
    """
    try:
        return tuple(map(ipaddress.ip_network, texts))
    except ValueError as error:
        raise ConfigError(f"--proxy: {error}; give an address or network, as 10.0.0.5") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
