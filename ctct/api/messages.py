"""Errors in the words of Python: below the API, messages name the options of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ctct.errors import CtctError

P = ParamSpec("P")
R = TypeVar("R")

#: An option; but not in a whole command, such as "pip install --upgrade".
_OPTION = re.compile(r"(\b(?:ctct|pip) [^;,()]*)|--([a-z]+(?:-[a-z]+)*)")
#: Arguments that are not called like their option.
_ARGUMENTS = {"format": "formats", "keep_all_components": "clean_up=False"}


def naming_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose errors name arguments; ``with_options`` keeps the message as it was."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CtctError as error:
            error.with_options = error.with_options or str(error)
            error.args = (name_arguments(str(error)),)
            raise

    return wrapper


def name_arguments(message: str) -> str:
    """The message with arguments for options.

    >>> name_arguments("--batch 0: give a number of slices; --no-heart-crop needs none")
    'batch 0: give a number of slices; heart_crop=False needs none'
    """
    return _OPTION.sub(lambda match: match[1] or _argument(match[2]), message)


def _argument(option: str) -> str:
    name = option.replace("-", "_")
    if name.startswith("no_"):
        return f"{name.removeprefix('no_')}=False"
    return _ARGUMENTS.get(name, name)
