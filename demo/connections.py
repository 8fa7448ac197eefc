"""Connections that end when their client sends a request too slowly, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import h11
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from ctct.demo.access import App

#: Longest time for the headers of a request.
HEADERS_S = 10.0
#: Longest silence within a body, and its lowest rate, beyond as much time as that.
SILENCE_S, MIN_BYTES_PER_S = 20.0, 20_000


class ImpatientProtocol(H11Protocol):
    """Ends a connection whose request has no complete headers in time.

    uvicorn limits the time between two requests only.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take data; wait for the rest of the headers, if they are incomplete."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEADERS_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


class BodyDeadline:
    """ASGI middleware that ends a request whose body comes too slowly, or stops coming."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, and tell it of a client that is too slow as of one that has left."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, arrived, is_whole, is_late, has_answered = time.monotonic(), 0, False, False, False

        async def receive_in_time() -> Any:
            nonlocal arrived, is_whole, is_late
            if is_whole:
                return await receive()
            allowed = SILENCE_S + arrived / MIN_BYTES_PER_S - (time.monotonic() - begun)
            try:
                message = await asyncio.wait_for(receive(), max(0, min(allowed, SILENCE_S)))
            except TimeoutError:
                is_late = True
                return {"type": "http.disconnect"}
            arrived += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        async def send_and_note(message: Any) -> None:
            nonlocal has_answered
            if not is_late or has_answered:
                has_answered = True
                await send(message)

        try:
            await self.app(scope, receive_in_time, send_and_note)
        except Exception:
            if not is_late or has_answered:
                raise
        if is_late and not has_answered:
            late = PlainTextResponse("too slow", 408, {"Connection": "close"})
            await late(scope, receive, send)
