"""Which DICOM series there are, which is the short-axis cine, and where they are looked for."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_support import write_scan

pytest.importorskip("pydicom")
import fuzz_dicom
from dicom_support import COLUMN, NORMAL, ORIGIN, ROW, enhanced, frame, image, save, write_cine
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ctct.errors import InputError, RuntimeUnavailableError
from ctct.io.dicom import files as dicom_files
from ctct.io.discover import discover, list_scans
from ctct.io.read import read_case, read_study


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def reasons(*inputs: Path) -> dict[int, str]:
    """Why each series is not taken, by its number."""
    scans = list_scans(inputs)
    return {s.first.number: why for s, why in zip(scans.series, scans.rejections, strict=True)}


def test_the_short_axis_cine_is_found_among_the_series_of_a_study(tmp_path: Path) -> None:
    write_cine(tmp_path / "study" / "sax")

    def others(number: int, phases: int, places: int, **changes: Any) -> None:
        own = {"SeriesNumber": number, "SeriesInstanceUID": f"1.9.{number}", **changes}
        write_cine(tmp_path / "study" / str(number), phases, places, lambda t, z: own)

    # Its normal is (-0.48, 0.36, -0.80); the heart's long axis, (0.65, -0.60, -0.45) / 0.99, has a
    # cosine of 0.17 with it.
    long_axis = [f"{v:.6f}" for v in (*ROW, *NORMAL)]
    others(1, 1, 6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    others(2, 8, 1, ImageOrientationPatient=long_axis, ImagePositionPatient=[*ORIGIN])
    others(3, 1, 6)
    others(4, 20, 3)
    others(5, 8, 6, ImageType=["ORIGINAL", "PRIMARY", "P"])
    others(6, 8, 6, Modality="CT")
    others(8, 8, 6, ImagePositionPatient=None)
    others(10, 6, 5, PixelSpacing=["0", "0"])
    write_cine(
        tmp_path / "study" / "stack of long axes",
        change=lambda t, z: {
            "SeriesNumber": 9,
            "SeriesInstanceUID": "1.9.9",
            "ImageOrientationPatient": long_axis,
            "ImagePositionPatient": [*(ORIGIN + 8 * z * COLUMN)],
        },
    )
    assert reasons(tmp_path) == {
        1: "localizer",
        2: "slices: 1, a short-axis cine has at least 5",
        3: "phases: 1, a cine has at least 6",
        4: "slices: 3, a short-axis cine has at least 5",
        5: "phase map (flow)",
        6: "modality is CT, expected MR",
        7: "",
        8: "lacks ImagePositionPatient",
        10: "lacks PixelSpacing",
        9: "lies 80° from where the short axis of a heart is expected",
    }
    ((case,), _) = discover([tmp_path])
    assert case.name == "sax"
    ((other,), _) = discover([tmp_path], ["1.9.4"])
    assert read_case(other).voxels.shape[:2] == (20, 3)
    with pytest.raises(InputError, match="lack ImagePositionPatient"):
        read_study(tmp_path, "1.9.8")
    with pytest.raises(InputError, match=r"--series 1\.9\.99: not there"):
        discover([tmp_path], ["1.9.99"])


def test_of_two_short_axis_cines_the_later_is_taken(tmp_path: Path) -> None:
    write_cine(tmp_path / "a")
    again = {"SeriesNumber": 12, "SeriesInstanceUID": "1.2.12"}
    write_cine(tmp_path / "b", change=lambda t, z: again)
    assert reasons(tmp_path)[12] == ""
    assert "series 12 is taken" in reasons(tmp_path)[7]


def test_a_series_a_slice_is_joined_and_a_repeated_slice_replaced(tmp_path: Path) -> None:
    def own(z: int, number: int) -> dict[str, Any]:
        return {"SeriesNumber": number, "SeriesInstanceUID": f"1.7.{number}"}

    write_cine(tmp_path / "study", change=lambda t, z: own(z, 20 - z))
    study = read_study(tmp_path / "study")
    assert study.voxels.shape[:2] == (8, 6)
    assert study.notes == ()
    assert len(discover([tmp_path / "study"], ["1.7.15", "1.7.16", "1.7.15"])[0]) == 1
    write_cine(tmp_path / "study" / "again", change=lambda t, z: own(z, 30) if z == 2 else None)
    assert read_study(tmp_path / "study").notes == (
        "images that were there twice: 8; the later ones are used",
    )


def phase_series(t: int, **changes: Any) -> dict[str, Any]:
    """Series numbers that are in no order."""
    number = (5 * t) % 8 + 1
    return {"SeriesNumber": number, "SeriesInstanceUID": f"1.8.{number}", **changes}


def test_a_series_a_phase_is_joined_in_the_order_of_time(tmp_path: Path) -> None:
    write_cine(tmp_path, change=lambda t, z: phase_series(t))
    study = read_study(tmp_path)
    expected = [[frame(t, z) for z in range(6)] for t in range(8)]
    np.testing.assert_array_equal(study.voxels, expected)
    assert study.notes == ()
    ((chosen,), _) = discover([tmp_path], ["1.8.3"])
    assert read_case(chosen).frames == 8


def test_of_a_series_a_phase_a_slice_may_be_missing(tmp_path: Path) -> None:
    write_cine(tmp_path, change=lambda t, z: None if (t, z) == (3, 2) else phase_series(t))
    assert read_study(tmp_path).notes == (
        "slice 2 has 7 phases, the others 8: the nearest in time is used",
    )


@pytest.mark.parametrize(
    "changes", [{"TriggerTime": None}, {"TriggerTime": "0"}, {"ImageType": ["ORIGINAL", "", "P"]}]
)
def test_stacks_that_no_time_tells_apart_are_not_joined(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_cine(tmp_path, change=lambda t, z: phase_series(t, **changes))
    assert len(reasons(tmp_path)) == 8
    assert "" not in reasons(tmp_path).values()


def test_two_halves_of_a_stack_are_joined(tmp_path: Path) -> None:
    write_cine(tmp_path, 8, 12, lambda t, z: {"SeriesInstanceUID": f"1.7.{z // 6}"})
    study = read_study(tmp_path)
    assert study.slices == 12
    assert study.notes == ("the slices come from 2 series",)


def test_orientations_that_differ_in_the_last_digit_are_one(tmp_path: Path) -> None:
    other = [f"{v:.6f}" for v in (ROW[0] + 1e-6, *ROW[1:], *COLUMN)]
    write_cine(tmp_path, change=lambda t, z: {"ImageOrientationPatient": other} if t % 2 else {})
    assert read_study(tmp_path).frames == 8


def test_zip_folder_and_dicomdir_hold_the_same(tmp_path: Path) -> None:
    folder = write_cine(tmp_path / "x" / "y" / "cine")
    ((from_zip,), _) = discover([zipped(folder, tmp_path / "p1.zip")])
    ((nested,), _) = discover([tmp_path / "x"])
    files = FileSet()
    for file in folder.iterdir():
        files.add(file)
    files.write(tmp_path / "disc")
    ((listed,), _) = discover([tmp_path / "disc" / "DICOMDIR"])
    assert (from_zip.name, nested.name, listed.name) == ("p1", "cine", "SE000000")
    read = [read_case(case) for case in (from_zip, nested, listed)]
    for other in read[1:]:
        np.testing.assert_array_equal(other.voxels, read[0].voxels)
    assert not any(tmp_path.glob("p1*/")), "a zip is unpacked in memory only"


def test_nifti_and_dicom_lie_in_one_folder(tmp_path: Path) -> None:
    write_scan(tmp_path / "b.nii.gz")
    folder = write_cine(tmp_path / "c")
    zipped(folder, tmp_path / "a.zip")
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["a", "b", "c"]
    assert [read_case(case).slices for case in cases] == [6, 3, 6]


def test_names_are_those_of_folders_and_never_of_patients(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        own = {"StudyInstanceUID": f"1.3.{patient[1]}", "SeriesInstanceUID": f"1.4.{patient[1]}"}
        write_cine(tmp_path / patient / "DICOM", change=lambda t, z, own=own: own)
    cases, _ = discover([tmp_path])
    assert [case.name for case in cases] == ["p1_DICOM", "p2_DICOM"]
    for file in (tmp_path / "p1" / "DICOM").iterdir():
        file.rename(tmp_path / "p2" / "DICOM" / f"other{file.name}")
    cases, _ = discover([tmp_path])
    assert len({case.name for case in cases}) == len({case.identity for case in cases}) == 2
    assert [case.name for case in cases] == sorted(
        f"DICOM_{case.series.digest[:8]}" for case in cases if case.series
    )
    assert not any("Doe" in case.name or "4711" in case.identity for case in cases)


def test_a_folder_named_by_dots_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cine(tmp_path / "sax")
    (tmp_path / "sax" / "within").mkdir()
    monkeypatch.chdir(tmp_path / "sax" / "within")
    ((above,), _) = discover([".."])
    monkeypatch.chdir(tmp_path / "sax")
    ((here,), _) = discover(["."])
    assert above.name == here.name == "sax"


def test_the_identity_of_a_case_holds_no_uid(tmp_path: Path) -> None:
    ((case,), _) = discover([write_cine(tmp_path / "cine")])
    assert case.identity.startswith(f"{tmp_path / 'cine'}#")
    assert "1.2.3" not in case.identity


def test_body_and_heart_rate(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any]:
        body = {"PatientSex": "F", "PatientSize": "1.70", "PatientWeight": "0"}
        return {**body, "NominalInterval": "1000" if z < 4 else "750"}

    ((case,), _) = discover([write_cine(tmp_path / "cine", change=change)])
    assert case.series is not None
    info = case.series.info
    assert (info.sex, info.height_cm, info.weight_kg) == ("F", 170, None)
    assert info.heart_rate_bpm == 60


def test_files_that_are_damaged_or_no_images_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_cine(tmp_path / "cine")
    report = image(0, 0, Modality="SR", Rows=None, Columns=None, PixelData=None)
    save(report, folder / "report.dcm")
    (folder / "damaged.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0\0\0UL\4\0" + b"\xff" * 50)
    packed = image(0, 0)
    packed.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(packed, folder / "deflated.dcm")
    (folder / "notes.txt").write_text("not DICOM")
    assert read_study(folder).voxels.shape[:2] == (8, 6)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("ctct")]
    assert own == [f"{folder}: 2 DICOM files cannot be read; skipped"]


def test_an_enhanced_file_beside_a_report(tmp_path: Path) -> None:
    save(enhanced(), tmp_path / "enhanced.dcm")
    assert read_study(tmp_path).frames == 8


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"x"])
def test_a_file_called_zip_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zip: not a usable zip"):
        read_study(tmp_path / "a.zip")


class TestZip:
    def test_without_dicom(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "notes.txt").write_text("no image")
        path = zipped(tmp_path / "in", tmp_path / "a.zip")
        with pytest.raises(InputError, match=r"a.zip: holds no DICOM"):
            read_study(path)

    def test_names_in_it_are_never_written_to(self, tmp_path: Path) -> None:
        folder = write_cine(tmp_path / "in" / "cine")
        with zipfile.ZipFile(tmp_path / "in" / "evil.zip", "w") as archive:
            for n, file in enumerate(sorted(folder.iterdir())):
                archive.write(file, f"../../{n}/../IM{n}")
        before = sorted(tmp_path.rglob("*"))
        ((case,), _) = discover([tmp_path / "in" / "evil.zip"])
        assert read_case(case).frames == 8
        assert sorted(tmp_path.rglob("*")) == before

    def test_that_unpacks_to_too_much(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = zipped(write_cine(tmp_path / "cine"), tmp_path / "a.zip")
        monkeypatch.setattr(dicom_files, "MAX_ZIP_BYTES", 40_000)
        with pytest.raises(InputError, match=r"a.zip: unpacks to .* unpack it yourself"):
            read_study(path)

    def test_cut_short(self, tmp_path: Path) -> None:
        path = zipped(write_cine(tmp_path / "cine"), tmp_path / "a.zip")
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match=r"a\.zip: not a usable zip"):
            read_study(path)


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_cine(tmp_path / "cine")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(RuntimeUnavailableError, match=r"pip install 'ctct\[dicom\]'"):
        discover([folder])
    write_scan(tmp_path / "scan.nii.gz")
    assert [case.name for case in discover([tmp_path])[0]] == ["scan"]


@pytest.mark.slow
def test_damaged_series_end_as_a_study_or_in_an_error() -> None:
    tally = fuzz_dicom.run(200)
    assert tally.failures == []
    assert tally.outcomes["Study"] > 20
    assert tally.outcomes["InputError"] > 20
    assert tally.slowest_s < 5
