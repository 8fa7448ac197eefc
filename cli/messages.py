"""Words for a terminal."""

from __future__ import annotations

import logging


def one_line(text: object) -> str:
    """``text`` with what cannot be printed escaped: file names may hold line ends and worse."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )


class OneLineFormatter(logging.Formatter):
    """Messages of one line each; a traceback follows as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The message, escaped."""
        return one_line(super().formatMessage(record))
