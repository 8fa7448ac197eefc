"""Results as BIDS derivatives."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.errors import ConfigError
from ctct.inference.segmenter import Segmenter
from ctct.prediction import bids_layout
from ctct.prediction.bids_columns import DESCRIPTIONS, column_name, describe_columns
from ctct.prediction.bids_layout import write_derivatives
from ctct.prediction.folder import predict_folder
from ctct.prediction.output import Output, report_results
from ctct.report.tables import FRAMES, SEGMENT_ROWS, patients_table


def run(threshold: Segmenter, scans: Path, out: Path) -> None:
    with Output(out, "bids") as output:
        cases, _ = discover([scans])
        predict_folder(cases, output.folder, threshold.model, lambda model: threshold)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    for session in ("ses-a", "ses-b"):
        scan = root / f"sub-1/{session}/cmr/sub-1_{session}_acq-sax_desc-x_bold.nii.gz"
        write_scan(scan, (40, 36, 3, 2))
    (root / "dataset_description.json").write_text('{"Name": "x"}')
    return root


def test_label_maps_tables_and_descriptions_are_written(
    raw: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    out = raw / "derivatives" / "ctct"
    run(threshold, raw, out)
    stem = out / "sub-1/ses-a/cmr/sub-1_ses-a_acq-sax_desc-ctct_dseg"
    made = stem.with_name(f"{stem.name}.nii.gz")
    own = out / "ctct/sub-1_ses-a_acq-sax_desc-x_bold_seg.nii.gz"
    assert made.read_bytes() == own.read_bytes()
    assert made.samefile(own)
    side = json.loads(stem.with_name(f"{stem.name}.json").read_text())
    source = "sub-1/ses-a/cmr/sub-1_ses-a_acq-sax_desc-x_bold.nii.gz"
    assert side["Sources"] == [f"bids:raw:{source}"]
    content = json.loads((out / "dataset_description.json").read_text())
    assert content["DatasetType"] == "derivative"
    assert content["GeneratedBy"][0]["Name"] == "ctct"
    assert (out / content["DatasetLinks"]["raw"] / source).exists()
    assert [(r["index"], r["abbreviation"]) for r in rows(out / "desc-ctct_dseg.tsv")] == [
        ("0", "BG"),
        ("1", "RV"),
        ("2", "MYO"),
        ("3", "LV"),
    ]
    table = rows(out / "desc-ctct_measurements.tsv")
    assert [(r["participant_id"], r["session_id"]) for r in table] == [
        ("sub-1", "ses-a"),
        ("sub-1", "ses-b"),
    ]
    described = json.loads((out / "desc-ctct_measurements.json").read_text())
    assert list(described) == list(table[0])
    assert described["LVEDV"]["Units"] == "mL"
    assert table[0]["BSA"] == "n/a"
    assert len(rows(out / "desc-ctct_frames.tsv")) == 4


def test_the_next_run_skips_what_is_done_and_touches_no_label_map(
    raw: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    run(threshold, raw, tmp_path / "out")
    before = {p: p.stat().st_ino for p in (tmp_path / "out").glob("sub-*/**/*.nii.gz")}
    run(threshold, raw, tmp_path / "out")
    statuses = json.loads((tmp_path / "out/ctct/run.json").read_text())["cases"]
    assert {case["status"] for case in statuses} == {"skipped"}
    assert {p: p.stat().st_ino for p in before} == before
    assert len(before) == 2


def test_scans_from_elsewhere_get_labels_of_bids(threshold: Segmenter, tmp_path: Path) -> None:
    for name in ("p_1_frame01", "p_1_frame02", "p1"):
        write_scan(tmp_path / "in" / f"{name}.nii")
    run(threshold, tmp_path / "in", tmp_path / "out")
    names = [p.name for p in (tmp_path / "out").glob("sub-*/anat/*.nii.gz")]
    assert len(names) == len({name.split("_")[0] for name in names}) + 1 == 3
    assert sum("_acq-frame" in name for name in names) == 2
    participants = [r["participant_id"] for r in rows(tmp_path / "out/desc-ctct_measurements.tsv")]
    assert sorted(participants) == sorted({name.split("_")[0] for name in names})


def test_two_scans_that_differ_in_their_suffix_both_have_a_label_map(
    threshold: Segmenter, tmp_path: Path
) -> None:
    for suffix in ("bold", "cine"):
        write_scan(tmp_path / f"raw/sub-1/cmr/sub-1_{suffix}.nii.gz", (40, 36, 3, 2))
    run(threshold, tmp_path / "raw", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out/sub-1/cmr").glob("*.nii.gz")) == [
        "sub-1_desc-ctctbold_dseg.nii.gz",
        "sub-1_desc-ctctcine_dseg.nii.gz",
    ]


def test_a_disk_without_hard_links_gets_copies(
    raw: Path, threshold: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(1, "no links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    run(threshold, raw, tmp_path / "out")
    made = next((tmp_path / "out").glob("sub-1/ses-a/cmr/*.nii.gz"))
    before = made.stat()
    assert before.st_nlink == 1
    write_derivatives([tmp_path / "out/ctct"], tmp_path / "out/ctct", tmp_path / "out")
    assert made.stat().st_ino == before.st_ino


def test_a_report_makes_a_data_set_of_results(
    raw: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    cases, _ = discover([raw])
    predict_folder(cases, tmp_path / "plain", threshold.model, lambda model: threshold)
    with pytest.raises(ConfigError, match="give -o"):
        report_results([tmp_path / "plain"], layout="bids")
    report_results([tmp_path / "plain"], tmp_path / "set", "bids")
    assert len(list((tmp_path / "set").glob("sub-1/*/cmr/*_dseg.nii.gz"))) == 2
    run(threshold, raw, tmp_path / "out")
    (tmp_path / "out/desc-ctct_frames.tsv").unlink()
    merged, where = report_results([tmp_path / "out"], layout="bids")
    assert (merged.measured, where) == (2, tmp_path / "out")
    assert (tmp_path / "out/desc-ctct_frames.tsv").exists()


def test_a_data_set_of_somebody_else_stays(raw: Path, threshold: Segmenter) -> None:
    with pytest.raises(ConfigError, match="did not make"):
        run(threshold, raw, raw)
    assert not (raw / bids_layout.WORK).exists()


def test_every_column_has_its_own_name_and_a_description() -> None:
    for table in (patients_table(), FRAMES, SEGMENT_ROWS):
        names = [column_name(column) for column in table.header]
        assert len(set(names)) == len(names)
        assert set(names) <= set(DESCRIPTIONS)
    assert describe_columns(["BSA (m2)"])["BSA"]["Units"] == "m^2"
