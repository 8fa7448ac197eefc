"""How many threads a runtime may use on the CPU."""

from __future__ import annotations

import os

from ctct.errors import ConfigError

#: Environment variable with the number.
THREADS = "CTCT_THREADS"


def cpu_threads() -> int | None:
    """Threads that a runtime may use on the CPU; None for as many as it likes.

    Raises:
        ConfigError: ``CTCT_THREADS`` is no number.
    """
    text = os.environ.get(THREADS, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{THREADS}={text}: give a number, from 1")
    return int(text)
