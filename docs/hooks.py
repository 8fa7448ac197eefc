"""What the site takes from the code and from the files at the top of the repository.

A page asks for it with a comment of its own: ``<!-- from: commands -->`` for a part of this module,
``<!-- file: SECURITY.md -->`` for a file, ``<!-- readme: start -->`` for the block of code that the
README has after ``<!-- start -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from ctct import errors
from ctct.cli.commands import COMMANDS, PANELS, load_command
from ctct.training.config import PRESETS, TrainingConfig

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what the page asks for."""
    filled = re.sub(r"<!-- from: (\w+) -->", lambda m: "\n".join(PARTS[m[1]]()), markdown)
    filled = re.sub(r"<!-- readme: ([\w-]+) -->", lambda m: _readme_block(m[1]), filled)
    return re.sub(r"<!-- file: (\S+) -->", lambda m: _include(m[1]), filled)


def _include(name: str) -> str:
    """A Markdown file without front matter and title, its links as seen from ``docs``."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\A(---\n.*?\n---\n)?\s*# [^\n]*\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\(docs/", "](", text)
    for file, page in PAGES.items():
        text = text.replace(f"]({file})", f"]({page})")
    return text


def _readme_block(marker: str) -> str:
    """The block of code, with its fences."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- {marker} -->\n(```.*?\n```)", readme, re.DOTALL)
    return str(block)


#: The pages that show a file of the repository.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "ctct/weights/MODEL_CARD.md": "model-card.md",
}


#: What stands for a value in the list of options.
KINDS = {Path: "PATH", str: "TEXT", int: "N", float: "NUMBER"}


def _commands() -> Iterator[str]:
    """Every command, its arguments and its options, by panel of the help."""
    for panel, names in PANELS.items():
        yield from (f"## {panel}", "")
        for name in names:
            yield from _command(load_command(name), f"ctct {name}", "###")


def _command(command: Any, name: str, heading: str) -> Iterator[str]:
    yield from (f"{heading} {name}", "", _escape(command.help or COMMANDS[name.split()[-1]]), "")
    below = getattr(command, "commands", {})
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *("COMMAND" for _ in list(below)[:1]), *map(_argument, arguments)])
    yield from ("```text", f"{usage} [OPTIONS]", "```", "")
    shown = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    if shown and not below:
        yield from ("| option | meaning | default |", "|---|---|---|")
        for parameter in shown:
            yield f"| {_names(parameter)} | {_escape(parameter.help)} | {_default(parameter)} |"
        yield ""
    for other in below.values():
        yield from _command(other, f"{name} {other.name}", "####")


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]{}")
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} {_kind(parameter)}".strip()


def _kind(parameter: Any) -> str:
    """What the option takes; nothing for a switch."""
    kind = parameter.type_descriptor.annotation
    if parameter.is_flag or kind is bool:
        return ""
    if parameter.metavar:
        return "" if parameter.metavar == "CHOICE" else f"`{parameter.metavar}`"
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    return f"`{KINDS[kind]}`"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.secondary_opts:
        return f"`{(parameter.opts if parameter.default else parameter.secondary_opts)[0]}`"
    shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    return "" if shown in (None, "", False, ()) or parameter.is_flag else f"`{shown}`"


def _exit_codes() -> Iterator[str]:
    """Every exit code and the error behind it."""
    kinds = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.CtctError)
    ]
    meanings: dict[int, list[str]] = {0: ["Everything worked."]}
    for kind in kinds[1:]:
        reason = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        meanings.setdefault(kind.exit_code, []).append(f"{reason} (`{kind.__name__}`)")
    meanings[errors.EXIT_INTERNAL] = ["An internal error; `ctct --debug …` shows where."]
    meanings[errors.EXIT_SOME_FAILED] = ["Some cases failed; the others are complete."]
    meanings[errors.EXIT_INTERRUPTED] = ["Interrupted by Ctrl-C; the same command continues."]
    yield from ("| code | meaning |", "|---|---|")
    for code, reasons in sorted(meanings.items()):
        yield f"| {code} | {' '.join(reasons)} |"


def _settings() -> Iterator[str]:
    """Every setting of training with its value in each preset; their names head the columns."""
    for group in TrainingConfig.model_fields.values():
        fields = group.annotation.model_fields  # type: ignore[union-attr]
        yield from (f"## {group.title}", "", f"| key | meaning | {' | '.join(PRESETS)} |")
        yield "|---|---|" + "---|" * len(PRESETS)
        for name, field in fields.items():
            if name == "preset":
                continue
            values = (_value(PRESETS[preset].get(name, _standard(field))) for preset in PRESETS)
            yield f"| `{name}` | {_meaning(field)} | {' | '.join(values)} |"
        yield ""


def _meaning(field: FieldInfo) -> str:
    choices = [
        c for kind in (field.annotation, *get_args(field.annotation)) for c in _literal(kind)
    ]
    one_of = f" One of {', '.join(f'`{c}`' for c in choices)}." if choices else ""
    return _escape(field.description or "") + one_of


def _literal(kind: Any) -> tuple[Any, ...]:
    values = get_args(kind)
    return values if values and all(isinstance(value, str) for value in values) else ()


def _standard(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _value(value: Any) -> str:
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value}`"


def _escape(text: str) -> str:
    """Text in which nothing is Markdown."""
    return re.sub(r"([*_|<\[])", r"\\\1", text or "")


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "commands": _commands,
    "exit_codes": _exit_codes,
    "settings": _settings,
}
