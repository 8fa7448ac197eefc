"""The names of cases depend on nothing but the path below the input."""

from __future__ import annotations

import hashlib
from pathlib import Path
from unicodedata import normalize

import pytest

from ctct.cases.case import MAX_NAME_BYTES, Case
from ctct.cases.case_names import check_unique, make_valid, name_below
from ctct.choices import NameFrom
from ctct.errors import InputError


def digest(name: str) -> str:
    return "_" + hashlib.sha256(name.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.nii.gz", "x"),
        ("y.mha", "y"),
        ("z.zip", "z"),
        ("p1/SAX", "p1_SAX"),
        ("pat A/study1/series", "pat A_study1_series"),
        # ACDC: a folder that the file begins with is left out.
        ("patient001/patient001_frame01.nii.gz", "patient001_frame01"),
        ("training/patient001/patient001_frame01.nii.gz", "training_patient001_frame01"),
        ("p1/p1.nii.gz", "p1"),
        ("p1/p10.nii.gz", "p1_p10"),
        ("a/a/a-b.nii", "a-b"),
    ],
)
def test_the_name_is_the_path_below_the_input(path: str, expected: str) -> None:
    assert name_below(Path("/in") / path, [Path("/in")]) == expected
    assert name_below(Path("/other/mount") / path, [Path("/other/mount")]) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/in/p1/sax.nii.gz", "sax"),
        ("/in/p1", "p1"),
        ("/in/p1/ED.nii.gz", "p1_ED"),
        ("/in/p1/frame01.nii.gz", "p1_frame01"),
    ],
)
def test_a_scan_that_was_given_itself_has_its_own_name(path: str, expected: str) -> None:
    assert name_below(Path(path), [Path(path)]) == expected
    assert name_below(Path(path), []) == expected


def test_of_inputs_within_each_other_the_outer_one_counts() -> None:
    roots = [Path("/in/p1"), Path("/in")]
    path = Path("/in/p1/x.nii")
    assert name_below(path, roots) == name_below(path, roots[::-1]) == "p1_x"


def test_an_unprintable_name_is_replaced_and_ends_in_a_digest() -> None:
    assert make_valid("x\n\x1b") == "x__" + digest("x\n\x1b")
    assert make_valid("ID/1\\2") == "ID_1_2" + digest("ID/1\\2")  # a PatientID
    assert make_valid(".x") == "_x" + digest(".x")


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
def test_marks_of_writing_direction_are_replaced(code: int) -> None:
    name = f"x{chr(code)}gz"
    assert make_valid(name) == "x_gz" + digest(name)


@pytest.mark.parametrize("code", [0x061C, 0x200B, 0xFEFF, 0x2060, 0xAD, 0xE0041, 0x85, 0x2028])
def test_invisible_characters_are_replaced(code: int) -> None:
    name = f"x{chr(code)}y"
    assert make_valid(name) == "x_y" + digest(name)


def test_a_long_name_is_cut_between_characters() -> None:
    name = make_valid("心" * 82)  # 246 bytes
    assert name == "心" * 77 + digest("心" * 82)  # 231 of the 231 bytes that remain
    assert len(name.encode()) == MAX_NAME_BYTES


def test_names_are_composed() -> None:
    assert make_valid(normalize("NFD", "Müller")) == normalize("NFC", "Müller")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b_c.nii", "a_b/c.nii"),
        ("x.nii", "x.nii.gz"),
        ("P1.nii", "p1.nii"),
        (normalize("NFC", "é.nii"), normalize("NFD", "é.nii")),
    ],
)
def test_two_scans_of_one_name_are_refused(tmp_path: Path, one: str, other: str) -> None:
    paths = [tmp_path / one, tmp_path / other]
    cases = [Case(path, make_valid(name_below(path, [tmp_path]))) for path in paths]
    with pytest.raises(InputError, match="would both be called") as error:
        check_unique(cases)
    assert all(str(path) in str(error.value) for path in paths)


@pytest.mark.parametrize(
    ("name_from", "inputs", "remedy"),
    [
        ("path", ["."], "; rename one, or use another --name-from"),
        (
            "path",
            ["p1", "p1_SAX.nii.gz"],
            "; give the folder that holds both, rename one, or use another --name-from",
        ),
        ("file", ["."], "; rename one, or use --name-from path"),
        ("patient", ["."], "; use --name-from path"),
    ],
)
def test_the_message_says_what_makes_names_differ(
    tmp_path: Path, name_from: NameFrom, inputs: list[str], remedy: str
) -> None:
    cases = [Case(tmp_path / name, "p1_SAX") for name in ("p1/SAX.nii.gz", "p1_SAX.nii.gz")]
    with pytest.raises(InputError) as error:
        check_unique(cases, [tmp_path / name for name in inputs], name_from)
    assert str(error.value).endswith("p1_SAX" + remedy)


def test_a_file_that_was_given_twice_is_one_case(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.nii"
    path.parent.mkdir()
    path.touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    cases = [Case(path, "x"), Case(tmp_path / "link" / "x.nii", "x")]
    assert check_unique(cases) == cases[:1]
