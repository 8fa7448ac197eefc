"""Stacks and slices that were acquired more than once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import NORMAL, ORIGIN, PHASE_MS, enhanced, frame, image, save, write_cine

from ctct.cases.discover import discover, list_scans
from ctct.cases.read import read_case, read_study
from ctct.errors import InputError

PHASES, PLACES = 8, 6
FIRST = np.array([[frame(t, z) for z in range(PLACES)] for t in range(PHASES)], np.float32)
#: The second acquisition shows other pixels: those of slices 7 to 12.
SECOND = np.array([[frame(t, z + 7) for z in range(PLACES)] for t in range(PHASES)], np.float32)


def write_again(
    folder: Path,
    later_ms: float = 15.0,
    away_mm: float = 0.0,
    places: range = range(PLACES),
    phases: range = range(PHASES),
    **changes: Any,
) -> None:
    """Images of a second acquisition; those of ``changes`` differ from the first one."""
    for z in places:
        for t in phases:
            position = ORIGIN + (8 * z + away_mm) * NORMAL
            one = image(t, z, TriggerTime=10 + PHASE_MS * t + later_ms, **changes)
            one.ImagePositionPatient = [f"{v:.5f}" for v in position]
            one.PixelData = frame(t, z + 7).tobytes()
            save(one, folder / f"again{t}_{z}")


def write_first(folder: Path, **changes: Any) -> Path:
    return write_cine(folder, PHASES, PLACES, lambda t, z: changes)


class TestStacks:
    @pytest.mark.parametrize(
        ("name", "first", "second", "away_mm"),
        [
            ("AcquisitionNumber", 9, 10, 0.0),
            ("AcquisitionNumber", 1, 2, 4.0),
            ("AcquisitionTime", "082621", "090000", 1.0),
            ("AcquisitionDateTime", "20260101", "20260102", 4.0),
        ],
    )
    def test_the_later_one_is_used_and_the_other_named(
        self, tmp_path: Path, name: str, first: Any, second: Any, away_mm: float
    ) -> None:
        write_first(tmp_path, SliceThickness=8, **{name: first})
        write_again(tmp_path, away_mm=away_mm, SliceThickness=8, **{name: second})
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, SECOND)
        assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)
        assert study.notes == (
            "series 7, acquisition 2 is used; of the same kind and not used: series 7, "
            "acquisition 1, 6 slices of 8 phases",
        )
        np.testing.assert_array_equal(read_study(tmp_path, "1.2.3").voxels, SECOND)

    def test_instance_numbers_that_run_on_tell_them_apart(self, tmp_path: Path) -> None:
        write_first(tmp_path)
        for t in range(PHASES):
            for z in range(PLACES):
                number = 1000 + 100 * z + t
                write_again(
                    tmp_path, 15, 0, range(z, z + 1), range(t, t + 1), InstanceNumber=number
                )
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, SECOND)
        assert "acquisition 2 is used" in study.notes[0]

    def test_folders_tell_them_apart(self, tmp_path: Path) -> None:
        write_first(tmp_path / "a")
        write_again(tmp_path / "b")
        np.testing.assert_array_equal(read_study(tmp_path).voxels, SECOND)

    @pytest.mark.parametrize("away_mm", [0.0, 4.0])
    def test_a_time_per_slice_tells_them_apart(self, tmp_path: Path, away_mm: float) -> None:
        def timed(z: int, hour: int) -> dict[str, Any]:
            return {"AcquisitionTime": f"{hour}{10 + z}00", "SliceThickness": 8}

        write_cine(tmp_path, change=lambda t, z: timed(z, 10))
        for z in range(PLACES):
            write_again(tmp_path, 15, away_mm, range(z, z + 1), **timed(z, 11))
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, SECOND)
        assert "acquisition 2 is used" in study.notes[0]

    def test_overlapping_slices_are_noted(self, tmp_path: Path) -> None:
        write_first(tmp_path, SliceThickness=8)
        for z in range(PLACES):  # every slice of the second stack after its neighbor of the first
            numbers = {"InstanceNumber": 100 * z + 50, "SliceThickness": 8}
            write_again(tmp_path, 0, 4, range(z, z + 1), **numbers)
        assert read_study(tmp_path).notes[-1] == (
            "slices 8 mm thick lie 4.0 mm apart, as if two stacks were mixed"
        )

    def test_enhanced_files_of_one_series(self, tmp_path: Path) -> None:
        for n in (1, 2):
            save(enhanced(), tmp_path / f"{n}.dcm")
        study = read_study(tmp_path)
        assert study.voxels.shape[:2] == (PHASES, PLACES)
        assert "acquisition 2 is used" in study.notes[0]

    @pytest.mark.parametrize("missing", ["slices", "phases"])
    def test_an_incomplete_one_is_not_used(self, tmp_path: Path, missing: str) -> None:
        write_first(tmp_path, AcquisitionNumber=1)
        places, phases = (range(5), range(8)) if missing == "slices" else (range(6), range(6))
        write_again(tmp_path, places=places, phases=phases, AcquisitionNumber=2)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, FIRST)
        assert "acquisition 1 is used; of the same kind and not used" in study.notes[0]

    def test_what_nothing_tells_apart_is_noted(self, tmp_path: Path) -> None:
        write_first(tmp_path, CardiacNumberOfImages=8)
        write_again(tmp_path, CardiacNumberOfImages=8)
        assert read_study(tmp_path).notes == (
            "the header says 8 phases, there are 16, as if the slices were acquired more than once",
            "images of one slice that share their InstanceNumber: 48",
        )

    @pytest.mark.parametrize(
        "change",
        [
            lambda t, z: {"AcquisitionNumber": t + 1},  # as Siemens numbers the phases
            lambda t, z: {"AcquisitionNumber": z + 1},
            lambda t, z: {"AcquisitionNumber": z % 2 + 1},  # every other slice first
            lambda t, z: {"AcquisitionTime": f"08{10 + z}{10 + t}"},
            lambda t, z: {"AcquisitionTime": f"0826{10 + (8 * z + t) // 30}"},
        ],
    )
    def test_one_stack_is_not_split(self, tmp_path: Path, change: Any) -> None:
        write_cine(tmp_path, 8, 12, change)
        study = read_study(tmp_path)
        assert study.voxels.shape[:2] == (8, 12)
        assert study.notes == ()

    def test_the_first_and_the_second_half_of_the_cycle_are_one_stack(self, tmp_path: Path) -> None:
        write_cine(tmp_path, 12, 6, lambda t, z: {"AcquisitionNumber": t // 6 + 1})
        assert read_study(tmp_path).voxels.shape[:2] == (12, 6)


class TestTwoSeries:
    """Rest and stress, or before and after contrast."""

    REST, STRESS = "1.2.3", "1.2.9"

    @pytest.mark.parametrize("away_mm", [0.0, 4.0])
    def test_full_stacks_are_never_joined(self, tmp_path: Path, away_mm: float) -> None:
        write_first(tmp_path)
        write_again(tmp_path, 0, away_mm, SeriesInstanceUID=self.STRESS, SeriesNumber=9)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, SECOND)
        assert study.notes == (
            "series 9 is used; of the same kind and not used: series 7, 6 slices of 8 phases",
        )
        for uid, expected in ((self.REST, FIRST), (self.STRESS, SECOND)):
            study = read_study(tmp_path, uid)
            np.testing.assert_array_equal(study.voxels, expected)
            assert study.notes == ()

    def test_three_stacks_a_third_of_a_slice_apart(self, tmp_path: Path) -> None:
        write_first(tmp_path)
        for n in (1, 2):
            changes = {"SeriesInstanceUID": f"1.2.{n}", "SeriesNumber": 10 + n}
            write_again(tmp_path / str(n), 0, 8 * n / 3, **changes)
        study = read_study(tmp_path)
        assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)
        assert "series 7, 6 slices of 8 phases; series 11, 6 slices of 8 phases" in study.notes[0]

    def test_stacks_of_a_series_per_slice_are_not_mixed(self, tmp_path: Path) -> None:
        def numbered(z: int, first: int) -> dict[str, Any]:
            return {"SeriesNumber": first + z, "SeriesInstanceUID": f"1.5.{first + z}"}

        write_cine(tmp_path, change=lambda t, z: numbered(z, 10) | {"SliceThickness": 8})
        for z in range(PLACES):
            write_again(tmp_path, 0, 4, range(z, z + 1), SliceThickness=8, **numbered(z, 30))
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, SECOND)
        assert "acquisition 2 is used" in study.notes[0]


class TestSlices:
    @pytest.mark.parametrize(("place", "away_mm"), [(0, 1.0), (2, -1.0), (5, 0.7)])
    def test_the_later_of_two_close_ones_is_used(
        self, tmp_path: Path, place: int, away_mm: float
    ) -> None:
        write_first(tmp_path)
        write_again(tmp_path, 0, away_mm, range(place, place + 1), AcquisitionNumber=2)
        study = read_study(tmp_path)
        expected = FIRST.copy()
        expected[:, place] = SECOND[:, place]
        np.testing.assert_array_equal(study.voxels, expected)
        assert study.slice_spacing_mm == pytest.approx(8, abs=1e-3)
        assert study.notes == (
            f"slices that were acquired again, up to {abs(away_mm):.1f} mm away: 1; one of each is "
            "used",
        )

    def test_one_that_does_not_fit_the_stack_is_not_used(self, tmp_path: Path) -> None:
        write_first(tmp_path)
        write_again(tmp_path, 0, 3, range(2, 3), AcquisitionNumber=2)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels, FIRST)
        assert "up to 3.0 mm away: 1" in study.notes[0]

    def test_one_that_lacks_phases_is_not_used(self, tmp_path: Path) -> None:
        write_first(tmp_path)
        write_again(tmp_path, 0, 1, range(2, 3), range(5), AcquisitionNumber=2)
        np.testing.assert_array_equal(read_study(tmp_path).voxels, FIRST)

    def test_one_in_the_same_place_at_other_times_is_not_mixed(self, tmp_path: Path) -> None:
        write_first(tmp_path)
        write_again(tmp_path, 15, 0, range(2, 3), InstanceNumber=1000, AcquisitionNumber=2)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels[:, 2], SECOND[:, 2])
        assert "images that were there twice: 8; the later ones are used" in study.notes

    def test_one_in_a_series_of_its_own(self, tmp_path: Path) -> None:
        write_first(tmp_path, SeriesDescription="cine SAX")
        changes = {"SeriesInstanceUID": "1.2.9", "SeriesNumber": 9}
        write_again(tmp_path, 0, 1, range(2, 3), SeriesDescription="cine SAX", **changes)
        study = read_study(tmp_path)
        np.testing.assert_array_equal(study.voxels[:, 2], SECOND[:, 2])
        assert "slices that were acquired again, up to 1.0 mm away: 1" in study.notes[0]

    def test_a_missing_slice_is_still_refused(self, tmp_path: Path) -> None:
        write_cine(tmp_path, 8, 7, lambda t, z: None if z == 3 else {})
        write_again(tmp_path, 0, 1, range(1, 2), AcquisitionNumber=2)
        with pytest.raises(InputError, match="so some are missing"):
            read_study(tmp_path)


def write_second_patient(folder: Path, **changes: Any) -> None:
    write_again(folder, 0, PatientID="ID-4712", PatientName="Roe^Jane", **changes)


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.9"])
def test_two_patients_under_one_study_are_two_cases(tmp_path: Path, uid: str) -> None:
    write_first(tmp_path)
    write_second_patient(tmp_path, SeriesInstanceUID=uid)
    cases, _ = discover([tmp_path])
    assert len({case.name for case in cases}) == len({case.identity for case in cases}) == 2
    shown = " ".join(f"{case.name} {case.identity}" for case in cases)
    assert not any(text in shown for text in ("ID-47", "Doe", "Roe"))
    voxels = [read_case(case).voxels for case in cases]
    assert sorted(v[0, 0, 0, 0] for v in voxels) == [FIRST[0, 0, 0, 0], SECOND[0, 0, 0, 0]]
    if uid == "1.2.3":
        for case in (*cases, *discover([tmp_path], [uid])[0]):
            assert read_case(case).notes == (
                "images of another patient or study have the same SeriesInstanceUID",
            )


def test_one_series_in_two_studies_is_noted(tmp_path: Path) -> None:
    """As where an anonymizer gives the images of a series different StudyInstanceUIDs."""
    write_cine(tmp_path, change=lambda t, z: {"StudyInstanceUID": f"1.2.{z == 5:d}"})
    study = read_study(tmp_path)
    assert study.slices == 5
    assert study.notes == ("images of another patient or study have the same SeriesInstanceUID",)


def test_every_part_of_a_series_is_listed(tmp_path: Path) -> None:
    write_first(tmp_path, AcquisitionNumber=1)
    write_again(tmp_path, AcquisitionNumber=2)
    scans = list_scans([tmp_path])
    assert [series.label for series in scans.series] == [
        "series 7, acquisition 1",
        "series 7, acquisition 2",
    ]
    assert scans.rejections[0].startswith("a short-axis cine, but series 7, acquisition 2 is taken")
