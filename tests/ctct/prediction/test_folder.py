from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.errors import ConfigError, ModelError, OutputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction import case_files, case_result
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.run_manifest import CaseStatus


def run(
    threshold: Segmenter, scans: Path, out: Path, options: PredictOptions | None = None
) -> list[CaseStatus]:
    cases, _ = discover([scans])
    return predict_folder(cases, out, threshold.model, lambda model: threshold, options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_labels_measurements_and_record_are_written(threshold: Segmenter, tmp_path: Path) -> None:
    array = write_scan(tmp_path / "in" / "cine.nii.gz", (40, 36, 3, 2))
    out = tmp_path / "out"
    options = PredictOptions(clean_up=False)
    (case_status,) = run(threshold, tmp_path / "in", out, options)
    assert (case_status.status, case_status.output, case_status.slices) == (
        "done",
        "cine_seg.nii.gz",
        6,
    )
    assert sorted(p.name for p in out.iterdir()) == [
        "cine_seg.nii.gz",
        "frames.csv",
        "labels.ctbl",
        "labels.txt",
        "measurements.csv",
        "measurements.json",
        "quality",
        "report.html",
        "run.json",
        "segments.csv",
    ]
    scan, written = nib.load(tmp_path / "in" / "cine.nii.gz"), nib.load(out / "cine_seg.nii.gz")
    labels = np.asarray(written.dataobj)
    assert labels.dtype == np.uint8
    assert (labels == np.where(array >= 150, 3, np.where(array >= 100, 2, 0))).all()
    assert (written.affine == scan.affine).all()

    # A voxel is 1.5 x 1.25 x 8 mm = 0.015 mL.
    volume = [np.count_nonzero(labels[..., t] == 3) * 0.015 for t in range(2)]
    frames = rows(out / "frames.csv")
    assert [float(row["LV volume (mL)"]) for row in frames] == pytest.approx(volume, abs=0.005)
    assert {row["phase"] for row in frames} == {"ED", "ES"}
    (patient,) = rows(out / "measurements.csv")
    assert float(patient["LVEDV (mL)"]) == pytest.approx(max(volume), abs=0.005)
    fraction = 100 * (max(volume) - min(volume)) / max(volume)
    assert float(patient["LVEF (%)"]) == pytest.approx(fraction, abs=0.005)

    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["model_sha256"] == threshold.model.sha256
    assert record["runtime"] == "threshold"
    assert 0 <= record["runtime_busy"] <= 1
    if sys.platform != "win32":
        assert 20 < record["peak_memory_mb"] < 100_000
    assert record["cases"][0]["mean_disagreement"] == 0.25
    assert set(record["cases"][0]["seconds"]) == {"read", "segment", "write"}


def test_no_label_map_is_decoded_and_no_scan_read_twice(
    threshold: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cine, and a patient in two files of a single frame."""
    write_scan(tmp_path / "in" / "cine.nii.gz", (40, 36, 3, 2))
    for name in ("p_frame01", "p_frame02"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    calls: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        original = getattr(module, name)

        def counted(*args: object, **settings: object) -> object:
            calls[name] += 1
            return original(*args, **settings)

        monkeypatch.setattr(module, name, counted)

    for name in ("read_case", "read_labels"):
        count(case_files, name)
    count(case_result, "frame_volumes")
    out = tmp_path / "out"
    with opened_for_reading(out) as opened:
        run(threshold, tmp_path / "in", out)
    assert not any(name.endswith(".nii.gz") for name in opened)
    assert calls == {"read_case": 3, "frame_volumes": 3}

    calls.clear()
    with opened_for_reading(out) as opened:
        statuses = run(threshold, tmp_path / "in", out)
    assert {status.status for status in statuses} == {"skipped"}
    assert not calls
    assert not any(name.endswith(".nii.gz") for name in opened)


@contextmanager
def opened_for_reading(folder: Path) -> Iterator[set[str]]:
    """Names of the files in ``folder`` that are opened for reading meanwhile."""
    names: set[str] = set()
    listening = True

    def listen(event: str, args: tuple[object, ...]) -> None:
        if listening and event == "open" and isinstance(args[0], str | os.PathLike):
            path, flags = Path(args[0]), args[2]
            reads = isinstance(flags, int) and not flags & (os.O_WRONLY | os.O_RDWR)
            if reads and path.is_relative_to(folder) and not path.is_dir():
                names.add(path.name)

    sys.addaudithook(listen)
    try:
        yield names
    finally:
        listening = False


def test_a_second_run_skips_what_is_complete_and_measures_the_same(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for name in ("p_frame01", "p_frame02"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    out = tmp_path / "out"
    run(threshold, tmp_path / "in", out)
    before = {p.name: p.read_bytes() for p in out.glob("*.csv")}
    report = without_times(out / "report.html")
    (out / "p_frame02_seg.nii.gz").unlink()
    stamp = (out / "p_frame01_seg.nii.gz").stat().st_mtime_ns
    threshold.runtime.batches.clear()
    case_statuses = run(threshold, tmp_path / "in", out)
    assert [case_status.status for case_status in case_statuses] == ["skipped", "done"]
    assert threshold.runtime.batches == [3]  # the three slices of the second file only
    assert (out / "p_frame01_seg.nii.gz").stat().st_mtime_ns == stamp
    assert {p.name: p.read_bytes() for p in out.glob("*.csv")} == before
    assert without_times(out / "report.html") == report


def without_times(path: Path) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", path.read_text())


def test_pictures_are_made_up_for_where_they_are_missing(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz", (40, 36, 3, 2))
    run(threshold, tmp_path / "in", tmp_path / "out")
    options = PredictOptions(pictures=True)
    assert [f.status for f in run(threshold, tmp_path / "in", tmp_path / "out", options)] == [
        "done"
    ]
    assert (tmp_path / "out" / "x.png").read_bytes().startswith(b"\x89PNG")
    (case_status,) = run(threshold, tmp_path / "in", tmp_path / "out", options)
    assert case_status.status == "skipped"


def test_overwrite_does_everything_again(threshold: Segmenter, tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "out")
    (case_status,) = run(
        threshold, tmp_path / "in", tmp_path / "out", PredictOptions(overwrite=True)
    )
    assert case_status.status == "done"


def test_results_of_other_settings_are_not_mixed(threshold: Segmenter, tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"label_order: 'acdc' then, 'mnms' now.*--overwrite"):
        run(threshold, tmp_path / "in", tmp_path / "out", PredictOptions(label_order="mnms"))


def test_a_scan_called_like_a_setting_hides_no_change_of_it(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "label_order.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"label_order: 'acdc' then, 'mnms' now"):
        run(threshold, tmp_path / "in", tmp_path / "out", PredictOptions(label_order="mnms"))


def test_a_scan_of_the_same_name_from_another_folder_is_not_taken_for_done(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for number, folder in enumerate("ab"):
        write_scan(tmp_path / folder / "cine.nii.gz", (40, 36, 3 + number))
    run(threshold, tmp_path / "a", tmp_path / "out")
    before = (tmp_path / "out" / "cine_seg.nii.gz").read_bytes()
    with pytest.raises(ConfigError, match=r"cine: '.*/a/cine.nii.gz' then, '.*/b/cine.nii.gz' now"):
        run(threshold, tmp_path / "b", tmp_path / "out")
    assert (tmp_path / "out" / "cine_seg.nii.gz").read_bytes() == before


def test_a_run_on_other_files_leaves_earlier_cases_complete(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for name in "ab":
        write_scan(tmp_path / name / f"{name}.nii.gz")
        run(threshold, tmp_path / name, tmp_path / "out")
    (case_status,) = run(threshold, tmp_path / "a", tmp_path / "out")
    assert case_status.status == "skipped"


def test_label_maps_of_unknown_making_are_not_taken_for_done(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    write_scan(tmp_path / "out" / "x_seg.nii.gz")
    with pytest.raises(ConfigError, match=r"no run\.json that says how"):
        run(threshold, tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("damage", ["empty", "zeros", "cut", "no gzip", "bad end"])
def test_a_damaged_label_map_is_made_again(
    damage: str, threshold: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "out")
    path = tmp_path / "out" / "a_seg.nii.gz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "zeros": bytes(len(whole)),
            "cut": whole[: len(whole) // 2],
            "no gzip": b"no label map",
            "bad end": whole[:-8] + bytes(8),
        }[damage]
    )
    statuses = run(threshold, tmp_path / "in", tmp_path / "out")
    assert [status.status for status in statuses] == ["done", "skipped"]
    assert path.read_bytes() == whole
    assert "a_seg.nii.gz: " in caplog.text
    assert "the scan is segmented again" in caplog.text


@pytest.mark.parametrize("file", ["quality/a.json", "quality/a.jpg", "a.png"])
def test_a_case_with_an_empty_file_is_made_again(
    file: str, threshold: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    options = PredictOptions(pictures=True)
    run(threshold, tmp_path / "in", tmp_path / "out", options)
    path = tmp_path / "out" / file
    whole = path.read_bytes()
    path.write_bytes(b"")
    (status,) = run(threshold, tmp_path / "in", tmp_path / "out", options)
    assert status.status == "done"
    without_mtime = [re.sub(rb'"mtime_ns": \d+', b"", c) for c in (path.read_bytes(), whole)]
    assert without_mtime[0] == without_mtime[1]
    assert f"{path}: empty; the scan is segmented again" in caplog.text


def test_an_empty_label_map_without_a_manifest_blocks_nothing(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x_seg.nii.gz").touch()
    (status,) = run(threshold, tmp_path / "in", tmp_path / "out")
    assert status.status == "done"


def test_a_label_map_with_other_values_is_refused_and_stays(
    threshold: Segmenter, tmp_path: Path
) -> None:
    """It may have been corrected by hand."""
    write_scan(tmp_path / "in" / "x.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "out")
    path = tmp_path / "out" / "x_seg.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.full(image.shape, 7, np.uint8), image.affine), path)
    corrected = path.read_bytes()
    (status,) = run(threshold, tmp_path / "in", tmp_path / "out")
    assert status.status == "failed"
    assert path.read_bytes() == corrected


def overwrite(path: Path, shape: tuple[int, ...] = (40, 36, 3), seed: int = 1) -> None:
    array = np.random.default_rng(seed).integers(0, 200, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(array, nib.load(path).affine), path)


@pytest.mark.parametrize("shape", [(40, 36, 3), (40, 36, 4)])
def test_a_scan_that_was_overwritten_is_segmented_again(
    shape: tuple[int, ...],
    threshold: Segmenter,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the former size and time too, as when an archive is unpacked over it."""
    path, out = tmp_path / "in" / "x.nii", tmp_path / "out"
    write_scan(path)
    write_scan(tmp_path / "in" / "y.nii")
    run(threshold, tmp_path / "in", out)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    overwrite(path, shape)
    os.utime(path, ns=times)
    statuses = run(threshold, tmp_path / "in", out)
    assert [status.status for status in statuses] == ["done", "skipped"]
    assert f"{path}: overwritten since it was segmented; done again" in caplog.text
    labels = np.asarray(nib.load(out / "x_seg.nii.gz").dataobj)
    scan = np.asarray(nib.load(path).dataobj)
    assert labels.shape == shape
    # The largest component of the LV is kept, so a part of these voxels.
    assert (scan[labels == 3] >= 150).all()
    assert [s.status for s in run(threshold, tmp_path / "in", out)] == ["skipped"] * 2


def test_a_label_map_that_was_corrected_by_hand_is_never_replaced(
    threshold: Segmenter, tmp_path: Path
) -> None:
    path, out = tmp_path / "in" / "x.nii", tmp_path / "out"
    write_scan(path)
    run(threshold, tmp_path / "in", out)
    written = out / "x_seg.nii.gz"
    image = nib.load(written)
    nib.save(nib.Nifti1Image(np.full(image.shape, 3, np.uint8), image.affine), written)
    corrected = written.read_bytes()
    (status,) = run(threshold, tmp_path / "in", out)
    assert status.status == "skipped"  # measured as corrected: 40 · 36 · 3 voxels of 0.015 mL
    assert rows(out / "frames.csv")[0]["LV volume (mL)"] == "64.80"
    overwrite(path)
    (status,) = run(threshold, tmp_path / "in", out)
    assert status.status == "failed"
    assert "x_seg.nii.gz was made, which was then corrected by hand" in status.reason
    assert written.read_bytes() == corrected
    written.rename(out / "mine.nii.gz")
    (status,) = run(threshold, tmp_path / "in", out)
    assert status.status == "done"


def test_new_pictures_do_not_cost_a_corrected_label_map(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii")
    run(threshold, tmp_path / "in", tmp_path / "out")
    written = tmp_path / "out" / "x_seg.nii.gz"
    image = nib.load(written)
    nib.save(nib.Nifti1Image(np.full(image.shape, 3, np.uint8), image.affine), written)
    corrected = written.read_bytes()
    (status,) = run(threshold, tmp_path / "in", tmp_path / "out", PredictOptions(pictures=True))
    assert status.status == "skipped"
    assert written.read_bytes() == corrected
    assert (tmp_path / "out" / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_manifest_does_not_cost_a_corrected_label_map(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for name in "ab":
        write_scan(tmp_path / "in" / f"{name}.nii")
    out = tmp_path / "out"
    run(threshold, tmp_path / "in", out)
    written = out / "a_seg.nii.gz"
    image = nib.load(written)
    nib.save(nib.Nifti1Image(np.full(image.shape, 3, np.uint8), image.affine), written)
    (out / "run.json").write_text("{")
    assert [s.status for s in run(threshold, tmp_path / "in", out)] == ["skipped", "done"]
    assert (np.asarray(nib.load(written).dataobj) == 3).all()


def test_scans_that_moved_are_recognized(threshold: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_scan(tmp_path / "a" / "p1" / "x.nii.gz")
    write_scan(tmp_path / "a" / "y.nii.gz", (40, 36, 4))
    run(threshold, tmp_path / "a", out)
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "c", copy_function=shutil.copyfile)
    for folder in ("b", "c", "b"):
        statuses = run(threshold, tmp_path / folder, out)
        assert [status.status for status in statuses] == ["skipped", "skipped"]
        record = json.loads((out / "run.json").read_text())
        assert record["inputs"]["p1_x"] == str(tmp_path / folder / "p1" / "x.nii.gz")
        assert record["cases"][0]["scan"]["place"] == record["inputs"]["p1_x"]


def test_results_keep_the_name_that_an_earlier_version_gave_them(
    threshold: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_scan(tmp_path / "in" / "p1" / "sax.nii.gz")
    out = tmp_path / "out"
    run(threshold, tmp_path / "in" / "p1", out)
    assert (out / "sax_seg.nii.gz").exists()
    write_scan(tmp_path / "in" / "p2" / "sax.nii.gz")
    statuses = run(threshold, tmp_path / "in", out)
    assert [(s.case, s.status) for s in statuses] == [("sax", "skipped"), ("p2_sax", "done")]
    assert "p1/sax.nii.gz is called sax" in caplog.text
    assert sorted(p.name for p in out.glob("*_seg*")) == ["p2_sax_seg.nii.gz", "sax_seg.nii.gz"]
    assert [row["patient"] for row in rows(out / "measurements.csv")] == ["sax", "p2_sax"]


def test_names_are_kept_in_a_large_cohort_too(threshold: Segmenter, tmp_path: Path) -> None:
    """Whose cases come one after the other."""
    write_scan(tmp_path / "in" / "p1" / "sax.nii.gz")
    out = tmp_path / "out"
    run(threshold, tmp_path / "in" / "p1", out)
    cases, _ = discover([tmp_path / "in"])
    (status,) = predict_folder(iter(cases), out, threshold.model, lambda model: threshold)
    assert (status.case, status.status) == ("sax", "skipped")
    with pytest.raises(ConfigError, match="label_order: 'acdc' then, 'mnms' now"):
        options = PredictOptions(label_order="mnms")
        predict_folder(iter(cases), out, threshold.model, lambda model: threshold, options)


def without_records(out: Path) -> None:
    """What an earlier version left: no record of the scan beside the indicators."""
    for path in (out / "quality").glob("*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({key: content[key] for key in ("image", "frames")}))


def test_results_of_an_earlier_version_are_flagged_if_the_scan_is_newer(
    threshold: Segmenter, tmp_path: Path
) -> None:
    path, out = tmp_path / "in" / "x.nii", tmp_path / "out"
    write_scan(path)
    run(threshold, tmp_path / "in", out)
    without_records(out)
    run(threshold, tmp_path / "in", out)
    assert "written after its label map" not in rows(out / "measurements.csv")[0]["flags"]
    os.utime(path, (2e9, 2e9))
    (status,) = run(threshold, tmp_path / "in", out)
    assert status.status == "skipped"
    (row,) = rows(out / "measurements.csv")
    assert row["verdict"] != "ok"
    assert "the scan was written after its label map" in row["flags"]


@pytest.mark.parametrize("name", ["measurements.csv", "report.html", "run.json"])
def test_files_of_the_user_are_not_overwritten(
    name: str, threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii")
    mine = tmp_path / "out" / name
    mine.parent.mkdir()
    mine.write_text('{"my": "own"}')
    for options in (PredictOptions(), PredictOptions(overwrite=True)):
        with pytest.raises(ConfigError, match=f"holds {name} of your own"):
            run(threshold, tmp_path / "in", tmp_path / "out", options)
    assert mine.read_text() == '{"my": "own"}'


@pytest.mark.parametrize("content", [b"", bytes(500), b'{"settings": {"mod', b"\xff\xfe"])
def test_with_a_damaged_manifest_every_scan_is_segmented_again(
    content: bytes, threshold: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    out = tmp_path / "out"
    run(threshold, tmp_path / "in", out)
    (out / "run.json").write_bytes(content)
    statuses = run(threshold, tmp_path / "in", out)
    assert [status.status for status in statuses] == ["done", "done"]
    assert f"{out / 'run.json'}: damaged; every scan is segmented again" in caplog.text
    statuses = run(threshold, tmp_path / "in", out)
    assert [status.status for status in statuses] == ["skipped", "skipped"]


def test_label_order_is_of_the_file_not_of_the_measurements(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    run(threshold, tmp_path / "in", tmp_path / "a")
    run(threshold, tmp_path / "in", tmp_path / "b", PredictOptions(label_order="mnms"))
    acdc, mnms = (np.asarray(nib.load(tmp_path / f / "x_seg.nii.gz").dataobj) for f in ("a", "b"))
    assert (mnms[acdc == 3] == 1).all()
    csv_files = [(tmp_path / f / "frames.csv").read_bytes() for f in ("a", "b")]
    assert csv_files[0] == csv_files[1]
    # Measured again from the file written, the numbers stay.
    run(threshold, tmp_path / "in", tmp_path / "b", PredictOptions(label_order="mnms"))
    assert (tmp_path / "b" / "frames.csv").read_bytes() == csv_files[0]


def test_a_bad_file_is_recorded_and_the_others_are_done(
    threshold: Segmenter, tmp_path: Path
) -> None:
    write_scan(tmp_path / "in" / "good.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_text("no image")
    bad, good = run(threshold, tmp_path / "in", tmp_path / "out")
    assert (bad.status, good.status) == ("failed", "done")
    assert "bad.nii.gz" in bad.reason
    assert bad.output == ""
    assert not (tmp_path / "out" / "bad_seg.nii.gz").exists()


def test_an_unforeseen_error_is_recorded_too(threshold: Segmenter, tmp_path: Path) -> None:
    class Broken:
        name, device = "broken", "cpu"

        def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> None:
            raise ZeroDivisionError("what\nnow")

    write_scan(tmp_path / "in" / "x.nii.gz")
    broken = Segmenter(threshold.model, Broken())
    (case_status,) = run(broken, tmp_path / "in", tmp_path / "out")
    assert case_status.status == "failed"
    assert "unexpected ZeroDivisionError: what now" in case_status.reason


def test_a_model_that_does_not_load_ends_the_run(threshold: Segmenter, tmp_path: Path) -> None:
    def refuse(model: object) -> Segmenter:
        raise ModelError("no")

    write_scan(tmp_path / "x.nii.gz")
    with pytest.raises(ModelError):
        predict_folder(discover([tmp_path])[0], tmp_path / "out", threshold.model, refuse)


def test_an_output_folder_that_cannot_be_made(threshold: Segmenter, tmp_path: Path) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz")
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match="out: cannot write there"):
        run(threshold, tmp_path / "in", tmp_path / "out")


SLOW_RUN = """
import sys, time
from pathlib import Path
from tests_support import ThresholdRuntime
from ctct.model_files.model_file import ModelFile
from ctct.prediction.folder import predict_folder
from ctct.inference.segmenter import Segmenter
from ctct.cases.discover import discover

class Slow(ThresholdRuntime):
    def __call__(self, slices, spacing_mm):
        time.sleep(0.2)
        return super().__call__(slices, spacing_mm)

model = ModelFile(Path("threshold.onnx"), {}, "0" * 64)
cases, _ = discover([sys.argv[1]])
predict_folder(cases, Path(sys.argv[2]), model, lambda m: Segmenter(m, Slow()))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_is_resumed(threshold: Segmenter, tmp_path: Path) -> None:
    for number in range(8):
        write_scan(tmp_path / "in" / f"case{number}.nii.gz")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(tmp_path / "in"), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("*_seg.nii.gz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = sorted(out.glob("*_seg.nii.gz"))
    assert 2 <= len(finished) < 8
    for path in finished:
        assert np.asarray(nib.load(path).dataobj).shape == (40, 36, 3)
    case_statuses = run(threshold, tmp_path / "in", out)
    statuses = [case_status.status for case_status in case_statuses]
    assert statuses.count("skipped") == len(finished)
    assert statuses.count("done") == 8 - len(finished)
    assert len(rows(out / "measurements.csv")) == 8
