"""Who may see the page: by host name, by password, or by the header of a proxy."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from ctct.demo.settings import parse_networks
from ctct.errors import ConfigError, RuntimeUnavailableError
from ctct.installation import how_to_install

#: Passwords that are tried at once, and the time that each wrong one takes.
_AT_ONCE, _WRONG_S = 4, 1.0
_MAX_NAME = 128

App = Callable[..., Awaitable[None]]
Known = tuple[AuthCredentials, SimpleUser]


class HostCheck:
    """ASGI middleware that refuses requests to unknown host names.

    Otherwise a page of another site could have its own name point to this server, and read what it
    answers (DNS rebinding). Addresses cannot be abused so.

    Args:
        app: gets the other requests.
        hosts: names that are known, besides "localhost".
    """

    def __init__(self, app: App, hosts: tuple[str, ...]) -> None:
        self.app = app
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or self._is_known(scope):
            await self.app(scope, receive, send)
        else:
            refuse = PlainTextResponse("unknown host name; see ctct demo --allow-host", 421)
            await refuse(scope, receive, send)

    def _is_known(self, scope: dict[str, Any]) -> bool:
        host = HTTPConnection(scope).headers.get("host", "").lower()
        name = host.partition("]")[0].strip("[") if host[:1] == "[" else host.partition(":")[0]
        return name in self._hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class PasswordFile(AuthenticationBackend):
    """Users and their passwords, by HTTP Basic.

    Args:
        path: a file of lines ``name:hash`` with hashes by bcrypt, as ``htpasswd -B`` writes them.

    Raises:
        ConfigError: the file cannot be read, or a line has another form.
        RuntimeUnavailableError: bcrypt is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import bcrypt
        except ModuleNotFoundError as error:
            raise RuntimeUnavailableError(
                f"--auth needs bcrypt; {how_to_install('demo')}"
            ) from error
        self._check = bcrypt.checkpw
        self._hashes = _read_passwords(path)
        self._unknown = bcrypt.hashpw(b"", bcrypt.gensalt(10))
        self._turns = anyio.CapacityLimiter(_AT_ONCE)
        self._key = secrets.token_bytes(32)
        self._accepted: dict[bytes, str] = {}  # a check takes long on purpose

    async def authenticate(self, conn: HTTPConnection) -> Known:
        """The user whose password the request has.

        Raises:
            AuthenticationError: it has none, or a wrong one.
        """
        sent = conn.headers.get("authorization", "")
        digest = hmac.digest(self._key, sent.encode(), hashlib.sha256)
        if digest not in self._accepted:
            name, password = _decode_basic(sent)
            async with self._turns:
                if not await anyio.to_thread.run_sync(self._matches, name, password):
                    await anyio.sleep(_WRONG_S)
                    raise AuthenticationError("wrong name or password")
            self._accepted[digest] = name
        return AuthCredentials(["authenticated"]), SimpleUser(self._accepted[digest])

    def _matches(self, name: str, password: bytes) -> bool:
        known = self._hashes.get(name)
        try:  # an unknown name takes as long as a known one
            return self._check(password, known or self._unknown) and known is not None
        except ValueError:  # too long for bcrypt
            return False

    @staticmethod
    def refuse(_: HTTPConnection, error: AuthenticationError) -> Response:
        """Ask for a password."""
        headers = {"WWW-Authenticate": 'Basic realm="ctct", charset="UTF-8"'}
        return PlainTextResponse(str(error), 401, headers)


def _decode_basic(header: str) -> tuple[str, bytes]:
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        name, separator, password = base64.b64decode(encoded, validate=True).partition(b":")
        if not separator:
            raise ValueError
        return name.decode(), password
    except (ValueError, binascii.Error) as error:
        raise AuthenticationError("name and password, please") from error


def _read_passwords(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--auth {path}: cannot be read ({error})") from error
    hashes = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        if not name or not hashed.startswith(("$2a$", "$2b$", "$2y$")) or len(hashed) != 60:
            raise ConfigError(
                f"--auth {path}, line {number}: no NAME:HASH with a hash by bcrypt; make one with "
                f"htpasswd -B {path} NAME"
            )
        hashes[name] = hashed.encode()
    if not hashes:
        raise ConfigError(f"--auth {path}: names no user; make one with htpasswd -B {path} NAME")
    return hashes


class TrustedHeader(AuthenticationBackend):
    """The user that a proxy names in a header.

    Args:
        header: its name.
        proxies: addresses and networks of the proxies; nobody else is served.
    """

    def __init__(self, header: str, proxies: tuple[str, ...]) -> None:
        self._header, self._proxies = header, parse_networks(proxies)

    async def authenticate(self, conn: HTTPConnection) -> Known:
        """The user that the header names.

        Raises:
            AuthenticationError: another than a proxy has connected, or it names no user.
        """
        address = ipaddress.ip_address(conn.client.host) if conn.client else None
        address = getattr(address, "ipv4_mapped", None) or address
        if address is None or not any(address in network for network in self._proxies):
            raise AuthenticationError("come by the proxy, please")
        names = conn.headers.getlist(self._header)
        name = names[0].strip() if len(names) == 1 else ""
        if not name or not name.isprintable() or len(name) > _MAX_NAME:
            raise AuthenticationError("the proxy names no user")
        return AuthCredentials(["authenticated"]), SimpleUser(name)

    @staticmethod
    def refuse(_: HTTPConnection, error: AuthenticationError) -> Response:
        """Refuse a request."""
        return PlainTextResponse(str(error), 403)
