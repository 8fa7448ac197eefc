"""Which patients are labelled, unlabelled and for validation."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import ConfigError, InputError
from ctct.labels import STRUCTURES, VALUE
from ctct.training.config import TrainingConfig
from ctct.training.data.collection import Collection, Volume

log = logging.getLogger(__name__)

#: Numbers of the ACDC patients in the published semi-supervised split (Luo et al., MIDL 2022), in
#: its order: of the training patients the first 3, 7 or 14 are the labelled ones.
# fmt: off
PUBLISHED_TRAINING = (
    99, 38, 50, 100, 58, 21, 49, 20, 72, 40, 60, 89, 4, 56,
    98, 96, 31, 18, 94, 47, 48, 55, 97, 74, 43, 41, 63, 37,
    95, 54, 26, 88, 32, 69, 6, 71, 12, 73, 61, 17, 25, 10,
    57, 29, 51, 5, 36, 46, 62, 34, 76, 92, 70, 77, 67, 3,
    91, 16, 14, 44, 42, 90, 53, 27, 35, 86, 23, 9, 79, 15,
)
PUBLISHED_VALIDATION = (2, 19, 28, 30, 39, 45, 78, 82, 85, 87)
# fmt: on


@dataclass(frozen=True)
class Split:
    """Patients by what they are used for; no patient is in two of the lists."""

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    validation: tuple[str, ...]

    def to_dict(self) -> dict[str, list[str]]:
        """Plain lists, for JSON."""
        return {name: list(names) for name, names in dataclasses.asdict(self).items()}


@dataclass(frozen=True)
class TrainingData:
    """Volumes by what they are used for; those of ``unlabelled`` have no labels."""

    labelled: list[Volume]
    unlabelled: list[Volume]
    validation: list[Volume]


def split_patients(collection: Collection, config: TrainingConfig) -> Split:
    """Share the patients out.

    ACDC patients follow the published split, and those in neither of its lists, the published test
    patients, are left out. Other patients are drawn with the seed of the run: a tenth of those with
    labels, at least one, for validation; the others in random order.

    Raises:
        ConfigError: the settings name patients that do not exist, or one twice.
        InputError: no patient is left to learn from, or to validate on.
    """
    settings = config.patients
    patients = list(dict.fromkeys(v.patient for v in collection.volumes))
    with_labels = {v.patient for v in collection.volumes if v.labels is not None}
    if not with_labels:
        raise InputError(f"{settings.data}: no labelled patient; cross teaching needs a few")
    order = [p for p in patients if p in with_labels]
    random.Random(config.run.seed).shuffle(order)
    validation: list[str] = []
    left_out: set[str] = set()
    if collection.layout == "acdc":
        training, validating = (
            [name for number in numbers if (name := f"patient{number:03}") in with_labels]
            for numbers in (PUBLISHED_TRAINING, PUBLISHED_VALIDATION)
        )
        order, validation = training or order, validating
        if validation:
            left_out = with_labels - {*training, *validation}
            order = [p for p in order if p not in left_out]

    labelled = read_names(settings.labelled_list, patients) if settings.labelled_list else None
    if settings.validation is not None and not settings.validation.isdigit():
        validation = read_names(settings.validation, patients)
        left_out -= set(validation)
    elif settings.validation is not None or not validation:
        available = [p for p in order if p not in (labelled or ())]
        count = int(settings.validation or 0) or max(1, round(len(order) / 10))
        if count > len(available):
            raise ConfigError(
                f"--validation {count}: only {len(available)} labelled patients are available"
            )
        validation = available[:count]
    if labelled and (twice := sorted(set(labelled) & set(validation))):
        raise ConfigError(f"both labelled and for validation: {', '.join(twice)}")
    if not set(validation) & with_labels:
        raise InputError("no validation patient has labels; name others with --validation")
    order = [p for p in order if p not in validation]
    if labelled is None:
        count = len(order) if settings.labelled is None else settings.labelled
        if count > len(order):
            raise ConfigError(
                f"--labelled {count}: there are {len(order)} training patients with labels"
            )
        labelled = order[:count]
    if not set(labelled) & with_labels:
        raise InputError("no labelled patient is left to train on")
    used = {*labelled, *validation, *left_out}
    unlabelled = [p for p in (*order, *patients) if p not in used]
    return Split(tuple(labelled), tuple(dict.fromkeys(unlabelled)), tuple(validation))


def training_data(collection: Collection, split: Split) -> TrainingData:
    """The volumes of each list; frames without labels of labelled patients are unlabelled.

    Raises:
        InputError: the same scan is on both sides of training and validation, or no labelled
            slice shows one of the structures.
    """
    check_leaks(collection, split)
    data = TrainingData([], [], [])
    for volume in collection.volumes:
        if volume.patient in split.validation:
            if volume.labels is not None:
                data.validation.append(volume)
        elif volume.patient in split.labelled and volume.labels is not None:
            data.labelled.append(volume)
        elif volume.patient in (*split.labelled, *split.unlabelled):
            data.unlabelled.append(dataclasses.replace(volume, labels=None))
    check_structures(data.labelled)
    return data


def check_structures(labelled: Sequence[Volume]) -> None:
    """Refuse labels without one of the structures, which the networks could not learn.

    Raises:
        InputError: one occurs in no slice; the message names it.
    """
    labels = [volume.labels for volume in labelled if volume.labels is not None]
    absent = [s for s in STRUCTURES if not any((stack == VALUE[s]).any() for stack in labels)]
    if absent:
        raise InputError(
            f"no labelled training slice shows {', '.join(absent)}; check the label files and "
            "--label-order, or add labelled patients"
        )


def check_leaks(collection: Collection, split: Split) -> None:
    """Refuse a scan that is in training and in validation under two names.

    Raises:
        InputError: there is one; the message has both names.
    """
    sides = dict.fromkeys((*split.labelled, *split.unlabelled), "training")
    sides |= dict.fromkeys(split.validation, "validation")
    seen: dict[bytes, Volume] = {}
    for volume in collection.volumes:
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
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"{path}: no such patient: {', '.join(unknown)}")
    return list(dict.fromkeys(names))
