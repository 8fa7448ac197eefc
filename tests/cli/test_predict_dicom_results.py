"""`ctct predict --format seg,seg-cine,sr,pdf,sc`: checked by programs and libraries of others."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_support import phantom, scan_of, write_scan

pytest.importorskip("highdicom")
pytest.importorskip("fpdf")
from dicom_support import enhanced, image, packed, save
from highdicom import sr
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from ctct.dicom_results import codes
from ctct.installation import how_to_install
from ctct.measurement.wall import SEGMENTS

ALL = "seg,seg-cine,sr,pdf,sc"
BODY = {"PatientSex": "M", "PatientSize": "1.80", "PatientWeight": "80", "HeartRate": "60"}
STUDY = {"FrameOfReferenceUID": "1.2.7", "AccessionNumber": "A-1", "StudyDescription": "Heart"}
#: What has to be there besides, for dciodvfy to accept the source.
HEADER = {**BODY, **STUDY, "PatientBirthDate": "19500101", "ReferringPhysicianName": "Who^Dr"}


def beating() -> np.ndarray:
    """Labels (6, 5, 60, 70) of a heart that is smallest in phase 3."""
    labels = np.repeat(phantom(60, 70, 5)[None], 6, 0)
    rows, columns = np.indices((60, 70))
    small = np.hypot(rows - 30, columns - 35) < 4
    labels[3][labels[3] == 3] = 2
    labels[3][:, small] = 3
    return labels


def write_heart(folder: Path, **header: Any) -> Path:
    """A cine of :func:`beating`, one file per image."""
    voxels = scan_of(beating()).round().astype(np.int16)
    for t, z in np.ndindex(6, 5):
        one = image(t, z, **{**HEADER, **header})
        one.Rows, one.Columns = 60, 70
        one.PixelData = voxels[t, z].tobytes()
        save(one, folder / f"{t}_{z}")
    return folder


def objects(out: Path) -> dict[str, Dataset]:
    paths = sorted(out.glob("dicom-*/*.dcm"), key=lambda path: path.parts)
    return {f"{path.parent.name}/{path.name}": dcmread(path) for path in paths}


def check_with_tools(out: Path, sources: Path | None = None) -> None:
    """dciodvfy and dcentvfy find no errors, and dcmdump reads all."""
    for program in ("dciodvfy", "dcentvfy", "dcmdump"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}; apt-get install dicom3tools dcmtk")
    paths = sorted(out.glob("dicom-*/*.dcm"))
    assert paths
    for path in paths:
        # Some UIDs of the Sunnybrook files have leading zeros, and references must repeat them.
        valid = path.read_bytes().replace(b".99.0", b".99.1")
        assert errors("dciodvfy", valid, path.parent / "valid") == []
        (path.parent / "valid").unlink()
        dumped = subprocess.run(["dcmdump", "+L", path], capture_output=True)
        assert dumped.returncode == 0
        assert b"E: " not in dumped.stderr
    read = [*paths, *(p for p in sources.rglob("*") if p.is_file())] if sources else paths
    assert run("dcentvfy", *read) == []


def errors(program: str, content: bytes, path: Path) -> list[str]:
    path.write_bytes(content)
    return run(program, path)


def run(program: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program, *paths], capture_output=True, text=True, errors="replace")
    lines = (outcome.stdout + outcome.stderr).splitlines()
    return [line for line in lines if line.startswith("Error")]


def values(report: Dataset) -> dict[tuple[str, str], list[tuple[float, Any]]]:
    """Group and concept to the numbers and their items, as highdicom reads them."""
    content = sr.ComprehensiveSR.from_dataset(report).content
    found: dict[tuple[str, str], list[tuple[float, Any]]] = {}
    for group in content.get_image_measurement_groups():
        for measured in group.get_measurements():
            key = group.tracking_identifier, measured.name.value
            found.setdefault(key, []).append((measured.value, measured))
    for group in content.get_volumetric_roi_measurement_groups():
        for measured in group.get_measurements():
            key = group.tracking_identifier, measured.name.value
            found.setdefault(key, []).append((measured.value, measured))
    return found


def table(out: Path, name: str) -> list[dict[str, str]]:
    with (out / name).open() as file:
        return list(csv.DictReader(file))


def check_report(out: Path, report: Dataset) -> None:
    """The numbers are those of the tables."""
    found = values(report)
    (row,) = table(out, "measurements.csv")
    titles = {"LV": "left ventricle", "RV": "right ventricle", "": "heart and body"}
    for ventricle, concepts in codes.INDICES.items():
        for column, concept in concepts.items():
            told = [
                value
                for value, item in found.get((titles[ventricle], concept.name[0]), [])
                if item.unit.value == concept.unit[0]
                and modifier(item, codes.CYCLE_POINT) == phase_code(concept.phase)
            ]
            assert [f"{value:.2f}" for value in told] == ([row[column]] if row[column] else [])
    for phase in ("ED", "ES"):
        told = {
            item.finding_sites[0].value.value: f"{value:.2f}"
            for value, item in found.get((f"wall thickness at {phase}", "122445"), [])
        }
        rows = table(out, "segments.csv")
        assert [r["name"] for r in rows] == list(SEGMENTS)
        for code, cells in zip(codes.WALL_SEGMENTS, rows, strict=True):
            assert told.get(code[0], "") == cells[f"{phase} (mm)"]
        if row["ED frame"] == row["ES frame"]:  # nothing is labelled
            continue
        (cells,) = [r for r in table(out, "frames.csv") if r["phase"] == phase]
        for structure in ("RV", "MYO", "LV"):
            ((volume_ml, _),) = found[f"{structure} at {phase}", codes.VOLUME[0]]
            assert f"{volume_ml:.2f}" == cells[f"{structure} volume (mL)"]
    ((score, _),) = found["quality", codes.SCORE[0]]
    assert f"{score:.2f}" == row["score"]
    text = [item.TextValue for item in items(report) if item.get("TextValue")]
    for flag in row["flags"].split("; "):
        assert any(flag in line for line in text)
    assert [i.ConceptCodeSequence[0].CodeValue for i in items(report) if is_verdict(i)] == [
        row["verdict"]
    ]


def phase_code(phase: str) -> str:
    return codes.PHASES[phase][0] if phase else ""


def modifier(item: Any, name: codes.Code) -> str:
    for child in item[0].get("ContentSequence", ()):
        if child.ConceptNameCodeSequence[0].CodeValue == name[0]:
            return str(child.ConceptCodeSequence[0].CodeValue)
    return ""


def is_verdict(item: Dataset) -> bool:
    name = item.get("ConceptNameCodeSequence")
    return bool(name) and name[0].CodeValue == codes.VERDICT[0]


def items(dataset: Dataset) -> Iterator[Dataset]:
    """All content items."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items(item)


