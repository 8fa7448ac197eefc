"""What a visitor gets is what the command line writes, and nothing of it goes to the disk."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
from pathlib import Path

import pytest
from tests_support import write_scan

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct import child_process
from ctct.cases.discover import discover
from ctct.demo import reading
from ctct.demo.analysis import Answer, analyze_scan, answer_scan, label_scan, read_scan
from ctct.errors import InputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction.folder import predict_folder


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    """A cine of two frames beside an ``Info.cfg``."""
    path = tmp_path / "in" / "cine.nii.gz"
    write_scan(path, (40, 36, 3, 2))
    (path.parent / "Info.cfg").write_text("ED: 2\nES: 1\nHeight: 160\nWeight: 90\n")
    return path


def answer(path: Path, segmenter: Segmenter, networks: bool = False) -> Answer:
    scan = read_scan(path)
    labelled = label_scan(scan.study, segmenter, "threshold")
    alone = {"CNN": labelled.labels_only(), "Transformer": labelled.labels_only()}
    return answer_scan(analyze_scan(scan, labelled), alone if networks else None)


def test_files_are_those_of_the_command_line(
    threshold: Segmenter, cine: Path, tmp_path: Path
) -> None:
    found = answer(cine, threshold)
    out = tmp_path / "out"
    predict_folder(discover([cine])[0], out, threshold.model, lambda model: threshold)
    assert list(found.files) == [
        *("cine_seg.nii.gz", "measurements.csv", "frames.csv", "report.html"),
    ]
    for name in ("cine_seg.nii.gz", "measurements.csv", "frames.csv"):
        assert found.files[name] == (out / name).read_bytes()
    section = re.compile(r"<section.*</section>", re.DOTALL)
    reports = (found.files["report.html"].decode(), (out / "report.html").read_text())
    assert len({section.findall(report)[0] for report in reports}) == 1
    assert (found.result.measurements.ed, found.result.measurements.es) == (1, 0)


def test_nothing_is_written_to_the_disk(
    threshold: Segmenter, cine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise AssertionError("a temporary file")

    scan = read_scan(cine)
    labelled = label_scan(scan.study, threshold)
    for name in ("mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    before = sorted(cine.parent.iterdir())
    assert answer_scan(analyze_scan(scan, labelled)).files
    assert sorted(cine.parent.iterdir()) == before


def test_each_network_alone_is_a_row_of_the_comparison(threshold: Segmenter, cine: Path) -> None:
    found = answer(cine, threshold, networks=True)
    rows = list(csv.DictReader(io.StringIO(found.files["by_model.csv"].decode())))
    assert [row["model"] for row in rows] == ["this", "CNN", "Transformer"]
    assert len({row["LVEDV (mL)"] for row in rows}) == 1  # the same labels here
    assert "of 3 models" in found.files["report.html"].decode()


@pytest.mark.parametrize("name", ["cine.nii.gz", "cine.zip"])
def test_a_visit_has_a_deadline(name: str, cine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cine if name.endswith(".gz") else many_members(cine.parent / name)
    child_process.end_idle()  # one that starts takes longer than the deadline
    monkeypatch.setattr(reading, "DEADLINE_S", 0.001)
    with pytest.raises(InputError, match=rf"{name}: not read after 0\.001 seconds"):
        read_scan(path)
    monkeypatch.undo()
    if path == cine:
        assert read_scan(path).study.frames == 2


def many_members(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(reading.MAX_MEMBERS):
            archive.writestr(str(n), b"")
    return path


def write_frames(folder: Path, *names: str) -> Path:
    """A folder with a file of one frame for each name."""
    for name in names:
        write_scan(folder / f"{name}.nii.gz", (40, 36, 3))
    return folder


def test_ed_and_es_in_two_files_are_one_scan_with_an_ejection_fraction(
    threshold: Segmenter, tmp_path: Path
) -> None:
    folder = write_frames(tmp_path / "in", "p_ED", "p_ES")
    found = answer(folder, threshold)
    assert found.result.name == "p"
    assert (found.result.measurements.ed, found.result.measurements.es) == (0, 1)
    out = tmp_path / "out"
    predict_folder(discover([folder])[0], out, threshold.model, lambda model: threshold)
    (got,), (expected,) = (
        list(csv.DictReader(io.StringIO(table)))
        for table in (
            found.files["measurements.csv"].decode(),
            (out / "measurements.csv").read_text(),
        )
    )
    assert "LVEF (%)" in got
    for column in ("patient", "ED frame", "ES frame", "LVEDV (mL)", "RVEDV (mL)", "LVEF (%)"):
        assert got[column] == expected[column], column
    assert "p_seg.nii.gz" in found.files


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one\.nii\.gz and two\.nii\.gz: not of one scan; .* _ED"):
        read_scan(write_frames(tmp_path / "others", "one", "two"))
    folder = write_frames(tmp_path / "sizes", "p_ED")
    write_scan(folder / "p_ES.nii.gz", (40, 40, 3))
    with pytest.raises(InputError, match=r"p_ES\.nii\.gz: .* voxels, .*p_ED"):
        read_scan(folder)


def test_a_single_dicom_image_says_what_to_do(tmp_path: Path) -> None:
    dicom_support = pytest.importorskip("dicom_support", reason="needs the extra dicom")
    dicom_support.write_cine(tmp_path / "export")
    image = next(path for path in sorted((tmp_path / "export").rglob("*")) if path.is_file())
    with pytest.raises(InputError, match="one DICOM image of many; give all images of the cine"):
        read_scan(image)
    assert read_scan(tmp_path / "export").study.frames > 1  # all of them together
