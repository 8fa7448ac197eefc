"""The texts: links, commands, columns, the length of the README, and what the site loads."""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ctct.cli.commands import COMMANDS, load_command
from ctct.correction.tables import edits_csv
from ctct.evaluation.score import METRICS
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.prediction.run_manifest import CaseStatus
from ctct.report.follow_up import FOLLOW_UPS
from ctct.report.tables import by_model_csv, frames_csv, patients_csv, segments_csv

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*sorted(ROOT.glob("*.md")), *DOCS]
MAX_LINES, MAX_WORDS = 150, 30


def load_hooks() -> ModuleType:
    """The module that fills in the pages of the site."""
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = load_hooks()


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def sentences(text: str) -> Iterator[str]:
    """Those of paragraphs, items of lists and cells of tables."""
    for block in re.split(r"\n\s*\n|\n(?=[-|#])", without_code(text)):
        plain = re.sub(r"!?\[([^]]*)\]\([^)]*\)|<!--.*?-->", r"\1", block)
        for part in plain.strip(" -#").split("|"):
            yield from re.split(r"(?<=[.!?])\s+", part)


def anchors(page: Path) -> set[str]:
    """The identifiers of the headings, as both MkDocs and GitHub make them."""
    text = read(page)
    if page.is_relative_to(ROOT / "docs"):
        text = HOOKS.on_page_markdown(text)
    headings = re.findall(r"(?m)^#+ (.+)$", without_code(text))
    return {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def commands_in_blocks(text: str) -> Iterator[list[str]]:
    """Name and arguments of each ``ctct …`` in the blocks of shell commands."""
    for block in re.findall(r"(?ms)^ *```(?:sh|powershell)\n(.*?)^ *```$", text):
        for line in block.splitlines():
            words = [*shlex.split(line, comments=True), "&&"]
            while "&&" in words:
                end = words.index("&&")
                if words[:1] == ["ctct"]:
                    yield words[1:end]
                words = words[end + 1 :]


def parse(words: list[str]) -> None:
    """Parse a command as ``ctct`` does, without running it."""
    name, *arguments = words
    command: Any = load_command(name)
    if below := getattr(command, "commands", None):
        if not arguments:
            return
        name, *arguments = arguments
        command = below[name]
    command.make_context(name, arguments)


def options_of(name: str) -> set[str]:
    """All options of a command and of those below it."""
    command: Any = load_command(name)
    every = [command, *getattr(command, "commands", {}).values()]
    return {o for c in every for p in c.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}


def test_the_readme_is_short() -> None:
    assert len(read(README).splitlines()) <= MAX_LINES


def test_no_sentence_of_the_readme_is_long() -> None:
    long = [s for s in sentences(read(README)) if len(s.split()) > MAX_WORDS]
    assert long == []


def test_every_block_of_the_readme_has_a_marker_that_a_test_looks_for() -> None:
    blocks = re.findall(r"(?:<!-- ([\w-]+) -->\n)?```\w", read(README))
    assert blocks == ["start", "api", "demo-api", "evaluate", "install-dev", "test"]


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#?\))([^)\s]+)\)", without_code(read(page))):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_command_can_be_parsed(page: Path) -> None:
    for words in commands_in_blocks(read(page)):
        try:
            parse(words)
        except Exception as error:  # of typer's own copy of click, or of the click beside it
            pytest.fail(f"ctct {shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_every_option_named_in_a_sentence_is_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # it names former options too
        return
    for code in re.findall(r"`ctct ([^`]+)`", without_code(read(page))):
        name, *rest = code.split()
        if name in COMMANDS:
            used = {word.split("=")[0] for word in rest if word.startswith("--")}
            assert used <= options_of(name), code


def test_commands_of_the_texts_are_found() -> None:
    text = "```sh\npip install . && ctct sample scans   # a cine\nctct benchmark\n```\n"
    assert list(commands_in_blocks(text)) == [["sample", "scans"], ["benchmark"]]
    with pytest.raises(Exception, match="--fromat"):
        parse(["predict", "scans", "-o", "out", "--fromat", "nifti"])


def test_every_column_is_described() -> None:
    page = read(ROOT / "docs" / "reference" / "files.md")
    tables = (patients_csv([]), frames_csv([]), segments_csv([]), by_model_csv([]))
    tables += (FOLLOW_UPS.csv([]), edits_csv([]))
    columns = [c for t in tables for c in next(csv.reader(io.StringIO(t.decode())))]
    columns += [field.name for kind in (FrameIndicators, CaseStatus) for field in fields(kind)]
    columns += [f"RV {metric}" for metric in METRICS]
    assert [c for c in columns if f"`{c}" not in page] == []


def test_every_column_of_training_is_described() -> None:
    monitor = pytest.importorskip("ctct.training.monitor", reason="needs the extra train")
    page = read(ROOT / "docs" / "reference" / "files.md")
    assert [c for c in monitor.COLUMNS if f"`{c}`" not in page] == []


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > len(DOCS)  # and the page for what is not found
    elsewhere = r"<(?:script|img|iframe|source|link)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*"
    assert [found for page in pages for found in re.findall(elsewhere, read(page))] == []
    assert [s.name for s in tmp_path.rglob("*.css") if re.search(r"url\(.?https?:", read(s))] == []
