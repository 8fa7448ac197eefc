"""The errors ctct raises on purpose. Each carries the exit code its command ends with.

Every message names what was received and how to mend it, on one line.
"""

from __future__ import annotations

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130


class CtctError(Exception):
    """Base of every error a user can cause or mend."""

    exit_code = EXIT_INTERNAL


class ConfigError(CtctError):
    """An option or a setting makes no sense."""

    exit_code = EXIT_USAGE


class InputError(CtctError):
    """A file, array or folder cannot be used as it is."""

    exit_code = 4


class OutputError(CtctError):
    """A result cannot be written.

    Attributes:
        everywhere: whether no other file could be written either: the disk is full or read-only.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, everywhere: bool = False) -> None:
        super().__init__(message)
        self.everywhere = everywhere


class RuntimeUnavailableError(CtctError):
    """The runtime or device asked for is not on this machine."""

    exit_code = 5


class ParityError(CtctError):
    """An exported model does not say what the trained one says."""

    exit_code = 6


class ModelError(CtctError):
    """A model file is missing, damaged or not one of ctct's."""

    exit_code = 7
