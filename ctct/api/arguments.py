"""Arguments of the public functions, made paths and tuples of names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ctct.errors import InputError, missing_package
from ctct.io.remote import is_url

OneOrMore = str | Path | Sequence[str | Path]


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Name the extra where one of its packages is not installed.

    Args:
        extra: of ctct.

    Raises:
        RuntimeUnavailableError: a package is not installed; the message says how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := missing_package(error, extra):
            raise missing from error
        raise


def as_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Several names, or one text with commas between them."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


def as_path(value: object, what: str) -> Path:
    """A path from an argument.

    Args:
        value: the argument.
        what: what it is, for the error.

    Raises:
        InputError: it is no path, or an empty one, which would be the current folder.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{what} is {value!r}; give a path")
    text = os.fspath(value)
    if not text or not isinstance(text, str) or "\0" in text:
        raise InputError(f"{what} is {text!r}; give a path")
    return Path(text)


def as_tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    """One text, or several."""
    return (value,) if isinstance(value, str) else tuple(value)


def as_optional_path(path: str | Path | None) -> Path | None:
    """A path, if one is given."""
    return None if path is None else as_path(path, "a path")


def as_places(scans: OneOrMore) -> list[str | Path]:
    """Paths, and URLs as they are."""
    if is_url(scans):
        return [str(scans)]
    if isinstance(scans, str | os.PathLike) or not isinstance(scans, Sequence) or not scans:
        return [*as_paths(scans, "scans")]
    return [str(place) if is_url(place) else as_path(place, "scans") for place in scans]


def as_paths(paths: OneOrMore, what: str) -> list[Path]:
    """One path, or several.

    Args:
        paths: the argument.
        what: what it is, for the error.

    Raises:
        InputError: there is none, or it is no path.
    """
    if isinstance(paths, str | os.PathLike):
        return [as_path(paths, what)]
    if not isinstance(paths, Sequence):
        raise InputError(f"{what} is {paths!r}; give a path, or a list of paths")
    if not paths:
        raise InputError(f"{what} is an empty list; give files or folders")
    return [as_path(path, what) for path in paths]
