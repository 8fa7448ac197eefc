"""``ctct next``, and training on what was corrected, from end to end."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_acdc

OPTIONS = ("--device", "cpu", "--precision", "fp32", "--batch", "4", "--no-compile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acdc")
    write_acdc(folder / "acdc")
    return folder


def test_correct_what_is_next_and_train_on_it(ctct: Callable[..., Any], folder: Path) -> None:
    out, table = folder / "out", folder / "next.csv"
    assert ctct("predict", folder / "acdc", "-o", out, "--no-report").code == 0
    first = ctct("next", out, "--csv", table, "-n", 2)
    assert (first.code, first.err) == (0, "")
    *lines, last = first.out.splitlines()
    assert last == f"3 patients to correct, 2 shown; list in {table}"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line.split()[1] for line in lines] == [row["patient"] for row in rows[:2]]

    (out / "edited").mkdir()
    for row in rows[:2]:
        for case in row["cases"].split():
            reference = folder / "acdc" / row["patient"] / f"{case}_gt.nii.gz"
            shutil.copy(reference, out / "edited" / f"{case}_seg.nii.gz")
    again = ctct("next", out)
    assert again.out.splitlines()[-1] == "1 patient to correct; 2 corrected"
    assert rows[2]["patient"] in again.out

    run = folder / "run"
    trained = ctct("train", out, "-o", run, "--init-from", "default", "--steps", 1, *OPTIONS)
    assert trained.code == 0, trained.err
    split = json.loads((run / "split.json").read_text())
    corrected = {row["patient"] for row in rows[:2]}
    assert {*split["labelled"], *split["validation"]} == corrected
    assert split["unlabelled"] == [rows[2]["patient"]]
    assert json.loads((run / "config.json").read_text())["patients"]["data"] == str(
        run / "corrections.npz"
    )


def test_the_benchmark_of_the_order(ctct: Callable[..., Any], folder: Path) -> None:
    outcome = ctct("benchmark", "next", folder / "out", folder / "acdc")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "1 - Dice, mean over 3 patients"
    assert lines[5].split() == ["3", "0.0000", "0.0000", "0.0000"]


def test_bad_input(ctct: Callable[..., Any], tmp_path: Path) -> None:
    outcome = ctct("next", tmp_path)
    assert (outcome.code, outcome.out) == (4, "")
    assert "no results of ctct predict" in outcome.err
