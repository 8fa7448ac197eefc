"""``dataset.json`` of nnU-Net: which number stands for which structure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctct.errors import InputError
from ctct.io.files import ENDINGS
from ctct.labels import BACKGROUND, LV, MYO, RV, STRUCTURES

DATASET_FILE = "dataset.json"

#: Names in use for each structure, in small letters and without anything else.
_NAMES: Mapping[str, frozenset[str]] = {
    BACKGROUND: frozenset({"background", "bg", "bkg", "none"}),
    RV: frozenset(
        {
            *("rv", "rvc", "rvbp", "rvendo", "rvcavity", "rvbloodpool", "rvblood", "rvlumen"),
            *("rightventricle", "rightventricularcavity", "rightventriclecavity"),
            *("rightventricularbloodpool", "rightventriclebloodpool", "rightventricular"),
            *("rightventricleendocardium", "rightventricularendocardium"),
        }
    ),
    MYO: frozenset(
        {
            *("myo", "myocardium", "lvm", "mlv", "lvmyo", "myolv", "lvmyocardium", "lvwall"),
            *("myocardiumlv", "myocardiumoflv", "myocardiumoftheleftventricle", "lvmuscle"),
            *("leftventricularmyocardium", "leftventriclemyocardium", "leftventriclemyo"),
            *("leftventricularwall", "leftventriclewall", "myocardiumleftventricle"),
            *("myocardial", "myocard", "leftventriclemuscle", "leftventricularmuscle"),
        }
    ),
    LV: frozenset(
        {
            *("lv", "lvc", "lvbp", "lvendo", "lvcavity", "lvbloodpool", "lvblood", "lvlumen"),
            *("leftventricle", "leftventricularcavity", "leftventriclecavity"),
            *("leftventricularbloodpool", "leftventriclebloodpool", "leftventricular"),
            *("leftventricleendocardium", "leftventricularendocardium", "cavitylv"),
        }
    ),
}


def read_label_values(folder: Path, complete: bool = True) -> dict[str, int] | None:
    """The number of each structure by ``folder/dataset.json``; None where there is no such file.

    Both forms are read, ``"labels": {"RV": 1}`` and the former ``{"1": "RV"}``. Upper and lower
    case, spaces and marks in the names do not matter. If not ``complete``, structures may be
    absent.

    Raises:
        InputError: the file is damaged, lacks a structure that it must have, has a name that ctct
            does not know or regions of several numbers, or the scans have several channels or
            another ending.
    """
    path = folder / DATASET_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise InputError(f'{path}: has no "labels"; expected {{"labels": {{"background": 0, …}}}}')
    channels = content.get("channel_names") or content.get("modality") or {}
    if len(channels) > 1:
        raise InputError(f"{path}: {len(channels)} channels; ctct trains on one image per case")
    ending = content.get("file_ending", ENDINGS[0])
    if ending not in ENDINGS:
        raise InputError(f"{path}: files end in {ending}; convert them to {ENDINGS[0]}")
    return _by_structure(path, content["labels"], complete)


def _by_structure(path: Path, labels: Mapping[str, Any], complete: bool) -> dict[str, int]:
    if all(key.isdigit() for key in labels):
        pairs = [(name, _number(path, name, number)) for number, name in labels.items()]
    else:
        pairs = [(name, _number(path, name, value)) for name, value in labels.items()]
    found: dict[str, int] = {}
    for name, number in pairs:
        structure = _structure(path, name)
        if structure in found:
            raise InputError(f"{path}: two labels are {structure}: {found[structure]} and {number}")
        if number in found.values():
            raise InputError(f"{path}: the number {number} has two names")
        if (structure == BACKGROUND) != (number == 0):
            raise InputError(f"{path}: {name!r} has the number {number}; 0 is the background")
        found[structure] = number
    found.pop(BACKGROUND, None)
    if not found:
        raise InputError(f"{path}: names no structure; name RV, MYO or LV with its number")
    absent = [s for s in STRUCTURES if s not in found]
    if complete and absent:
        raise InputError(
            f"{path}: names no label for {', '.join(absent)}, which would be learned as "
            "background; give the folder with --partly-labelled, beside patients with all labels"
        )
    return found


def _number(path: Path, name: str, value: Any) -> int:
    numbers = value if isinstance(value, list) else [value]
    if len(numbers) != 1:
        raise InputError(
            f"{path}: {name!r} is a region of the numbers {numbers}; give each number its own name"
        )
    if isinstance(numbers[0], bool) or str(numbers[0]) not in map(str, range(256)):
        raise InputError(f"{path}: {name!r} has the number {value!r}; expected one in 0…255")
    return int(numbers[0])


def _structure(path: Path, name: Any) -> str:
    letters = re.sub(r"[^a-z0-9]", "", str(name).casefold())
    for structure, names in _NAMES.items():
        if letters in names:
            return structure
    raise InputError(
        f"{path}: unknown label {name!r}; ctct knows RV, MYO and LV, also as right ventricle, "
        "myocardium and left ventricle (cavity); correct the name, or remove the file and use "
        "--label-order"
    )
