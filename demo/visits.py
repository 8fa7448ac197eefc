"""Who is on the page: visitors and their tabs, as long as a connection of theirs is open."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio import route_utils

#: Tells visitors apart: a random text that only the visitor's browser or client knows.
COOKIE = "ctct-visitor"


@dataclass
class UploadRequest:
    """A request that uploads files.

    Attributes:
        owner: who sends it; see :func:`owner_of`.
        partial: the files as far as they have arrived.
    """

    owner: str
    partial: list[Path] = field(default_factory=list)


#: The request that is handled.
_request: ContextVar[UploadRequest] = ContextVar("_request")


def owner_of(visitor: str) -> str:
    """How folders of a visitor's uploads begin.

    Args:
        visitor: the value of the visitor's cookie; "" for clients that keep none.
    """
    return hashlib.sha256(visitor.encode()).hexdigest()[:32]


ANYONE = owner_of("")


@contextmanager
def uploading(owner: str) -> Iterator[None]:
    """Name the folders of uploads after their owner; delete what is incomplete at the end."""
    request = UploadRequest(owner)
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)
        for path in request.partial:  # complete files have another name
            with suppress(OSError):
                path.unlink(missing_ok=True)


class _FolderName:
    """Stands for the digest of an upload's content, after which Gradio names its folder.

    Visitors with the same file would share a folder, and whoever knows a file could name its path.
    """

    def __init__(self, owner: str) -> None:
        self._name = f"{owner}-{secrets.token_hex(16)}"

    def update(self, content: bytes) -> None:
        """Take a part of the content, of which the name is independent."""

    def hexdigest(self) -> str:
        """The name."""
        return self._name


class _Upload(route_utils.GradioUploadFile):  # type: ignore[misc]
    """An upload into a folder of its visitor."""

    def __init__(self, file: Any, **details: Any) -> None:
        super().__init__(file, **details)
        request = _request.get()
        request.partial.append(Path(file.name))
        self.sha = _FolderName(request.owner)


route_utils.GradioUploadFile = _Upload


class Visits:
    """The open connections of visitors and their tabs; safe to use from several threads.

    Args:
        on_end: called with a key when its last connection has ended.
    """

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, *keys: str) -> Iterator[None]:
        """An open connection of a visitor (see :func:`owner_of`) and one of its tabs."""
        with self._lock:
            self._open.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._open.subtract(keys)
                ended = [key for key in keys if not self._open[key]]
                for key in ended:
                    del self._open[key]
            for key in ended:
                self._on_end(key)

    def is_here(self, key: str) -> bool:
        """Whether a connection is open."""
        with self._lock:
            return key in self._open
