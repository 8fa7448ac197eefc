"""Which patients are labelled, unlabelled and for validation."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from ctct.datasets import acdc
from ctct.datasets.collection import Collection, Volume
from ctct.datasets.label_checks import check_structures
from ctct.errors import ConfigError, InputError
from ctct.training.config import TrainingConfig, read_json_object

log = logging.getLogger(__name__)

#: How a split of ACDC that nothing has changed is described.
PUBLISHED_SPLIT = "the published split of ACDC"
#: Lists of a file for ``--split``; those of a run's ``split.json`` are among them.
_LISTS = ("train", "labelled", "partly_labelled", "unlabelled", "validation", "test", "left_out")
#: How many patients a message names; ``split.json`` has all of them.
_MAX_NAMES = 10


@dataclass(frozen=True)
class Split:
    """Patients by what they are used for; no patient is in two of the lists.

    Attributes:
        labelled: training patients that keep their labels.
        unlabelled: training patients that are used without labels.
        validation: patients with labels that are not learned from.
        left_out: patients that are not used.
        method: how the patients were shared out, in words.
        partly_labelled: training patients that have partial labels alone, and keep them.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    validation: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    method: str = ""
    partly_labelled: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and the method, for JSON."""
        values = dataclasses.asdict(self).items()
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values}

    def describe(self) -> str:
        """The method, and who is left out, in one line."""
        who = f"left out: {_some(self.left_out)}" if self.left_out else "no patient is left out"
        return f"split: {self.method}; {who}"


@dataclass(frozen=True)
class TrainingData:
    """Volumes by what they are used for; those of ``unlabelled`` have no labels."""

    labelled: list[Volume]
    unlabelled: list[Volume]
    validation: list[Volume]
    partly_labelled: list[Volume]


def split_patients(collection: Collection, config: TrainingConfig) -> Split:
    """Share the patients out.

    A file for ``--split`` decides alone. Otherwise, if all labelled patients are ACDC's own, the
    published split is used, and patients in neither of its lists, the published test patients, are
    left out. Other patients are drawn with the seed of the run: a tenth of those with labels, at
    least one, for validation; the others in random order.

    Raises:
        ConfigError: the settings name patients that do not exist or have no labels, or one twice.
        InputError: no patient is left to learn from, or to validate on.
    """
    settings = config.patients
    with_labels = list(dict.fromkeys(v.patient for v in collection.volumes if v.labels is not None))
    partly = list(dict.fromkeys(v.patient for v in collection.partly_labelled))
    patients = [p for p in dict.fromkeys(v.patient for v in collection.volumes) if p not in partly]
    if not with_labels:
        raise InputError(f"{settings.data}: no labelled patient; cross teaching needs a few")
    if settings.split:
        split = _split_by_file(settings.split, settings.labelled, patients, with_labels, partly)
    else:
        split = _split_by_rule(collection, config, patients, with_labels, partly)
    for use, names in (("labelled", split.labelled), ("validation", split.validation)):
        if partial := [name for name in names if name in partly]:
            raise ConfigError(
                f"{use} patients of --partly-labelled: {_some(partial)}; they are training "
                "patients beside the others; name none of them here"
            )
        if without := [name for name in names if name not in with_labels]:
            raise ConfigError(f"{use} patients without labels: {_some(without)}")
    if not split.validation:
        raise InputError("no validation patient has labels; name others with --validation")
    if not split.labelled:
        raise InputError("no labelled patient is left to train on")
    return split


def _split_by_file(
    path: Path,
    count: int | None,
    patients: Sequence[str],
    with_labels: Sequence[str],
    partly: Sequence[str],
) -> Split:
    """As the file says; ``count`` limits the labelled patients where it does not list them.

    Patients in none of its lists are left out. Only those without labels are not, if the file has
    no list of unlabelled patients: they are used without labels. Patients with partial labels
    alone (``partly``) keep them, unless a list says otherwise.
    """
    lists = read_lists(path, [*patients, *partly])
    if complete := [p for p in lists.get("partly_labelled", []) if p not in partly]:
        raise ConfigError(f"{path}: not of --partly-labelled: {_some(complete)}")
    others = {p for name in ("unlabelled", "test", "left_out") for p in lists.get(name, [])}
    kept = [p for p in partly if p not in others]
    if count is not None and "labelled" in lists:
        raise ConfigError(f"--labelled {count}: {path} lists the labelled patients; leave one out")
    labelled = lists.get("labelled")
    if "train" in lists and (others := set(labelled or ()) - set(lists["train"])):
        raise ConfigError(
            f"{path}: labelled, but not in train: {_some(sorted(others))}; name them in both lists"
        )
    unlabelled = lists.get("unlabelled", [])
    if "unlabelled" not in lists:
        listed = {name for names in lists.values() for name in names}
        unlabelled = [p for p in patients if p not in with_labels and p not in listed]
    training = [*lists.get("train", []), *lists.get("labelled", []), *unlabelled]
    if labelled is None:
        available = [p for p in training if p in with_labels and p not in unlabelled]
        labelled = _first(available, count)
    used = {*labelled, *training, *lists["validation"], *kept}
    return Split(
        tuple(labelled),
        tuple(p for p in dict.fromkeys(training) if p not in (*labelled, *kept)),
        tuple(lists["validation"]),
        tuple(p for p in (*patients, *partly) if p not in used),
        f"given by {path.name}",
        tuple(kept),
    )


def _split_by_rule(
    collection: Collection,
    config: TrainingConfig,
    patients: Sequence[str],
    with_labels: Sequence[str],
    partly: Sequence[str],
) -> Split:
    """The published split of ACDC, or a random one; --validation and --labelled-list change it.

    Validation patients of the published split never train, unless a list names them.
    """
    settings = config.patients
    order, validation, left_out = list(with_labels), list[str](), set[str]()
    random.Random(config.run.seed).shuffle(order)
    method = f"drawn at random with seed {config.run.seed}"
    if collection.layout == "acdc":
        training, validating = (
            [name for name in map(acdc.name, numbers) if name in with_labels]
            for numbers in (acdc.PUBLISHED_TRAINING, acdc.PUBLISHED_VALIDATION)
        )
        if others := acdc.strangers(v for v in collection.volumes if v.labels is not None):
            method += (
                f", not the published split of ACDC, because by frame numbers and spacing these "
                f"are not its patients: {_some(others)}"
            )
        elif training:
            order, validation, method = training, validating, PUBLISHED_SPLIT
            left_out = set(with_labels) - set(training)  # validation patients never train
            if not validating:
                method += ", of whose validation patients none is there: training patients validate"

    known = [*patients, *partly]
    labelled = read_names(settings.labelled_list, known) if settings.labelled_list else None
    if settings.validation is not None and not settings.validation.isdigit():
        validation = read_names(settings.validation, known)
    elif settings.validation is not None or not validation:
        available = [p for p in validation or order if p not in (labelled or ())]
        count = int(settings.validation or 0) or max(1, round(len(order) / 10))
        if count > len(available):
            raise ConfigError(
                f"--validation {count}: only {len(available)} labelled patients are available"
                + (", those of the published split of ACDC" if validation else "")
            )
        validation = available[:count]
    if labelled and (twice := sorted(set(labelled) & set(validation))):
        raise ConfigError(f"both labelled and for validation: {', '.join(twice)}")
    order = [p for p in order if p not in validation]
    if labelled is None:
        labelled = _first(order, settings.labelled)
    left_out -= {*labelled, *validation}
    used = {*labelled, *validation, *left_out}
    unlabelled = dict.fromkeys(p for p in (*order, *patients) if p not in used)
    changes = {"--validation": settings.validation, "--labelled-list": settings.labelled_list}
    if given := [option for option, value in changes.items() if value is not None]:
        method += f", changed by {' and '.join(given)}"
    return Split(
        *(tuple(labelled), tuple(unlabelled), tuple(validation), tuple(sorted(left_out))),
        *(method, tuple(partly)),
    )


def _first(available: Sequence[str], count: int | None) -> list[str]:
    """The first ``count`` patients, or all."""
    if count is not None and count > len(available):
        raise ConfigError(
            f"--labelled {count}: there are {len(available)} training patients with labels"
        )
    return list(available[:count])


def _some(names: Sequence[str]) -> str:
    """The names, or the first of them and how many more there are."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def training_data(collection: Collection, split: Split) -> TrainingData:
    """The volumes of each list; frames without labels of labelled patients are unlabelled.

    Raises:
        InputError: the same scan is on both sides of training and validation, or no labelled
            slice, or no validation slice, shows one of the structures.
    """
    check_leaks(collection, split)
    data = TrainingData([], [], [], [])
    for volume in collection.volumes:
        if volume.patient in split.validation:
            if volume.labels is not None:
                data.validation.append(volume)
        elif volume.patient in split.labelled and volume.labels is not None:
            data.labelled.append(volume)
        elif volume.patient in (*split.labelled, *split.partly_labelled, *split.unlabelled):
            data.unlabelled.append(dataclasses.replace(volume, labels=None))
    check_structures(data.labelled, "labelled training")
    check_structures(data.validation, "validation")
    for volume in collection.partly_labelled:
        if volume.patient in split.partly_labelled:
            data.partly_labelled.append(volume)
        elif volume.patient in split.unlabelled:
            data.unlabelled.append(dataclasses.replace(volume, labels=None))
    return data