def test_all_objects_belong_to_the_study_and_pass_validators(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "in" / "sax")
    out = tmp_path / "out"
    outcome = ctct("predict", tmp_path / "in", "-o", out, "--format", ALL)
    assert outcome.code == 0, outcome.err
    found = objects(out)
    assert list(found) == [
        *("dicom-pdf/sax.dcm", "dicom-sc/sax.dcm"),
        *(f"dicom-seg/sax_{n:02}.dcm" for n in range(1, 7)),
        "dicom-seg-cine/sax.dcm",
        "dicom-sr/sax.dcm",
    ]
    source = dcmread(tmp_path / "in" / "sax" / "0_0")
    for dataset in found.values():
        for name in ("StudyInstanceUID", "PatientID", "PatientName", *HEADER):
            if name not in ("FrameOfReferenceUID", "HeartRate"):
                assert dataset[name].value == source[name].value, name
        assert dataset.Manufacturer == "ctct"
        assert dataset.SeriesDescription.startswith("ctct ")
    numbers = {d.SeriesInstanceUID: d.SeriesNumber for d in found.values()}
    assert sorted(numbers.values()) == [1007, 2007, 3007, 4007, 5007]
    assert len({d.SOPInstanceUID for d in found.values()}) == len(found)
    check_with_tools(out, tmp_path / "in" / "sax")
    check_report(out, found["dicom-sr/sax.dcm"])


