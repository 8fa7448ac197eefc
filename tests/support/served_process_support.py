"""What tests run in another process, which can import it, unlike a test."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any


def add_to(connection: Connection, start: int) -> None:
    """Answer each number with its sum with the first one; ends at None."""
    while (number := connection.recv()) is not None:
        connection.send(start + number)


def sleep(seconds: float, engines: Any, on_stage: Any) -> Iterator[str]:
    """A visit that takes some time."""
    on_stage("asleep", 0.5)
    yield "fell asleep"
    time.sleep(seconds)
    yield "woke up"


def crash(engines: Any, on_stage: Any) -> Iterator[None]:
    """A visit that ends the process."""
    yield os._exit(7)


def fail(engines: Any, on_stage: Any) -> Iterator[None]:
    """A visit that finds a bug."""
    yield None
    raise ZeroDivisionError("a bug")


def pid(engines: Any, on_stage: Any) -> Iterator[int]:
    """A visit that tells in which process it is."""
    yield os.getpid()
