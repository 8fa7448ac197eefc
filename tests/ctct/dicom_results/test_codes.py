"""Codes are those of the standard, as pydicom lists them."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom")
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts

from ctct.dicom_results import codes
from ctct.dicom_results.codes import Code
from ctct.io.dicom.segmentation import CODES
from ctct.measurement.subject import SUBJECT_COLUMNS
from ctct.measurement.volumes import INDEX_COLUMNS
from ctct.measurement.wall import SEGMENTS

CONCEPTS = [concept for of in codes.INDICES.values() for concept in of.values()]
PUBLIC: list[Code] = [
    *(codes.CARDIAC_MRI, codes.ARTIFICIAL_INTELLIGENCE, codes.COMMENT, codes.VOLUME),
    *(codes.WALL_THICKNESS, codes.THICKENING, codes.HEART_RATE, codes.BSA, codes.MOSTELLER),
    *(codes.INDEX, *codes.PHASES.values(), *codes.WALL_SEGMENTS),
    *((value, "SCT", meaning) for value, meaning in CODES.values()),
    *(concept.name for concept in CONCEPTS),
]
#: UCUM composes units; pydicom lists some.
COMPOSED = {"ml", "ml/m2", "g", "g/m2", "l/min", "l/min/m2", "m2"}


def meanings(value: str, scheme: str) -> set[str]:
    return {
        meaning.lower()
        for by_code in concepts[scheme].values()
        for code, (meaning, _) in by_code.items()
        if code == value
    }


@pytest.mark.parametrize("code", PUBLIC, ids=lambda code: f"{code[1]} {code[2]}")
def test_a_code_means_what_it_says(code: Code) -> None:
    value, scheme, meaning = code
    assert meaning.lower() in meanings(value, scheme)


def test_units_are_of_ucum() -> None:
    units = {concept.unit for concept in CONCEPTS}
    units |= {codes.ML, codes.MM, codes.PERCENT, codes.PER_MINUTE, codes.NO_UNITS}
    assert {scheme for _, scheme, _ in units} == {"UCUM"}
    assert {value for value, _, _ in units if not meanings(value, "UCUM")} <= COMPOSED


def test_every_index_of_the_tables_has_a_code() -> None:
    coded = [column for of in codes.INDICES.values() for column in of]
    assert sorted(coded) == sorted((*INDEX_COLUMNS, *SUBJECT_COLUMNS))


def test_no_two_indices_of_a_heart_chamber_look_alike() -> None:
    for concepts_of in codes.INDICES.values():
        told = [(c.name, c.unit, c.phase, c.is_indexed) for c in concepts_of.values()]
        assert len(set(told)) == len(told)


def test_segments_of_the_wall_are_those_of_the_standard() -> None:
    """The meaning names the segment that ctct numbers so."""
    names = cid_concepts[3717]["SCT"]
    standard = {code for name in names for code in concepts["SCT"][name]}
    assert {value for value, _, _ in codes.WALL_SEGMENTS} < standard
    for (_, _, meaning), name in zip(codes.WALL_SEGMENTS, SEGMENTS, strict=True):
        assert meaning == f"left ventricle {name} segment"