def test_a_report_refers_to_the_images_and_segments_of_ed_and_es(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "sax")
    sources = {dcmread(p).SOPInstanceUID: p.name for p in (tmp_path / "sax").iterdir()}
    for formats in ("sr", "seg-cine,sr", "seg,seg-cine,sr"):
        out = tmp_path / formats
        arguments = ("--format", formats, "--ed", 1, "--es", 3)
        assert ctct("predict", tmp_path / "sax", "-o", out, *arguments).code == 0
        found = objects(out)
        report = found["dicom-sr/sax.dcm"]
        segmentations = {d.SOPInstanceUID: name for name, d in found.items() if "seg" in name}
        groups: dict[str, tuple[set[str], set[tuple[str, int]]]] = {}
        for group in items(report):
            if group.ConceptNameCodeSequence[0].CodeMeaning != "Measurement Group":
                continue
            title, images, segments = "", set(), set()
            for item in group.ContentSequence:
                if item.ConceptNameCodeSequence[0].CodeMeaning == "Tracking Identifier":
                    title = item.TextValue
                if item.ValueType == "IMAGE":
                    (one,) = item.ReferencedSOPSequence
                    if one.ReferencedSOPInstanceUID in sources:
                        images.add(sources[one.ReferencedSOPInstanceUID])
                    else:
                        name = segmentations[one.ReferencedSOPInstanceUID]
                        segments.add((name, one.ReferencedSegmentNumber))
            groups[title] = images, segments
        ed, es = ({f"{t}_{z}" for z in range(5)} for t in (1, 3))
        assert groups["LV at ED"][0] == ed
        assert groups["MYO at ES"][0] == es
        assert groups["left ventricle"][0] == ed | es
        cine, phase = "dicom-seg-cine/sax.dcm", "dicom-seg/sax_04.dcm"
        expected = {"sr": set(), "seg-cine,sr": {(cine, 2)}}.get(formats, {(phase, 2)})
        assert groups["MYO at ES"][1] == expected
        evidence = {
            one.ReferencedSOPInstanceUID
            for study in report.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }
        assert {sources[uid] for uid in evidence & sources.keys()} == ed | es
        check_with_tools(out)


def test_the_report_names_algorithm_device_and_own_codes(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "sax")
    out = tmp_path / "out"
    assert ctct("predict", tmp_path / "sax", "-o", out, "--format", "sr").code == 0
    report = objects(out)["dicom-sr/sax.dcm"]
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"
    (scheme,) = [
        s
        for s in report.CodingSchemeIdentificationSequence
        if s.CodingSchemeDesignator == codes.OWN_SCHEME
    ]
    assert scheme.CodingSchemeName == "ctct"
    told = {i.ConceptNameCodeSequence[0].CodeMeaning: i.get("TextValue") for i in items(report)}
    model = json.loads((out / "run.json").read_text())["settings"]
    assert told["Algorithm Name"] == "ctct"
    assert told["Algorithm Parameters"] == (
        f"model {model['model']} (SHA-256 {model['model_sha256'][:12]})"
    )


def test_pdf_and_picture_hold_what_they_should(ctct: Callable[..., Any], tmp_path: Path) -> None:
    write_heart(tmp_path / "sax")
    out = tmp_path / "out"
    arguments = ("--format", "pdf", "--format", "sc", "--pictures")
    assert ctct("predict", tmp_path / "sax", "-o", out, *arguments).code == 0
    found = objects(out)
    document, picture = found["dicom-pdf/sax.dcm"], found["dicom-sc/sax.dcm"]
    pdf = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    assert (document.BurnedInAnnotation, picture.BurnedInAnnotation) == ("YES", "NO")
    drawn = np.asarray(Image.open(out / "sax.png").convert("RGB"))
    np.testing.assert_array_equal(picture.pixel_array, drawn)
    sitk = pytest.importorskip("SimpleITK")
    read = sitk.GetArrayFromImage(sitk.ReadImage(out / "dicom-sc" / "sax.dcm"))
    np.testing.assert_array_equal(read.squeeze(), drawn)


