from __future__ import annotations

from pathlib import Path

import pytest

from ctct.errors import InputError
from ctct.measurement.subject import Subject
from ctct.prediction.patients import read_subjects


def write(folder: Path, text: str) -> Path:
    path = folder / "subjects.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_in_any_order_and_empty_cells(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffweight_kg,id,sex,height_cm\n70,a,female,160\n,b,,\n")
    subjects, problems = read_subjects(path)
    assert subjects == {"a": Subject("F", 160, 70), "b": Subject()}
    assert problems == []


def test_a_bad_row_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    rows = ["a,M,1.8,70", "b,M,180,-5", "c,M,tall,70", "d,M,180,70", "d,F,150,50", ",M,180,70"]
    path = write(tmp_path, "\n".join(["id,sex,height_cm,weight_kg", *rows]))
    subjects, problems = read_subjects(path)
    assert subjects == {"d": Subject("M", 180, 70)}
    expected = (
        "line 2: a: height_cm is 1.8 (in meters?)",
        "line 3: b: weight_kg is -5",
        "'tall'",
        "d is there twice",
        "has no id",
    )
    for problem, words in zip(problems, expected, strict=True):
        assert words in problem


@pytest.mark.parametrize("text", ["", "name,sex\na,M\n", "id,size\na,3\n"])
def test_refuses_a_table_with_other_columns(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="columns are"):
        read_subjects(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_subjects(tmp_path / "gone.csv")
