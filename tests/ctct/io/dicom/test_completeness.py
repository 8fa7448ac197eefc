"""What the headers say is missing, and files that cannot be read, are noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom")
from dicom_support import enhanced, image, save, write_cine

from ctct.cases.read import read_study

PHASES, PLACES = 8, 6
_NUMBERS = "InstanceNumbers that no file has: {}; export the whole series again"
_IMAGES = "the header says 48 images, there are {}; export the whole series again"


def by_slice(t: int, z: int) -> int:
    return PHASES * z + t + 1


def by_phase(t: int, z: int) -> int:
    return PLACES * t + z + 1


def write(
    folder: Path,
    is_lost: Callable[[int, int], bool],
    number: Callable[[int, int], Any],
    **more: Any,
) -> Path:
    """A cine without the images that are lost, numbered by ``number``."""
    return write_cine(
        folder,
        PHASES,
        PLACES,
        lambda t, z: None if is_lost(t, z) else {"InstanceNumber": number(t, z), **more},
    )


@pytest.mark.parametrize("number", [by_slice, by_phase])
def test_a_complete_series_has_no_notes(tmp_path: Path, number: Callable[[int, int], int]) -> None:
    counts = {"ImagesInAcquisition": 48, "CardiacNumberOfImages": 8, "NumberOfTemporalPositions": 8}
    assert read_study(write(tmp_path, lambda t, z: False, number, **counts)).notes == ()


@pytest.mark.parametrize(
    ("place", "number", "missing"), [(0, by_slice, 8), (0, by_phase, 8), (5, by_phase, 7)]
)
def test_numbers_without_an_image(
    tmp_path: Path, place: int, number: Callable[[int, int], int], missing: int
) -> None:
    """After the highest number that is there nothing tells what is missing."""
    study = read_study(write(tmp_path, lambda t, z: z == place, number))
    assert study.notes == (_NUMBERS.format(missing),)


@pytest.mark.parametrize("offset", [13, 48, 60, 100])
def test_numbers_that_begin_late_are_complete(tmp_path: Path, offset: int) -> None:
    """13 images are no whole number of 8 phases or 6 slices; more than 48 are another stack."""
    study = read_study(write(tmp_path, lambda t, z: False, lambda t, z: by_slice(t, z) + offset))
    assert study.notes == ()


@pytest.mark.parametrize("offset", [8, 16])
def test_a_count_in_the_header_says_that_numbers_that_begin_late_are_complete(
    tmp_path: Path, offset: int
) -> None:
    def write_with_count(name: str, count: int) -> Path:
        number = lambda t, z: by_slice(t, z) + offset  # noqa: E731
        return write(tmp_path / name, lambda t, z: False, number, ImagesInAcquisition=count)

    assert read_study(write_with_count("all", 48)).notes == ()
    expected = (_NUMBERS.format(offset), f"the header says {48 + offset} images, there are 48; ")
    notes = read_study(write_with_count("some", 48 + offset)).notes
    assert [n.startswith(e) for n, e in zip(notes, expected, strict=True)] == [True, True]


def test_images_lost_at_the_end_and_within(tmp_path: Path) -> None:
    """The first slice, of 8 images, and one image more."""
    study = read_study(write(tmp_path, lambda t, z: z == 0 or (t, z) == (3, 2), by_slice))
    assert study.notes[0] == _NUMBERS.format(9)


def test_slices_lost_in_a_series_per_phase(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any] | None:
        series = {"SeriesNumber": t, "SeriesInstanceUID": f"1.6.{t}"}
        return {"InstanceNumber": z + 1, **series} if z else None

    assert read_study(write_cine(tmp_path, PHASES, PLACES, change)).notes == (_NUMBERS.format(1),)


@pytest.mark.parametrize(
    "number",
    [
        lambda t, z: 100 * z + t,
        lambda t, z: t + 1,
        lambda t, z: t + 101,
        lambda t, z: 2 * by_slice(t, z),
        lambda t, z: 0,
        lambda t, z: "",
    ],
)
def test_numbers_that_do_not_count_the_images(
    tmp_path: Path, number: Callable[[int, int], Any]
) -> None:
    assert read_study(write(tmp_path, lambda t, z: z == 0, number)).notes == ()


def test_numbers_that_run_on_over_a_series_per_slice(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any]:
        series = {"SeriesNumber": z, "SeriesInstanceUID": f"1.6.{z}"}
        return {"InstanceNumber": by_slice(t, z), **series}

    assert read_study(write_cine(tmp_path, PHASES, PLACES, change)).notes == ()


@pytest.mark.parametrize(
    ("name", "count", "note"),
    [
        ("ImagesInAcquisition", 48, _IMAGES.format(40)),
        ("CardiacNumberOfImages", 10, "the header says 10 phases, there are 8"),
        ("NumberOfTemporalPositions", 10, "the header says 10 phases, there are 8"),
    ],
)
def test_counts_in_the_header(tmp_path: Path, name: str, count: int, note: str) -> None:
    study = read_study(write(tmp_path, lambda t, z: z == 5, by_slice, **{name: count}))
    assert len(study.notes) == 1
    assert study.notes[0].startswith(note)


def test_an_enhanced_file_is_complete(tmp_path: Path) -> None:
    dataset = enhanced()
    dataset.ImagesInAcquisition, dataset.CardiacNumberOfImages = 48, 8
    assert read_study(save(dataset, tmp_path / "a.dcm")).notes == ()


def test_images_of_another_kind_beside_the_stack_are_counted(tmp_path: Path) -> None:
    """A slice that lacks a word in its header is not lost without a note."""
    write(tmp_path, lambda t, z: False, by_slice)
    for t in range(PHASES):
        kind = {"ImageType": ["ORIGINAL", "PRIMARY", "P"], "InstanceNumber": 49 + t}
        save(image(t, PLACES, **kind), tmp_path / f"other{t}")
        save(image(t, 2, **kind), tmp_path / f"phase_map{t}")
    assert read_study(tmp_path).notes == ("8 images of the series have another geometry, left out",)
