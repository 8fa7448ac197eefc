"""A process of its own that holds the models and labels visitors' scans, one at a time.

A scan that takes too long, or crashes the process, costs its visitor only: the process is replaced.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ctct.child_process import become_worker
from ctct.demo.engines import Engines
from ctct.errors import CtctError, InputError, RuntimeUnavailableError
from ctct.model_files.model_file import DEFAULT
from ctct.served_process import ServedProcess

log = logging.getLogger(__name__)

#: Longest time for a scan, in seconds, while other visitors wait.
DEADLINE_S = 300.0
_LOADING_S = 600

#: What the process sends: how far it is, a part of the answer, that this was all, or an exception.
_STAGE, _PART, _END, _ERROR = range(4)

OnStage = Callable[[str, float], object]
#: A function that runs in the process: its last arguments are the engines and an ``OnStage``.
Visit = Callable[..., Iterator[Any]]


@dataclass(frozen=True)
class EngineChoice:
    """The models and runtimes to offer; see :class:`ctct.demo.engines.Engines`."""

    models: Sequence[str] = (DEFAULT,)
    runtime: str = "auto"
    device: str = "auto"


class Worker:
    """Labels scans in another process, for one visitor at a time: the next one ends the last one.

    Args:
        choice: the models and runtimes to offer.
        folder: for networks of a pair.
        deadline_s: time for a scan.

    Attributes:
        options: as of :class:`ctct.demo.engines.Engines`.

    Raises:
        CtctError: the first model cannot be loaded.
    """

    def __init__(
        self, choice: EngineChoice, folder: Path | None = None, deadline_s: float = DEADLINE_S
    ) -> None:
        self._choice, self._folder, self._deadline_s = choice, folder, deadline_s
        self._lock = threading.Lock()
        self._visit: object = None  # whose turn it is
        self._process: ServedProcess | None = None
        self.options: dict[str, dict[str, str]] = {}
        self._start()

    @property
    def first(self) -> str:
        """Name of the engine to start with."""
        return next(iter(self.options))

    def _start(self) -> None:
        self._process = ServedProcess(_serve, self._choice, self._folder, name="ctct-demo")
        connection = self._process.connection
        try:
            answer = connection.recv() if connection.poll(_LOADING_S) else None
        except (EOFError, OSError):
            answer = None
        if isinstance(answer, dict):
            self.options = answer
            return
        self._end()
        raise answer or RuntimeUnavailableError("the model cannot be loaded; see ctct doctor")

    def run(self, visit: Visit, *arguments: Any, on_stage: OnStage) -> Generator[Any, None, None]:
        """What a function yields in the process; where nobody asks for more, it is ended.

        Args:
            visit: one that a module defines.
            arguments: all but the last two.
            on_stage: told of the progress.

        Raises:
            CtctError: the function raises it.
            InputError: it takes longer than the deadline, or crashes the process.
            RuntimeError: the function raises anything else.
        """
        mine = object()
        with self._lock:
            if self._visit is not None or self._process is None or not self._process.is_alive():
                self._end()  # whoever had it has left
                self._start()
            assert self._process
            self._visit, connection = mine, self._process.connection
        is_over = False
        try:
            self._send(connection, (visit, arguments))
            deadline = time.monotonic() + self._deadline_s
            while True:
                kind, content = self._receive(connection, deadline)
                if kind == _STAGE:
                    on_stage(*content)
                elif kind == _PART:
                    yield content
                else:
                    is_over = True
                    break
        finally:
            with self._lock:
                if self._visit is mine:
                    self._visit = None
                    if not is_over:
                        self._end()
        if kind == _ERROR:
            raise content

    def _send(self, connection: Connection, task: object) -> None:
        try:
            connection.send(task)
        except OSError as error:
            raise InputError("the server was busy with itself; try again") from error

    def _receive(self, connection: Connection, deadline: float) -> tuple[int, Any]:
        try:
            if connection.poll(max(deadline - time.monotonic(), 0)):
                message: tuple[int, Any] = connection.recv()
                return message
        except (EOFError, OSError) as error:
            raise InputError(
                "the process that labels this scan crashed, perhaps for lack of memory; use ctct "
                "predict"
            ) from error
        raise InputError(
            f"this scan takes longer than {self._deadline_s:g} seconds; use ctct predict, or "
            "let the server have a longer --deadline"
        )

    def _end(self) -> None:
        if self._process:
            self._process.close()
        self._process = None

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with self._lock:
            self._end()


def _serve(connection: Connection, choice: EngineChoice, folder: Path | None) -> None:
    """Load the first model, and label scans until the server ends; the process's main function."""
    become_worker()
    try:
        engines = Engines(choice.models, choice.runtime, choice.device)
    except CtctError as error:
        connection.send(error)
        return
    engines.folder = folder
    connection.send(engines.options)

    def on_stage(stage: str, share: float) -> None:
        connection.send((_STAGE, (stage, share)))

    while True:
        try:
            visit, arguments = connection.recv()
        except EOFError:
            return
        try:
            for part in visit(*arguments, engines, on_stage):
                connection.send((_PART, part))
            connection.send((_END, None))
        except CtctError as error:
            connection.send((_ERROR, error))
        except Exception:
            connection.send((_ERROR, RuntimeError(traceback.format_exc())))
