"""Imports run one way through the rooms, without a circle, and no room outgrows the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Rooms from the ground up. A room imports from those on lower lines, and from itself.
LAYERS = (
    ("choices", "installation"),
    ("errors",),
    ("labels",),
    ("child_process", "ray_cluster", "served_process", "storage"),
    ("io", "model_files", "parquet"),
    ("cases", "datasets", "measurement", "models"),
    ("report", "synthetic"),
    ("dicom_results", "evaluation", "runtimes"),
    ("inference", "training"),
    ("exporters", "prediction"),
    ("correction",),
    ("api",),
    ("benchmark", "demo", "doctor", "node"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
MAX_SHARE = 0.15


def modules() -> dict[str, Path]:
    """Every module by the name that the wheel gives it."""
    found = {}
    for top in ("ctct", "cli", "demo", "exporters"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if top == "ctct" else ("ctct", *parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Modules of ctct that a file imports: in functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ctct"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ctct"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room(module: str) -> str:
    """The room of a module: the name after ``ctct.``."""
    return module.split(".")[1] if "." in module else ""


IMPORTS = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {room(name) for name in MODULES} - {"", "__main__", "weights"}
    assert rooms == set(LEVEL)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name: str) -> None:
    importer = room(name)
    if importer not in LEVEL:  # the public face, which imports what it shows
        return
    upward = [
        other
        for other in IMPORTS[name]
        if room(other) != importer and LEVEL.get(room(other), len(LAYERS)) >= LEVEL[importer]
    ]
    assert not upward, f"{name} imports {upward}, which are not below it"


def test_no_circle_of_files() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_training_and_inference_are_strangers() -> None:
    for one, other in (("training", "inference"), ("inference", "training")):
        assert not [n for n in MODULES if room(n) == one for i in IMPORTS[n] if room(i) == other]


def test_no_room_is_above_its_share_of_the_code() -> None:
    lines: dict[str, int] = {}
    for name, path in MODULES.items():
        lines[room(name)] = lines.get(room(name), 0) + len(path.read_text("utf-8").splitlines())
    total = sum(lines.values())
    large = {r: round(n / total, 3) for r, n in lines.items() if n > MAX_SHARE * total}
    assert not large, f"{large}: move an idea out into a room of its own"
