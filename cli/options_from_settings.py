"""Command-line options generated from a pydantic model whose fields are groups of settings."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

#: Longer lists of choices stand in the help of an option: beside its name they would cut it off.
_MAX_CHOICES_WIDTH = 16


def options_from(
    settings: type[BaseModel], leave_out: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with an option for each setting, in one help panel per group.

    Defaults are shown but not filled in: the command gets the settings that were on the command
    line, and no others, as a ``dict`` by name in its parameter ``overrides``.

    ``leave_out`` names settings without an option.

    Raises:
        TypeError: two groups have a setting of the same name.
    """
    added = [option for option in _options(settings) if option.name not in leave_out]
    names = [option.name for option in added]
    if len(set(names)) < len(names):
        raise TypeError(f"{settings.__name__}: two groups have a setting of the same name")

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def run(**values: Any) -> Any:
            options = {name: values.pop(name) for name in names}
            overrides = {name: value for name, value in options.items() if value not in (None, [])}
            return command(**values, overrides=overrides)

        signature = inspect.signature(command, eval_str=True)
        parameters = [p for p in signature.parameters.values() if p.name != "overrides"]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*parameters, *added)]
        # Typer reads both of these.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _options(settings: type[BaseModel]) -> Iterator[inspect.Parameter]:
    for group, outer in settings.model_fields.items():
        panel = outer.title or group.replace("_", " ").capitalize()
        for name, field in outer.annotation.model_fields.items():  # type: ignore[union-attr]
            yield _option(panel, name, field)


def _option(panel: str, name: str, field: FieldInfo) -> inspect.Parameter:
    kind, flag = _option_type(field.annotation), "--" + name.replace("_", "-")
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    # Without its negative where the setting is off unless asked for, which keeps the panel narrow.
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    has_negative = kind is bool and not extra.get("only_on")
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    wide = len("|".join(choices)) > _MAX_CHOICES_WIDTH
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if has_negative else flag,
        metavar="CHOICE" if wide else None,
        help=f"{field.description} One of {', '.join(choices)}." if wide else field.description,
        rich_help_panel=panel,
        show_default=False if kind is bool or default in (None, ()) else shown,
    )
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _option_type(kind: Any) -> Any:
    """Without None; a list for a tuple of any length, text with commas for one of fixed length."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(arm for arm in get_args(kind) if arm is not type(None))
    if get_origin(kind) is tuple:
        return list[get_args(kind)[0]] if get_args(kind)[-1] is Ellipsis else str  # type: ignore[misc]
    return kind
