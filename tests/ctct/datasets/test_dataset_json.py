from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctct.datasets.dataset_json import read_label_values
from ctct.errors import InputError


def read(folder: Path, labels: object, **more: object) -> dict[str, int] | None:
    content = {"channel_names": {"0": "cine"}, "labels": labels, "file_ending": ".nii.gz", **more}
    (folder / "dataset.json").write_text(json.dumps(content))
    return read_label_values(folder)


def test_without_the_file(tmp_path: Path) -> None:
    assert read_label_values(tmp_path) is None


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "LV": 1, "MYO": 2, "RV": 3},
        {"0": "background", "1": "LV", "2": "MYO", "3": "RV"},
        {"background": 0, "left ventricle": 1, "Myocardium": 2, "Right_Ventricle": 3},
        {"Background": 0, "LV cavity": 1, "lv-myo": 2, "RV cavity": 3},
        {"LVBP": 1, "LVM": 2, "RV": 3},
        {"background": 0, "LVC": [1], "MLV": [2], "RVC": [3]},
        {"0": "bg", "3": "right ventricular blood pool", "2": "LV wall", "1": "LV endo"},
    ],
)
def test_structures_by_name(tmp_path: Path, labels: object) -> None:
    assert read(tmp_path, labels) == {"LV": 1, "MYO": 2, "RV": 3}


def test_partial_labels_need_not_have_every_structure(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "LV cavity": 1}}')
    assert read_label_values(tmp_path, complete=False) == {"LV": 1}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "LV": 1}, "names no label for RV, MYO, which would be learned"),
        ({"background": 0}, "names no structure; name RV, MYO or LV with its number"),
        ({"background": 0, "RV": 1, "MYO": 2, "LV": 3, "LA": 4}, "unknown label 'LA'"),
        ({"0": "background", "1": "scar", "2": "MYO", "3": "LV"}, "unknown label 'scar'"),
        ({"RV": 1, "MYO": 2, "LV": 3, "ignore": 4}, "unknown label 'ignore'"),
        (
            {"RV": 1, "epicardium": [2, 3], "LV": 3},
            "'epicardium' is a region of the numbers [2, 3]",
        ),
        ({"RV": 1, "MYO": 2, "LV": 2}, "the number 2 has two names"),
        ({"RV": 1, "MYO": 2, "LV": 3, "LVC": 4}, "two labels are LV: 3 and 4"),
        ({"RV": 0, "MYO": 2, "LV": 3}, "'RV' has the number 0; 0 is the background"),
        ({"RV": 1, "MYO": 2.5, "LV": 3}, "'MYO' has the number 2.5"),
        ({"RV": 1, "MYO": 300, "LV": 3}, "'MYO' has the number 300; expected one in 0…255"),
        ({"RV": True, "MYO": 2, "LV": 3}, "'RV' has the number True"),
        ([0, 1, 2], 'has no "labels"'),
    ],
)
def test_refused_by_name(tmp_path: Path, labels: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, labels)
    assert str(caught.value).startswith(f"{tmp_path / 'dataset.json'}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"channel_names": {"0": "cine", "1": "LGE"}}, "2 channels"),
        ({"file_ending": ".nrrd"}, "files end in .nrrd; convert them to .nii.gz"),
    ],
)
def test_scans_that_training_does_not_take(
    tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, {"RV": 1, "MYO": 2, "LV": 3}, **more)


def test_damaged(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json: cannot be read as JSON"):
        read_label_values(tmp_path)
