"""DICOM segmentations overlay their source images, pixel by pixel."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom")
pytest.importorskip("pydicom")
from dicom_support import COLUMN, ROW, enhanced, image, save, write_cine
from highdicom.seg import Segmentation
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.errors import InputError
from ctct.io.dicom.segmentation import (
    cine_uid,
    encode_cine,
    encode_segmentations,
    segmentation_series,
    segmentation_uids,
)
from ctct.labels import COLORS, LV, MYO, RV, VALUE

LABELS = np.random.default_rng(5).integers(0, 4, (6, 5, 40, 36)).astype(np.uint8)


#: Number of the segment of each label.
SEGMENT = np.zeros(4, np.uint8)
SEGMENT[[VALUE[RV], VALUE[MYO], VALUE[LV]]] = 1, 2, 3
LPS = np.diag([-1, -1, 1, 1])

TURNS = {
    "as it is": (ROW, COLUMN),
    "rows flipped": (ROW, -COLUMN),
    "columns flipped": (-ROW, COLUMN),
    "rows and columns exchanged": (COLUMN, ROW),
}


def source_pixels(folder: Path) -> dict[tuple[str, int], np.ndarray]:
    """The images in a folder by instance and frame from 1; single-frame files have frame 0."""
    found = {}
    for dataset in map(dcmread, folder.iterdir()):
        pixels = dataset.pixel_array
        if pixels.ndim == 2:
            found[dataset.SOPInstanceUID, 0] = pixels
        else:
            for n, one in enumerate(pixels, 1):  # rescaled as the enhanced file says
                found[dataset.SOPInstanceUID, n] = one * 2 + 5
    return found


def check_overlay(folder: Path) -> list[Dataset]:
    """Each mask refers to its image, has its position, and holds its labels."""
    ((case,), _) = discover([folder])
    assert case.series is not None
    study, pixels = read_case(case), source_pixels(folder)
    along, down = study.affine[:3, 0] / study.spacing_mm[1], study.affine[:3, 1]
    down = down / study.spacing_mm[0]
    segmentations = [
        dcmread(io.BytesIO(content)) for content in encode_segmentations(case.series, LABELS)
    ]
    assert len(segmentations) == len(LABELS)
    for t, seg in enumerate(segmentations):
        meant = {
            n.SegmentNumber: n.SegmentedPropertyTypeCodeSequence[0].CodeValue
            for n in seg.SegmentSequence
        }
        assert meant == {1: "53085002", 2: "49848007", 3: "87878005"}
        shared = seg.SharedFunctionalGroupsSequence[0]
        measures = shared.PixelMeasuresSequence[0]
        assert list(measures.PixelSpacing) == [1.25, 1.5]
        assert measures.SpacingBetweenSlices == pytest.approx(8, abs=1e-3)
        turn = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
        np.testing.assert_allclose(turn * [-1, -1, 1], [along, down], atol=1e-6)  # LPS, RAS
        found = np.zeros_like(LABELS[t])
        for frame, mask in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
            frame_number = int(reference.get("ReferencedFrameNumber", 0))
            original = reference.ReferencedSOPInstanceUID, frame_number
            place = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            column, row, z, _ = np.linalg.solve(study.affine, [*(place * [-1, -1, 1]), 1])
            assert (column, row, z) == pytest.approx((0, 0, round(z)), abs=1e-3)
            np.testing.assert_array_equal(pixels[original], study.voxels[t, round(z)])
            number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[round(z)][mask == 1] = {1: VALUE[RV], 2: VALUE[MYO], 3: VALUE[LV]}[number]
        np.testing.assert_array_equal(found, LABELS[t])
        # The same as highdicom reads it; its axes are slice, row and column, in LPS.
        volume = Segmentation.from_dataset(seg).get_volume(combine_segments=True, relabel=False)
        for k, layer in enumerate(volume.array):
            at = volume.affine @ [k, 4, 7, 1]
            column, row, z, _ = np.linalg.solve(LPS @ study.affine, at)
            assert (column, row, z) == pytest.approx((7, 4, round(z)), abs=1e-3)
            np.testing.assert_array_equal(layer, SEGMENT[LABELS[t, round(z)]])
    return segmentations


@pytest.mark.parametrize("turned", TURNS)
def test_each_mask_lies_on_the_image_it_refers_to(tmp_path: Path, turned: str) -> None:
    directions = [f"{v:.6f}" for axis in TURNS[turned] for v in axis]
    attributes = {"ImageOrientationPatient": directions, "FrameOfReferenceUID": "1.2.7"}
    check_overlay(write_cine(tmp_path / "cine", 6, 5, lambda t, z: attributes))


@pytest.mark.parametrize("turned", TURNS)
def test_of_an_enhanced_file_the_frame_is_named(tmp_path: Path, turned: str) -> None:
    source = enhanced(6, 5)
    source.FrameOfReferenceUID = "1.2.7"
    orientation = source.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [f"{v:.6f}" for axis in TURNS[turned] for v in axis]
    save(source, tmp_path / "enhanced" / "file.dcm")
    seg = check_overlay(tmp_path / "enhanced")[0]
    ((instance,),) = (one.ReferencedInstanceSequence for one in seg.ReferencedSeriesSequence)
    assert instance.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert instance.ReferencedSOPClassUID == source.SOPClassUID


@pytest.mark.parametrize("of", ["slice", "phase"])
def test_each_series_of_several_is_named(tmp_path: Path, of: str) -> None:
    def change(t: int, z: int) -> dict[str, object]:
        uid = f"1.9.{z if of == 'slice' else t}"
        return {"FrameOfReferenceUID": "1.2.7", "SeriesInstanceUID": uid}

    segmentations = check_overlay(write_cine(tmp_path / "cine", 6, 5, change))
    named = [[one.SeriesInstanceUID for one in s.ReferencedSeriesSequence] for s in segmentations]
    if of == "slice":
        assert {tuple(sorted(uids)) for uids in named} == {tuple(f"1.9.{z}" for z in range(5))}
    else:
        assert named == [[f"1.9.{t}"] for t in range(6)]


def test_anonymized_headers_are_accepted(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, object]:
        turned = [f"{v + 1e-6 * (z % 2):.6f}" for v in (*ROW, *COLUMN)]
        return {
            "PatientBirthDate": "00000000",
            "FrameOfReferenceUID": f"1.2.{t}.{z}",
            "ImageOrientationPatient": turned,
            "SliceThickness": None,
            "PatientName": None,
        }

    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5, change)])
    assert case.series is not None
    assert len(list(encode_segmentations(case.series, LABELS))) == 6


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GBK", "Zhang^XiaoDong=张^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 144", "Люкceмбypг^Анна"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        ("", "Doe^Jane"),
        (None, "Doe^Jane"),
    ],
)
def test_names_are_written_in_utf_8(
    tmp_path: Path, character_set: str | list[str] | None, name: str
) -> None:
    def change(t: int, z: int) -> dict[str, object]:
        encoding = {} if character_set is None else {"SpecificCharacterSet": character_set}
        names = {"PatientName": name, "ReferringPhysicianName": name}
        return {**encoding, **names, "FrameOfReferenceUID": "1.2.7"}

    for seg in check_overlay(write_cine(tmp_path / "cine", 6, 5, change)):
        assert seg.SpecificCharacterSet == "ISO_IR 192"
        assert (str(seg.PatientName), str(seg.ReferringPhysicianName)) == (name, name)
        assert name.encode() in seg.PatientName.original_string.rstrip()


#: Of patient, study, hospital and staff, with an odd text for each.
IDENTIFYING = {
    name: f"ID{number:03}"
    for number, name in enumerate(
        (
            *("PatientName", "PatientID", "OtherPatientIDs", "PatientComments", "EthnicGroup"),
            *("Occupation", "AdditionalPatientHistory", "IssuerOfPatientID", "PatientAddress"),
            *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
            *("StationName", "ReferringPhysicianName", "PhysiciansOfRecord", "OperatorsName"),
            *("PerformingPhysicianName", "StudyDescription", "SeriesDescription", "StudyID"),
            *("AccessionNumber", "ClinicalTrialSubjectID", "ClinicalTrialProtocolID"),
            *("ClinicalTrialSponsorName", "ClinicalTrialSiteName", "RequestedProcedureID"),
            *("ImageComments", "ProtocolName", "DeviceSerialNumber", "PatientBirthName"),
        )
    )
} | {"PatientBirthDate": "19500321", "StudyDate": "20200321", "StudyTime": "111111"}
IDENTIFYING |= {"PatientAge": "070Y", "SeriesDate": "20200321", "AcquisitionDate": "20200321"}


def test_de_identified_segmentations_tell_nothing_but_the_uids(tmp_path: Path) -> None:
    header = {**IDENTIFYING, "FrameOfReferenceUID": "1.2.7"}
    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5, lambda t, z: header)])
    assert case.series is not None

    def tells(seg: bytes) -> list[str]:
        return [name for name, value in IDENTIFYING.items() if value.encode() in seg]

    anonymous = next(encode_segmentations(case.series, LABELS, de_identify=True))
    assert tells(anonymous) == []
    dataset = dcmread(io.BytesIO(anonymous))
    assert (dataset.PatientName, dataset.PatientID, dataset.StudyDate) == ("", "", "")
    source = dcmread(next((tmp_path / "cine").iterdir()))
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert "PatientID" in tells(next(encode_segmentations(case.series, LABELS)))


@pytest.mark.parametrize("sex", ["f", "U", "W"])
def test_an_unknown_sex_is_left_empty(tmp_path: Path, sex: str) -> None:
    attributes = {"FrameOfReferenceUID": "1.2.7", "PatientSex": sex}
    folder = write_cine(tmp_path / "cine", 6, 5, lambda t, z: attributes)
    assert all(seg.PatientSex == "" for seg in check_overlay(folder))


@pytest.mark.parametrize("attributes", [{}, {"FrameOfReferenceUID": ""}])
def test_a_series_without_a_required_attribute_is_refused(
    tmp_path: Path, attributes: dict[str, object]
) -> None:
    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5, lambda t, z: attributes)])
    assert case.series is not None
    with pytest.raises(InputError, match=r"cannot be encoded as DICOM-SEG .*FrameOfReferenceUID"):
        next(encode_segmentations(case.series, LABELS))


def test_the_reason_does_not_quote_the_header(tmp_path: Path) -> None:
    attributes = {"FrameOfReferenceUID": "1.2.7", "StudyTime": "at noon"}
    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5, lambda t, z: attributes)])
    assert case.series is not None
    with pytest.raises(InputError, match=r"cannot be encoded as DICOM-SEG \(ValueError\); "):
        next(encode_segmentations(case.series, LABELS))


def write_enhanced(folder: Path) -> None:
    dataset = enhanced(6, 5)
    dataset.FrameOfReferenceUID = "1.2.7"
    save(dataset, folder / "file.dcm")


def write_one_frame_each(folder: Path) -> None:
    """Enhanced files of one frame each."""
    for n, (t, z) in enumerate(np.ndindex(6, 5)):
        dataset, plain = enhanced(1, 1), image(t, z)
        dataset.FrameOfReferenceUID, dataset.InstanceNumber = "1.2.7", n + 1
        groups = dataset.PerFrameFunctionalGroupsSequence[0]
        position = groups.PlanePositionSequence[0]
        position.ImagePositionPatient = plain.ImagePositionPatient
        trigger = groups.CardiacSynchronizationSequence[0]
        trigger.NominalCardiacTriggerDelayTime = float(plain.TriggerTime)
        save(dataset, folder / f"{n}.dcm")


def write_single(folder: Path, **attributes: object) -> None:
    write_cine(folder, 6, 5, lambda t, z: {"FrameOfReferenceUID": "1.2.7", **attributes})


def write_several_series(folder: Path) -> None:
    def change(t: int, z: int) -> dict[str, object]:
        return {"FrameOfReferenceUID": "1.2.7", "SeriesInstanceUID": f"1.9.{z + 1}"}

    write_cine(folder, 6, 5, change)


SOURCES: dict[str, Callable[[Path], None]] = {
    "single-frame": write_single,
    "enhanced": write_enhanced,
    "enhanced, one frame each": write_one_frame_each,
    "with functional groups": lambda folder: write_single(
        folder, PerFrameFunctionalGroupsSequence=Sequence([Dataset()]), NumberOfFrames=1
    ),
    "a series per slice": write_several_series,
    "Japanese": lambda folder: write_single(
        folder,
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
}


def find_errors(content: bytes, path: Path) -> list[str]:
    """What dciodvfy, a validator of DICOM, finds wrong in a file."""
    if not shutil.which("dciodvfy"):
        pytest.skip("needs dciodvfy; apt-get install dicom3tools")
    path.write_bytes(content)
    outcome = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace")
    lines = (outcome.stdout + outcome.stderr).splitlines()
    assert "Segmentation" in lines, lines  # the kind of object that it has recognized
    return [line for line in lines if line.startswith("Error")]


@pytest.mark.parametrize("source", SOURCES)
def test_a_validator_finds_no_errors(tmp_path: Path, source: str) -> None:
    SOURCES[source](tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    for content in encode_segmentations(case.series, LABELS):
        assert find_errors(content, tmp_path / "seg.dcm") == []
    assert find_errors(encode_cine(case.series, LABELS), tmp_path / "cine.dcm") == []


CINES = ("single-frame", "enhanced", "a series per slice")


@pytest.mark.parametrize("source", CINES)
def test_each_frame_of_a_cine_lies_on_the_image_of_its_phase(tmp_path: Path, source: str) -> None:
    SOURCES[source](tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    study, pixels = read_case(case), source_pixels(tmp_path / "in")
    labels = LABELS.copy()
    labels[2] = 0  # a phase without a label
    labels[:, 3][labels[:, 3] == VALUE[RV]] = 0
    seg = dcmread(io.BytesIO(encode_cine(case.series, labels)))
    pointers = [item.DimensionIndexPointer for item in seg.DimensionIndexSequence]
    assert pointers == [0x0062000B, 0x00209128, 0x00200032]  # segment, temporal position, place
    found, indices = np.zeros_like(labels), []
    frames = seg.PerFrameFunctionalGroupsSequence
    for frame, mask in zip(frames, seg.pixel_array, strict=True):
        assert mask.any()
        (content,) = frame.FrameContentSequence
        indices.append(tuple(content.DimensionIndexValues))
        segment, phase, place = content.DimensionIndexValues
        assert content.TemporalPositionIndex == phase
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        number = int(reference.get("ReferencedFrameNumber", 0))
        original = pixels[reference.ReferencedSOPInstanceUID, number]
        at = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float) * [-1, -1, 1]
        z = round(np.linalg.solve(study.affine, [*at, 1])[2])
        np.testing.assert_array_equal(original, study.voxels[phase - 1, z])
        found[phase - 1, z][mask == 1] = {1: VALUE[RV], 2: VALUE[MYO], 3: VALUE[LV]}[segment]
        assert place in (z + 1, 5 - z)
    np.testing.assert_array_equal(found, labels)
    assert indices == sorted(set(indices))
    assert len(frames) == 5 * (3 * 5 - 1)  # phases; segments and slices, one without RV
    named = {i.ReferencedSOPInstanceUID for i in seg.SourceImageSequence}
    assert named == {instance for instance, _ in pixels}


def test_other_tools_read_a_cine(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    write_single(tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    (tmp_path / "cine.dcm").write_bytes(encode_cine(case.series, LABELS))
    seg = Segmentation.from_dataset(dcmread(tmp_path / "cine.dcm"))
    read = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "cine.dcm"))
    np.testing.assert_array_equal(read > 0, seg.pixel_array > 0)
    datasets = {d.SOPInstanceUID: d for d in map(dcmread, (tmp_path / "in").iterdir())}
    for uid, source in datasets.items():
        t = round((source.TriggerTime - 10) / 40)
        z = (source.InstanceNumber - 1) // 100
        (mask,) = seg.get_pixels_by_source_instance([uid], combine_segments=True)
        np.testing.assert_array_equal(mask, SEGMENT[LABELS[t, z]])


def test_a_cine_without_any_label_has_frames(tmp_path: Path) -> None:
    write_single(tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    content = encode_cine(case.series, np.zeros_like(LABELS))
    seg = dcmread(io.BytesIO(content))
    assert seg.NumberOfFrames == 15
    assert not seg.pixel_array.any()
    assert find_errors(content, tmp_path / "cine.dcm") == []


def test_segments_have_the_colors_of_the_report(tmp_path: Path) -> None:
    from highdicom.color import CIELabColor

    write_single(tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    (*phases, cine) = [*encode_segmentations(case.series, LABELS), encode_cine(case.series, LABELS)]
    for content in (*phases, cine):
        for segment in dcmread(io.BytesIO(content)).SegmentSequence:
            shown = CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
            assert shown == pytest.approx(COLORS[segment.SegmentLabel], abs=2)


def test_equal_labels_give_equal_files_and_others_other_uids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    write_single(tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    once, again = ([*encode_segmentations(case.series, LABELS)] for _ in range(2))
    assert once == again
    cine = encode_cine(case.series, LABELS)
    assert cine == encode_cine(case.series, LABELS)
    datasets = [dcmread(io.BytesIO(content)) for content in (*once, cine)]
    uids = [*segmentation_uids(case.series, LABELS), cine_uid(case.series, LABELS)]
    assert [dataset.SOPInstanceUID for dataset in datasets] == uids
    assert [dataset.file_meta.MediaStorageSOPInstanceUID for dataset in datasets] == uids
    (series, cine_series) = dict.fromkeys(dataset.SeriesInstanceUID for dataset in datasets)
    assert series == segmentation_series(case.series, LABELS) != cine_series
    changed = LABELS.copy()
    changed[0, 0, 0, 0] = (changed[0, 0, 0, 0] + 1) % 4
    others = [*segmentation_uids(case.series, changed), cine_uid(case.series, changed)]
    assert not set(others) & set(uids)


def test_the_validator_finds_errors(tmp_path: Path) -> None:
    write_single(tmp_path / "in")
    ((case,), _) = discover([tmp_path / "in"])
    assert case.series is not None
    seg = dcmread(io.BytesIO(next(encode_segmentations(case.series, LABELS))))
    del seg.SegmentSequence
    save(seg, tmp_path / "broken.dcm")
    assert find_errors((tmp_path / "broken.dcm").read_bytes(), tmp_path / "seg.dcm")


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["SCD0000301", "SCD0000401"])
def test_a_validator_finds_no_errors_for_real_cines(tmp_path: Path, scd: Path, name: str) -> None:
    ((case,), _) = discover([scd / f"{name}.zip"])
    assert case.series is not None
    study = read_case(case)
    labels = np.random.default_rng(1).integers(0, 4, study.voxels.shape).astype(np.uint8)
    cine = encode_cine(case.series, labels)
    for content in (*encode_segmentations(case.series, labels), cine):
        # Some UIDs of these files have leading zeros, and references must repeat them.
        valid = content.replace(b".99.0", b".99.1")
        assert find_errors(valid, tmp_path / "seg.dcm") == []
