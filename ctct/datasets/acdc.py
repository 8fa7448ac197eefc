"""The ACDC data set: the published semi-supervised split, and how its patients are told apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ctct.datasets.collection import Volume

#: Numbers of the patients in the published semi-supervised split (Luo et al., MIDL 2022), in its
#: order: of the training patients the first 3, 7 or 14 are the labelled ones. The other 20 of the
#: first 100 patients are its test patients.
# fmt: off
PUBLISHED_TRAINING = (
    99, 38, 50, 100, 58, 21, 49, 20, 72, 40, 60, 89, 4, 56,
    98, 96, 31, 18, 94, 47, 48, 55, 97, 74, 43, 41, 63, 37,
    95, 54, 26, 88, 32, 69, 6, 71, 12, 73, 61, 17, 25, 10,
    57, 29, 51, 5, 36, 46, 62, 34, 76, 92, 70, 77, 67, 3,
    91, 16, 14, 44, 42, 90, 53, 27, 35, 86, 23, 9, 79, 15,
)
PUBLISHED_VALIDATION = (2, 19, 28, 30, 39, 45, 78, 82, 85, 87)
#: Of patients 1 to 100: the number of the ES frame, and the in-plane spacing. The ED frame is
#: number 1, of patient 90 number 4.
ES_FRAME = (
    12, 12, 15, 15, 13, 16, 7, 13, 13, 13, 8, 13, 14, 13, 10, 12, 9, 10, 11, 11,
    13, 11, 9, 9, 9, 12, 11, 9, 12, 12, 10, 12, 14, 16, 11, 12, 12, 11, 10, 13,
    11, 16, 7, 11, 13, 10, 9, 8, 11, 12, 11, 9, 12, 12, 10, 12, 9, 14, 9, 14,
    10, 9, 16, 12, 14, 11, 10, 12, 12, 10, 9, 11, 10, 12, 6, 12, 9, 9, 11, 10,
    7, 7, 8, 10, 9, 8, 10, 12, 10, 11, 9, 6, 14, 7, 12, 8, 11, 9, 9, 13,
)
SPACING_MM = (
    1.562, 1.367, 1.562, 1.367, 1.406, 1.758, 1.875, 1.562, 1.367, 1.562,
    1.484, 1.562, 1.445, 1.367, 1.367, 1.445, 1.562, 1.367, 1.445, 1.758,
    1.68, 1.406, 1.445, 1.562, 1.367, 1.367, 1.367, 1.562, 1.367, 1.445,
    1.484, 1.562, 1.562, 1.562, 1.68, 1.445, 1.875, 0.833, 1.641, 1.484,
    1.786, 1.758, 1.92, 1.367, 1.562, 1.562, 1.68, 1.562, 1.367, 1.367,
    1.641, 1.484, 1.367, 1.484, 1.484, 1.367, 0.703, 1.406, 1.367, 1.562,
    1.367, 1.367, 1.367, 1.445, 1.875, 1.367, 1.367, 1.562, 1.562, 1.562,
    1.562, 1.562, 1.641, 1.562, 1.786, 1.562, 1.406, 1.367, 1.367, 1.758,
    1.652, 1.786, 1.562, 1.367, 1.215, 1.562, 1.445, 1.652, 1.458, 1.786,
    1.562, 1.683, 1.562, 1.683, 1.562, 1.683, 1.484, 1.25, 1.786, 1.316,
)
# fmt: on
#: The test patients of the challenge, which came out with labels later.
CHALLENGE_TEST = frozenset(f"patient{number}" for number in range(101, 151))
_SPACING_TOLERANCE_MM = 0.002


def name(number: int) -> str:
    """The patient's name in the download."""
    return f"patient{number:03}"


def strangers(labelled: Iterable[Volume]) -> list[str]:
    """Patients that are not ACDC's, by the numbers of their two labelled frames and the spacing.

    A name such as ``patient001`` proves nothing: many use it for their own patients. Patients 101
    to 150 count as ACDC's where all of them are there.
    """
    frames: dict[str, set[tuple[str, bool]]] = defaultdict(set)
    for volume in labelled:
        frames[volume.patient].add((volume.name, _has_spacing_of_acdc(volume)))
    others = [patient for patient, found in frames.items() if found != _expected(patient)]
    return [p for p in others if p not in CHALLENGE_TEST or not set(others) >= CHALLENGE_TEST]


def _number(patient: str) -> int:
    """The number of a patient of the first 100, else 0."""
    match = re.fullmatch(r"patient(\d{3})", patient)
    return int(match[1]) if match and int(match[1]) <= len(ES_FRAME) else 0


def _expected(patient: str) -> set[tuple[str, bool]]:
    number = _number(patient)
    frames = (4 if number == 90 else 1, ES_FRAME[number - 1]) if number else ()
    return {(f"{patient}_frame{frame:02}", True) for frame in frames}


def _has_spacing_of_acdc(volume: Volume) -> bool:
    number = _number(volume.patient)
    expected = SPACING_MM[number - 1] if number else np.nan
    return bool(np.allclose(volume.spacing_mm, expected, rtol=0, atol=_SPACING_TOLERANCE_MM))
