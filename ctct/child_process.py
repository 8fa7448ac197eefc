"""Functions in a process of their own, under limits on time and memory.

Damaged or hostile files can keep a decoder busy for hours, fill the memory, or crash the process.
So they are read in another process, which is killed when it exceeds a limit. It is started when
first needed, stays for the next call, and ends with this process. Arrays come back as raw bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np

T = TypeVar("T")

log = logging.getLogger(__name__)

_START = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from ctct.child_process import serve
serve()
"""
#: One thread each: otherwise a machine of many cores needs much memory for their stacks.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
_PIPE_BYTES = 2**20
#: Memory of the process itself, with its libraries.
_OWN_BYTES = 2**28
#: Processor time beyond the deadline after which the process ends itself, its parent being gone.
_GRACE_S = 10


class ChildError(Exception):
    """The process was killed or crashed before it answered."""


class TimedOutError(ChildError):
    """The process took longer than the deadline, and was killed."""


class _Child:
    """A process that waits for calls."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
        )
        self._into = cast(BinaryIO, self._process.stdin)
        self._out = cast(BinaryIO, self._process.stdout)
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl  # not on Windows

            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        pickle.dump(sys.path, self._into)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def call(self, request: object, deadline_s: float) -> Any:
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(deadline_s, kill)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump(request, self._into)
            self._into.flush()
            return _receive(self._out)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise TimedOutError if timed_out.is_set() else ChildError from error
        finally:
            timer.cancel()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._into, self._out):
            with contextlib.suppress(OSError):  # what was not sent cannot be flushed
                stream.close()


#: Whether this is such a process.
_is_serving = False

#: Processes that wait. A copy of this process must not talk to those of the original.
_idle: list[_Child] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)


@atexit.register
def end_idle() -> None:
    """End the processes that wait for calls."""
    while _idle:
        _idle.pop().end()


def call_apart(function: Callable[..., T], *arguments: Any, deadline_s: float, max_bytes: int) -> T:
    """Call a function in another process; what it logs, warns of and raises arrives here.

    Within such a process the function is called at once: the limits hold there already.

    Args:
        function: one that a module defines.
        arguments: of the function; they and what it returns can be pickled.
        deadline_s: seconds after which the process is killed.
        max_bytes: largest result; the process may take three times as much memory.

    Raises:
        TimedOutError: the function took longer.
        ChildError: the process crashed, or its memory did not suffice.
    """
    if _is_serving:
        return function(*arguments)
    child = None
    while _idle and child is None:
        with contextlib.suppress(IndexError):  # another thread has taken the last one
            child = _idle.pop()
        if child and not child.is_running():
            child.end()
            child = None
    child = child or _Child()
    level = logging.getLogger("ctct").getEffectiveLevel()
    try:
        request = (function, arguments, Path.cwd(), deadline_s, max_bytes, level)
        records, warned, result, error = child.call(request, deadline_s)
    except BaseException:  # Ctrl-C too: nobody waits for the answer any more
        child.end()
        raise
    _idle.append(child)
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    for warning in warned:
        warnings.warn_explicit(*warning)
    if error is not None:
        raise error
    return cast(T, result)


def _receive(stream: BinaryIO) -> Any:
    """What :func:`_send` has sent; its arrays can be written to."""
    content, sizes = pickle.load(stream)
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if cast(io.BufferedReader, stream).readinto(buffer.data) < len(buffer):
            raise EOFError
    return pickle.loads(content, buffers=buffers)


def _send(answer: object, stream: BinaryIO) -> None:
    """Send an object, its arrays without a copy."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    pickle.dump((content, [array.nbytes for array in arrays]), stream)
    for array in arrays:
        stream.write(array)
    stream.flush()


def serve() -> None:
    """Answer calls until the other process closes the pipe; the main function of the process."""
    global _is_serving
    _is_serving = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other one decides
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep what libraries print out of the answers
    with contextlib.suppress(EOFError):
        while True:
            request = pickle.load(sys.stdin.buffer)
            function, arguments, folder, deadline_s, max_bytes, level = request
            with contextlib.suppress(OSError):  # paths may be relative
                os.chdir(folder)
            _limit(deadline_s, max_bytes)
            _send(_answer(function, arguments, level), out)


def become_worker() -> None:
    """Set up a process that :mod:`multiprocessing` has started to work on patients' scans.

    It ends with its parent, whatever it is doing, leaves signals to the parent, and logs nothing,
    since messages may quote headers.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach both
        signal.signal(number, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _answer(
    function: Callable[..., Any], arguments: tuple[Any, ...], level: int
) -> tuple[list[logging.LogRecord], list[tuple[Any, ...]], Any, Exception | None]:
    """Log records, warnings, and the result of a function or the exception that it raised."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = logging.getLogger()
    logger.handlers = [logging.handlers.QueueHandler(records)]
    logger.setLevel(level)
    result, error = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            result = function(*arguments)
        except Exception as raised:
            log.debug("the other process raised", exc_info=True)
            error = _portable(raised)
    warned = [(str(w.message), w.category, w.filename, w.lineno) for w in caught]
    return [records.get() for _ in range(records.qsize())], warned, result, error


def _portable(error: Exception) -> Exception:
    """An exception that can be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _limit(deadline_s: float, max_bytes: int) -> None:
    """Limit the memory of this process, and the processor time of the next call."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        for kind, limit in (
            (resource.RLIMIT_DATA, 3 * max_bytes + _OWN_BYTES),
            (resource.RLIMIT_CPU, int(sum(os.times()[:2]) + deadline_s + _GRACE_S)),
        ):
            _, most = resource.getrlimit(kind)
            limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (limit, most))
