"""``participants.tsv`` of a BIDS data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctct.errors import InputError
from ctct.measurement.subject import Subject
from ctct.prediction.participants import find_participants, read_participants
from ctct.prediction.patients import Overrides, read_overrides


def write(folder: Path, *rows: str, units: dict[str, str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text("{}")
    path = folder / "participants.tsv"
    path.write_text("\n".join(rows).replace(" ", "\t") + "\n")
    if units:
        columns = {name: {"Units": unit} for name, unit in units.items()}
        path.with_suffix(".json").write_text(json.dumps(columns))
    return path


def test_bodies_are_read_and_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "participant_id age sex height weight",
        "sub-01 50 F 170 60",
        "02 n/a other n/a 80.5",
    )
    subjects, problems = read_participants(path)
    assert subjects == {"sub-01": Subject("F", 170.0, 60.0), "sub-02": Subject(None, None, 80.5)}
    assert problems == []


def test_units_of_the_dictionary_count(tmp_path: Path) -> None:
    rows = ("participant_id height weight", "sub-01 1.7 132")
    path = write(tmp_path, *rows, units={"height": "m", "weight": "lb"})
    (subject,) = read_participants(path)[0].values()
    assert (subject.height_cm, subject.weight_kg) == (170.0, 59.874)  # 132 · 0.45359237


def test_a_row_that_cannot_be_right_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "participant_id height", "sub-01 1.7", "sub-02 tall")
    subjects, problems = read_participants(path)
    assert subjects == {}
    assert [name for name, _ in problems] == ["sub-01", "sub-02"]
    assert "in meters?" in problems[0][1]
    assert "expected a number" in problems[1][1]


def test_a_table_without_participants_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column participant_id"):
        read_participants(write(tmp_path, "id sex", "1 M"))


def test_the_table_of_the_data_set_of_all_inputs_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "raw", "participant_id", "sub-01")
    scan = tmp_path / "raw/sub-01/ses-a/cmr/sub-01_ses-a_bold.nii.gz"
    assert find_participants([tmp_path / "raw"]) == path
    assert find_participants([scan, tmp_path / "raw" / "sub-01"]) == path
    assert find_participants([scan, tmp_path]) is None
    assert find_participants([tmp_path]) is None


def test_a_session_has_the_body_of_its_participant(tmp_path: Path) -> None:
    path = write(tmp_path, "participant_id sex height", "sub-01 M 180", "sub-02 F 2")
    overrides, _ = read_overrides([], path)
    assert overrides.subject_of("sub-01_ses-a") == Subject("M", 180.0)
    assert overrides.subject_of("sub-03_ses-a") == Subject()
    assert "height_cm is 2" in overrides.problems_of("sub-02_ses-b")[0]
    own = Overrides({"sub-01": Subject("M"), "sub-01_ses-a": Subject("F")})
    assert own.subject_of("sub-01_ses-a") == Subject("F")
