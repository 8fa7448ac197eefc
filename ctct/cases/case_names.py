"""Names of cases: from the path below the input, and never from what else is in the run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, get_args
from unicodedata import category, normalize

from ctct.cases.bids import bids_name
from ctct.cases.case import MAX_NAME_BYTES, Case
from ctct.choices import NameFrom
from ctct.errors import ConfigError, InputError
from ctct.io.dicom.files import is_zip
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.files import case_name
from ctct.io.patient_info import parse_name

#: Unicode categories of characters that cannot be printed: control characters, line ends, bytes of
#: a file name that are not UTF-8, and invisible characters, some of which reorder the text.
_UNPRINTABLE = {"Cc", "Zl", "Zp", "Cs", "Cf"}
_SEPARATORS = "/\\"

T = TypeVar("T")


def name_case(case: Case, label: Path, inputs: Sequence[Path], name_from: NameFrom) -> Case:
    """The case with its name; see :func:`ctct.cases.discover.discover` for the rules.

    Args:
        case: without a name.
        label: the path that it is named after: that of the scan, or one beside it where one folder
            holds several scans.
        inputs: what the user gave, absolute.
        name_from: the rule.

    Raises:
        ConfigError: there is no such rule, or the scan has no study or patient to be named after.
    """
    if name_from not in get_args(NameFrom):
        raise ConfigError(f"--name-from {name_from}: choose one of {', '.join(get_args(NameFrom))}")
    if name_from in ("study", "patient"):
        return replace(case, name=make_valid(_name_in_header(case, name_from)))
    bids = None if case.series else bids_name(label)
    if bids:  # its name is unique in the data set, and holds subject and session
        raw = case_name(label)
        case = replace(case, patient=bids.patient)
    else:
        raw = name_below(label, inputs if name_from == "path" else ())
    parts = parse_name(raw)
    if case.series or not parts.is_frame or not parts.patient:
        return replace(case, name=make_valid(raw))
    return replace(
        case,
        name=make_valid(raw),
        patient=case.patient if bids else make_valid(parts.patient),
        number=parts.number,
        phase=parts.phase,
    )


def name_below(path: Path, inputs: Sequence[Path]) -> str:
    """The path below an input folder, with ``_`` between its parts and without an ending.

    A folder that the rest of the name begins with is left out: ``p1/p1_frame01.nii.gz`` is
    ``p1_frame01``. Below none of the inputs, as for a file that was given itself, the name is
    that of the file or folder, preceded by its folder where it names no patient, as ``ED.nii.gz``.
    """
    own = path.stem if is_zip(path) else case_name(path)
    below = [path.relative_to(root).parts for root in inputs if path.is_relative_to(root)]
    *folders, _ = max(below, key=len, default=()) or ("",)
    parts = parse_name(own)
    if not folders and not parts.patient:
        folders = [path.parent.name]
    name = own or "scan"
    for folder in reversed(folders):
        rest = name.removeprefix(folder)
        if rest == name or rest[:1].isalnum():
            name = f"{folder}_{name}"
    return name


def _name_in_header(case: Case, name_from: NameFrom) -> str:
    if case.series is None:
        raise ConfigError(
            f"{case.path}: is no DICOM, so no header tells its {name_from}; use --name-from path"
        )
    if name_from == "study" and (study := case.series.first.study):
        return hashlib.sha256(study.encode()).hexdigest()[:16]
    if name_from == "patient" and (patient := read_identifiers(case.series).get("patient ID")):
        return patient
    raise ConfigError(f"{case.path}: its header has no {name_from}; use --name-from path")


def make_valid(name: str) -> str:
    """A name that is printable and short enough for a file, in composed characters (NFC).

    Any other name is changed, cut and ends in a digest of the original.
    """
    name = normalize("NFC", name)
    shown = "".join(
        "_" if category(character) in _UNPRINTABLE or character in _SEPARATORS else character
        for character in name
    )
    if shown.startswith("."):  # a hidden file
        shown = "_" + shown[1:]
    if shown == name and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    ending = "_" + hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    return shown.encode()[: MAX_NAME_BYTES - len(ending)].decode(errors="ignore") + ending


def check_unique(
    cases: Sequence[Case], inputs: Sequence[Path] = (), name_from: NameFrom = "path"
) -> list[Case]:
    """The cases, each file once.

    Names that differ only in case count as one: some disks and spreadsheets do not tell them apart.

    Args:
        cases: with names.
        inputs: what the user gave, absolute.
        name_from: the rule that the names follow.

    Raises:
        InputError: two scans have the same name.
    """
    unique: list[Case] = []
    for first, *others in group_by(cases, lambda case: case.name.casefold()):
        for other in others:
            if not _is_same_file(first, other):
                raise InputError(
                    f"{first.identity} and {other.identity} would both be called {other.name}; "
                    f"{_explain_remedy(first, other, inputs, name_from)}"
                )
        unique.append(first)
    return unique


def _explain_remedy(one: Case, other: Case, inputs: Sequence[Path], name_from: NameFrom) -> str:
    """What gives two scans different names."""
    if name_from in ("study", "patient"):
        return "use --name-from path"
    if name_from == "file":
        return "rename one, or use --name-from path"
    paths = [Path(os.path.abspath(case.path)) for case in (one, other)]
    if any(all(path.is_relative_to(root) for path in paths) for root in inputs):
        return "rename one, or use another --name-from"
    return "give the folder that holds both, rename one, or use another --name-from"


def group_by(items: Iterable[T], key: Callable[[T], object]) -> list[list[T]]:
    """Groups of items with equal keys, in the order of their first members."""
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _is_same_file(one: Case, other: Case) -> bool:
    try:
        return (one.series is None) == (other.series is None) and all(
            a.samefile(b) for a, b in zip(one.files, other.files, strict=True)
        )
    except (OSError, ValueError):
        return False
