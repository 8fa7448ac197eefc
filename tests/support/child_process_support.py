"""Functions that tests call in another process, which imports them from here."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import numpy as np


class OddError(Exception):
    """Cannot be pickled: its constructor takes two arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def count(n: int) -> tuple[int, np.ndarray, list[np.ndarray]]:
    numbers = np.arange(n, dtype=np.int16).reshape(2, -1)
    return os.getpid(), numbers, [numbers[:, ::2], np.asfortranarray(numbers), np.empty(0)]


def complain(error: Exception | str) -> None:
    sys.stdout.write("to standard output, which holds the answers")
    os.write(1, b"from a library in C")
    logging.getLogger("ctct.io").warning("%s is odd", "scan.zip")
    logging.getLogger("ctct.io").debug("not shown")
    warnings.warn("as of numpy", RuntimeWarning, stacklevel=1)
    if isinstance(error, str):
        raise OddError(1, 2)
    raise error


def fill(n: int) -> int:
    return len(bytearray(b"1") * n)


def loop() -> None:
    while True:
        pass
