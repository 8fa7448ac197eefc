"""Messages for a terminal, each on one line."""

from __future__ import annotations

import logging
import sys


def one_line(text: object) -> str:
    """``text`` with unprintable characters escaped: file names may hold line ends and worse."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )


def count_of(number: int, noun: str) -> str:
    """The number and the noun, as in "1 frame" and "2 frames"."""
    return f"{number} {noun}{'s' * (number != 1)}"


class OneLineFormatter(logging.Formatter):
    """Formats each message as one line; a traceback follows unchanged."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The message, escaped."""
        return one_line(super().formatMessage(record))


class StderrHandler(logging.Handler):
    """Writes each message to ``sys.stderr``, looked up at that time.

    While a progress bar is shown, rich stands in for ``sys.stderr`` and writes above the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(OneLineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # as in logging.StreamHandler: no message may end the program
            self.handleError(record)