def test_a_second_run_writes_what_has_changed_and_no_more(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "sax")
    out = tmp_path / "out"
    arguments = ("predict", tmp_path / "sax", "-o", out, "--format", ALL)
    assert ctct(*arguments).code == 0

    def times() -> dict[str, int]:
        return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.glob("dicom-*/*")}

    first = times()
    assert "1 skipped" in ctct(*arguments).out
    assert times() == first
    (out / "dicom-sr" / "sax.dcm").write_bytes(b"")
    (out / "dicom-seg" / "sax_01.dcm").unlink()
    assert "1 skipped" in ctct(*arguments).out
    changed = {name for name, time in times().items() if time != first[name]}
    assert changed == {"dicom-sr/sax.dcm", *(f"dicom-seg/sax_{n:02}.dcm" for n in range(1, 7))}
    first = times()
    assert "1 skipped" in ctct(*arguments, "--ed", 1).out  # another ED, the same labels
    changed = {name for name, time in times().items() if time != first[name]}
    assert changed == {"dicom-sr/sax.dcm", "dicom-pdf/sax.dcm", "dicom-sc/sax.dcm"}
    check_report(out, objects(out)["dicom-sr/sax.dcm"])
    (out / "dicom-seg" / "sax_07.dcm").write_bytes(b"of a run with more phases")
    assert "1 done" in ctct(*arguments, "--overwrite").out
    assert not (out / "dicom-seg" / "sax_07.dcm").exists()


def test_papillary_muscles_counted_otherwise_change_and_mark_the_report(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "sax")
    out = tmp_path / "out"
    arguments = ("predict", tmp_path / "sax", "-o", out, "--format", "seg,sr,pdf")
    assert ctct(*arguments).code == 0
    before = objects(out)
    assert "1 skipped" in ctct(*arguments, "--papillary", "cavity").out
    after = objects(out)
    changed = {name for name in after if after[name].SOPInstanceUID != before[name].SOPInstanceUID}
    assert changed == {"dicom-sr/sax.dcm", "dicom-pdf/sax.dcm"}
    texts = [element.value for element in after["dicom-sr/sax.dcm"].iterall()]
    assert "papillary muscles: counted with the cavity" in texts
    check_report(out, after["dicom-sr/sax.dcm"])


def test_equal_runs_write_equal_files(
    ctct: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write_heart(tmp_path / "sax")
    written = []
    for name in ("a", "b"):
        assert ctct("predict", tmp_path / "sax", "-o", tmp_path / name, "--format", ALL).code == 0
        paths = sorted((tmp_path / name).glob("dicom-*/*"))
        written.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in paths})
    assert written[0] == written[1]


def test_de_identified_objects_tell_nothing(ctct: Callable[..., Any], tmp_path: Path) -> None:
    write_heart(tmp_path / "sax", PatientName="Zebra^Zoe", PatientID="ID-4711")
    out = tmp_path / "out"
    arguments = ("--format", ALL, "--de-identify")
    assert ctct("predict", tmp_path / "sax", "-o", out, *arguments).code == 0
    for name, dataset in objects(out).items():
        content = (out / name).read_bytes()
        for secret in (b"Zebra", b"ID-4711", b"A-1", b"19500101", b"20200101", b"Who^Dr"):
            assert secret not in content, name
        assert dataset.StudyInstanceUID == "1.2"
    assert objects(out)["dicom-pdf/sax.dcm"].BurnedInAnnotation == "NO"
    check_with_tools(out)


def write_one_series_per_slice(folder: Path) -> None:
    for path in write_heart(folder).iterdir():
        dataset = dcmread(path)
        dataset.SeriesInstanceUID = f"1.9.1{path.name[-1]}"
        dataset.save_as(path)


def write_enhanced(folder: Path) -> None:
    dataset = enhanced(6, 5)
    for name, value in HEADER.items():
        setattr(dataset, name, value)
    save(dataset, folder / "file.dcm")


def write_compressed(folder: Path) -> None:
    pixels = scan_of(beating())
    for t, z in np.ndindex(6, 5):
        stream = io.BytesIO()
        gray = np.clip(pixels[t, z, :40, :36], 0, 255).astype(np.uint8)
        Image.fromarray(gray).save(stream, "JPEG2000", no_jp2=True)
        one = packed(JPEG2000Lossless, stream.getvalue(), phase=t, place=z)
        for name, value in HEADER.items():
            setattr(one, name, value)
        save(one, folder / f"{t}_{z}")