def check_leaks(collection: Collection, split: Split) -> None:
    """Refuse a scan that is in training and in validation under two names.

    Raises:
        InputError: there is one; the message has both names.
    """
    training = (*split.labelled, *split.partly_labelled, *split.unlabelled)
    sides = dict.fromkeys(training, "training")
    sides |= dict.fromkeys(split.validation, "validation")
    seen: dict[bytes, Volume] = {}
    for volume in (*collection.volumes, *collection.partly_labelled):
        if volume.patient not in sides:
            continue
        digest = hashlib.sha256(repr(volume.voxels.shape).encode() + volume.voxels.tobytes())
        first = seen.setdefault(digest.digest(), volume)
        if first.patient == volume.patient:
            continue
        if sides[first.patient] != sides[volume.patient]:
            raise InputError(
                f"{first.name} ({sides[first.patient]}) and {volume.name} "
                f"({sides[volume.patient]}) are the same scan; remove one"
            )
        log.warning("%s and %s are the same scan, both in training", first.name, volume.name)


def read_names(path: str | Path, known: Sequence[str]) -> list[str]:
    """Patients named in a text file, one per line, without empty lines and those that begin with #.

    Raises:
        ConfigError: the file cannot be read, or names a patient that is not in ``known``.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a list of patients ({error})") from error
    names = [line for line in lines if line and not line.startswith("#")]
    return _known(path, names, known)


def read_lists(path: Path, known: Sequence[str]) -> dict[str, list[str]]:
    """The lists of patients of a JSON file for ``--split``.

    An object with "validation" and at least one of "train" and "labelled"; without "labelled", all
    of "train" keep their labels. "unlabelled" lists training patients too, "test" and "left_out"
    patients that are not used. A run's ``split.json`` is such a file.

    Raises:
        ConfigError: the file cannot be read, holds something else, names a patient that is not in
            ``known``, or names one for training and for validation, or twice in another way.
    """
    content = read_json_object(path, 'such as {"train": [...], "validation": [...]}')
    content.pop("method", None)
    lists: dict[str, list[str]] = {}
    for name, names in content.items():
        if name not in _LISTS:
            raise ConfigError(f"{path}: unknown list {name!r}; known are {', '.join(_LISTS)}")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ConfigError(f"{path}: {name} must be a list of names in quotation marks")
        lists[name] = _known(path, names, known)
    if not lists.get("validation"):
        raise ConfigError(f"{path}: names no validation patient")
    if not lists.get("train") and not lists.get("labelled"):
        raise ConfigError(f"{path}: names no training patient; list them under train")
    uses = {name: set(lists.get(name, [])) for name in _LISTS}
    uses["train"] -= uses["labelled"] | uses["unlabelled"]
    for one, other in combinations(uses, 2):
        if twice := sorted(uses[one] & uses[other]):
            raise ConfigError(f"{path}: both in {one} and in {other}: {_some(twice)}")
    return lists


def _known(path: str | Path, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """``names`` without repetitions.

    Raises:
        ConfigError: one is not in ``known``.
    """
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"{path}: no such patient: {', '.join(unknown)}; the data have {_some(known)}"
        )
    return list(dict.fromkeys(names))
