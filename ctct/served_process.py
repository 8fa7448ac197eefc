"""A process that holds what takes long to load, at the other end of a pipe."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class ServedProcess:
    """A process that runs ``serve(connection, *arguments)`` until its pipe is closed.

    Args:
        serve: a function that a module defines.
        arguments: picklable.
        name: of the process.

    Attributes:
        connection: this process's end of the pipe.
    """

    def __init__(self, serve: Callable[..., None], *arguments: Any, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, *arguments), name=name, daemon=True
        )
        self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End it, from any thread; the connection tells."""
        self._process.kill()

    def wait(self) -> int | None:
        """Its exit code, once it has ended."""
        self._process.join()
        return self._process.exitcode

    def close(self) -> None:
        """End it, and the connection."""
        self.connection.close()
        self.kill()
        self.wait()