def write_without_names(folder: Path) -> None:
    for path in write_heart(folder, FrameOfReferenceUID="1.2.7").iterdir():
        dataset = dcmread(path)
        for name in ("PatientName", "PatientID", "StudyID", "StudyDate", "StudyTime", *BODY):
            del dataset[name]
        dataset.save_as(path)


KINDS: dict[str, Callable[[Path], None]] = {
    "one series per slice": write_one_series_per_slice,
    "enhanced": write_enhanced,
    "compressed": write_compressed,
    "without names": write_without_names,
    "Japanese": lambda folder: (
        write_heart(
            folder,
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        )
        and None
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_has_all_objects(
    ctct: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    KINDS[kind](tmp_path / "sax")
    out = tmp_path / "out"
    outcome = ctct("predict", tmp_path / "sax", "-o", out, "--format", ALL)
    assert outcome.code == 0, outcome.err
    assert len(objects(out)) == 10
    check_with_tools(out)
    report = objects(out)["dicom-sr/sax.dcm"]
    if kind == "enhanced":
        frames = [
            one.ReferencedFrameNumber
            for item in items(report)
            for one in item.get("ReferencedSOPSequence", ())
            if "ReferencedFrameNumber" in one
        ]
        assert frames and all(1 <= number <= 30 for number in frames)
    else:
        check_report(out, report)


def test_a_report_needs_dicom_and_says_so_in_a_line(
    ctct: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(tmp_path / "a.nii.gz")
    out = tmp_path / "out"
    outcome = ctct("predict", tmp_path / "a.nii.gz", "-o", out, "--format", "sr")
    assert outcome.code == 2
    assert f"--format sr: {tmp_path / 'a.nii.gz'} is not DICOM" in outcome.err
    assert not out.exists()
    write_heart(tmp_path / "sax")
    outcome = ctct("predict", tmp_path, "-o", out, "--format", "sr")
    assert outcome.code == 0  # of several, those that are DICOM get one
    assert f"{tmp_path / 'a.nii.gz'}: gets no sr, it is not DICOM" in outcome.err
    assert list(objects(out)) == ["dicom-sr/sax.dcm"]
    outcome = ctct("predict", tmp_path, "-o", out, "--format", "mat,sr")
    assert outcome.code == 2
    assert "--format mat: choose from nifti, seg, seg-cine, sr, pdf, sc, seg-nrrd" in outcome.err
    monkeypatch.setattr("ctct.dicom_results.formats.find_spec", lambda name: None)
    outcome = ctct("predict", tmp_path, "-o", out, "--format", "dicom-seg,pdf")
    assert outcome.code == 5
    assert "--format seg,pdf needs pydicom and highdicom and fpdf2; " in outcome.err
    assert how_to_install("dicom-results") in outcome.err


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_report_needs_no_frame_of_reference_but_a_possible_time(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    write_heart(tmp_path / "a", FrameOfReferenceUID="")
    assert ctct("predict", tmp_path / "a", "-o", tmp_path / "o", "--format", "sr,pdf,sc").code == 0
    check_with_tools(tmp_path / "o")
    write_heart(tmp_path / "b", StudyTime="noon")
    outcome = ctct("predict", tmp_path / "b", "-o", tmp_path / "p", "--format", "sr")
    assert outcome.code == 4
    assert "cannot be encoded as DICOM-SR (ValueError); export it again, or leave it out of" in (
        outcome.err
    )
    assert not list((tmp_path / "p").glob("b*"))


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vida_3t_whole_study", "pig_ge_sax"])
def test_real_studies(
    ctct: Callable[..., Any], dicom_studies: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    outcome = ctct("predict", dicom_studies / f"{name}.zip", "-o", out, "--format", ALL)
    assert outcome.code == 0, outcome.err
    with zipfile.ZipFile(dicom_studies / f"{name}.zip") as archive:
        archive.extractall(tmp_path / "in")
    check_with_tools(out, tmp_path / "in")
    check_report(out, objects(out)[f"dicom-sr/{name}.dcm"])


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SCD0000301", "SCD0000401"])
def test_real_cines(ctct: Callable[..., Any], scd: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    outcome = ctct("predict", scd / f"{name}.zip", "-o", out, "--format", ALL)
    assert outcome.code == 0, outcome.err
    check_with_tools(out)
    check_report(out, objects(out)[f"dicom-sr/{name}.dcm"])
