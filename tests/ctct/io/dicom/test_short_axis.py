"""The short-axis cine among the series of a study is found by shape, name and direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("pydicom")
from dicom_support import write_cine

from ctct.cases.discover import list_scans
from ctct.cases.read import read_study
from ctct.io.dicom.header import Image
from ctct.io.dicom.series import Series
from ctct.io.dicom.short_axis import explain_rejections, note_doubts

#: Normals (LPS) of the short axis of most people, mirrored, and of three cuts through the former.
USUAL = np.array([0.65, -0.60, -0.45])
MIRRORED = USUAL * [-1, 1, 1]
PIG = np.array([0.05, -0.60, -0.80])  # 43° × … see test_angles
FOUR_CHAMBER = np.array([0.60, 0.75, -0.13])
TWO_CHAMBER = np.cross(USUAL, FOUR_CHAMBER)


@cache
def images() -> tuple[Image, ...]:
    with TemporaryDirectory() as folder:
        write_cine(Path(folder), 6, 5)
        return list_scans([folder]).series[0].images


def cine(
    number: int, normal: npt.ArrayLike, name: str = "", slices: int = 5, phases: int = 6
) -> Series:
    """A cine with this number, direction and description."""
    normal = np.array(normal) / np.linalg.norm(normal)
    row = np.cross(normal, [0.1, 0.2, 0.9])
    row /= np.linalg.norm(row)
    orientation = (*row, *np.cross(normal, row))
    changed = []
    for image in images():
        place, phase = divmod(image.instance - 1, 100)
        if place < slices and phase < phases:
            changed.append(
                replace(
                    image,
                    number=number,
                    series=f"1.2.{number}",
                    description=name,
                    orientation=orientation,
                    position=tuple(8.0 * place * normal),
                )
            )
    return Series(tuple(changed))


def taken(*study: Series) -> list[int]:
    """The numbers of the series that are segmented."""
    return [
        s.first.number for s, why in zip(study, explain_rejections(study), strict=True) if not why
    ]


def notes(*study: Series) -> list[str]:
    """The notes on the first series."""
    return [*note_doubts(study)[0].notes]


@pytest.mark.parametrize(
    ("normal", "degrees"), [(USUAL, 0), (-USUAL, 0), (MIRRORED, 82), (FOUR_CHAMBER, 90)]
)
def test_a_lone_unnamed_cine_is_taken_and_noted_unless_it_lies_as_usual(
    normal: npt.NDArray[np.float64], degrees: int
) -> None:
    assert taken(cine(1, normal)) == [1]
    note = f"the series lies {degrees}° from where the short axis of a heart is expected; check "
    assert notes(cine(1, normal)) == ([note + "that it is a short-axis cine"] if degrees else [])


class TestDextrocardia:
    def test_a_cine_named_short_axis_is_as_good_as_any(self) -> None:
        assert taken(cine(1, MIRRORED, "CINE SAX")) == [1]
        assert notes(cine(1, MIRRORED, "CINE SAX")) == []

    def test_a_series_of_another_kind_names_the_direction(self) -> None:
        study = cine(1, MIRRORED), cine(2, MIRRORED, "LGE SAX", phases=1), cine(3, USUAL)
        assert taken(*study) == [1]
        assert notes(*study) == []

    def test_long_axes_are_less_likely(self) -> None:
        long_axes = cine(2, FOUR_CHAMBER * [-1, 1, 1], slices=5), cine(3, TWO_CHAMBER * [-1, 1, 1])
        assert taken(cine(1, MIRRORED), *long_axes) == [1]
        assert notes(cine(1, MIRRORED), *long_axes)

    def test_long_axes_that_lie_as_the_usual_short_axis_are_noted(self) -> None:
        assert notes(cine(1, USUAL), cine(2, MIRRORED)) == [
            "the series is one of two cines in different directions, and no name says which is it; "
            "check that it is a short-axis cine"
        ]
        assert notes(cine(1, USUAL), cine(2, MIRRORED, "2CH")) == []
        assert notes(cine(1, USUAL, "SAX"), cine(2, MIRRORED)) == []
        assert taken(cine(1, MIRRORED, "sax"), cine(2, USUAL)) == [1]
        assert taken(cine(1, MIRRORED), cine(2, USUAL, "4 chamber")) == [1]


class TestLongAxes:
    @pytest.mark.parametrize("normal", [FOUR_CHAMBER, TWO_CHAMBER])
    def test_they_are_not_taken_beside_a_short_axis(self, normal: npt.NDArray[np.float64]) -> None:
        for name in ("", "4CH", "cine"):
            assert taken(cine(1, USUAL), cine(2, normal, name, phases=6)) == [1]
            assert taken(cine(1, normal * [1, 1, 1.01], "SA"), cine(2, normal[::-1], name)) == [1]

    def test_a_stack_of_that_name_is_refused(self) -> None:
        assert explain_rejections([cine(1, FOUR_CHAMBER, "cine 4ch stack")]) == [
            "is a long-axis view by its name or that of a parallel series and lies 90° from where "
            "the short axis of a heart is expected"
        ]
        assert notes(cine(1, FOUR_CHAMBER, "cine 4ch stack"))

    def test_a_single_view_of_that_name_tells_a_parallel_stack(self) -> None:
        assert taken(cine(1, TWO_CHAMBER), cine(2, TWO_CHAMBER, "2CH", slices=1)) == []

    def test_two_directions_that_are_equally_likely_are_both_refused(self) -> None:
        assert taken(cine(1, [1, 0, 0]), cine(2, [0, 1, 0])) == []
        assert taken(cine(1, FOUR_CHAMBER), cine(2, FOUR_CHAMBER)) == [2]

    def test_a_name_against_the_direction_is_noted(self) -> None:
        assert taken(cine(1, USUAL, "lax")) == [1]
        assert notes(cine(1, USUAL, "lax"))
        assert taken(cine(1, USUAL, "lax"), cine(2, MIRRORED)) == [2]
        between = USUAL + MIRRORED
        assert np.allclose(between[0], 0)
        assert notes(cine(1, np.cross(USUAL, MIRRORED), "SAX"))


@pytest.mark.parametrize(
    ("names", "is_short", "is_long"),
    [
        (("SSFP-CINE SAx", "cine_SA_12", "tfi2d1 sa", "cineSAX", "SHORT_AXIS"), True, False),
        (("Short Axis", "shortaxis", "SHAX", "KURZE ACHSE", "Kurzachse", "petit axe"), True, False),
        (("sax_ao", "短轴", "eje corto"), True, False),
        (
            ("4CH", "cine 4 chamber", "2-chamber", "two chamber", "3ch_lvot", "LAX", "HLA", "VLA"),
            False,
            True,
        ),
        (
            ("long axis", "Lange Achse", "2 Kammer", "4cav", "axial", "cine_tra", "RVOT"),
            False,
            True,
        ),
        (("sagittal", "coronal", "cine LVOT"), False, True),
        (
            ("", "cine", "SAX 4CH", "usa", "sample", "relax", "Isaac", "cine_trufi_retro"),
            False,
            False,
        ),
    ],
)
def test_names(names: Sequence[str], is_short: bool, is_long: bool) -> None:
    for name in names:
        assert taken(cine(1, MIRRORED, name), cine(2, USUAL)) == [1 if is_short else 2], name
        assert (taken(cine(1, MIRRORED, name)) == []) is is_long, name


@pytest.mark.real_data
def test_a_cine_of_a_pig_is_taken(dicom_studies: Path) -> None:
    study = read_study(dicom_studies / "pig_ge_sax.zip")
    assert study.voxels.shape[:2] == (20, 20)
    assert not [note for note in study.notes if "axis" in note]
