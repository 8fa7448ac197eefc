"""What every request passes: the content policy, and who sends it and may upload."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from ctct.demo.access import App
from ctct.demo.quotas import HourlyQuota, visitor_at
from ctct.demo.uploads import Uploads
from ctct.demo.visits import COOKIE, owner_of, uploading

#: The browser may load files of this server and pictures inside the page, nothing else, and shows
#: the page in frames of this server only.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; "
        "form-action 'self'; base-uri 'self'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

#: Where a request keeps whose quota it takes from.
VISITOR = "ctct.visitor"


class ContentPolicy:
    """ASGI middleware that sends :data:`HEADERS` with every response."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, and add the headers to its response."""

        async def send_with_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Reception:
    """ASGI middleware that knows who is on the page, and limits what they upload and ask for.

    A visitor has a cookie. A tab is the session that Gradio's page keeps a connection open for.
    Quotas are those of a user, or of an address where users have no names: a cookie can be
    thrown away.

    Args:
        app: gets what is not refused.
        uploads: of all visitors.
        quota: scans of all visitors.
        waiting: how many scans wait, of those whom :data:`VISITOR` names so.
    """

    def __init__(
        self, app: App, uploads: Uploads, quota: HourlyQuota, waiting: Callable[[str], int]
    ) -> None:
        self.app, self.uploads, self.quota, self.waiting = app, uploads, quota, waiting

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, unless it takes more than there is for this visitor, or for all."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, path, is_post = Request(scope), scope["path"], scope["method"] == "POST"
        visitor = request.cookies.get(COOKIE, "")
        owner = owner_of(visitor)
        scope[VISITOR] = _visitor_of(scope)
        if is_post and path.endswith("/upload"):
            await self._upload(request, owner, receive, send)
            return
        if is_post and (path.endswith("/queue/join") or "/call/" in path):
            refused = self._refuse_scan(scope[VISITOR])
            if refused:
                await JSONResponse({"detail": refused}, 429)(scope, receive, send)
                return
        _, is_heartbeat, tab = path.rpartition("/heartbeat/")
        tab = tab if is_heartbeat else request.query_params.get("session_hash", "")
        with self.uploads.visits.connection(owner, *([tab] if tab else [])):
            await self.app(scope, receive, send if visitor else _with_cookie(scope, send))

    async def _upload(self, request: Request, owner: str, receive: Any, send: Any) -> None:
        size = request.headers.get("content-length", "")
        if not size.isdecimal():
            refuse = PlainTextResponse("the size is missing (Content-Length)", 411)
            await refuse(request.scope, receive, send)
            return
        group = owner_of(request.scope[VISITOR])
        with self.uploads.room(int(size), group) as fits, uploading(f"{owner}-{group}"):
            refuse = PlainTextResponse("too many scans wait here; try again later", 413)
            await (self.app if fits else refuse)(request.scope, receive, send)

    def _refuse_scan(self, visitor: str) -> str:
        most = self.quota.quotas.waiting
        if self.waiting(visitor) >= most:
            return f"You have {most} scans that wait here; send the next one after these"
        return self.quota.take(visitor)


def _visitor_of(scope: dict[str, Any]) -> str:
    """Name of the user, or the address, whose quota a request takes from."""
    if "user" in scope:
        return f"user {scope['user'].display_name}"
    return visitor_at(scope["client"][0]) if scope.get("client") else ""


def _with_cookie(scope: dict[str, Any], send: Any) -> Any:
    """``send`` that also gives the visitor a cookie."""
    secure = "; Secure" if scope["scheme"] == "https" else ""
    cookie = f"{COOKIE}={secrets.token_urlsafe()}; Path=/; HttpOnly; SameSite=Lax{secure}"

    async def send_with_cookie(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return send_with_cookie
