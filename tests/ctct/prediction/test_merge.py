"""`ctct report`: tables of folders of results, in the middle of a run and over several folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.errors import ConfigError, InputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.merge import merge_results
from ctct.prediction.patients import Overrides
from ctct.prediction.quality_record import indicators_path

TABLES = ("measurements.csv", "frames.csv", "segments.csv", "measurements.json")


def run(
    threshold: Segmenter, scans: Path, out: Path, options: PredictOptions | None = None
) -> None:
    cases, _ = discover([scans])
    predict_folder(cases, out, threshold.model, lambda model: threshold, options)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in ("cine", "p_frame01", "p_frame02", "q"):
        write_scan(tmp_path / "in" / f"{name}.nii", (40, 36, 3, 2)[: 3 + (name in ("cine", "q"))])
    return tmp_path / "in"


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_the_tables_are_those_of_the_run(scans: Path, threshold: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    overrides = Overrides(ed=1, es=0, follow_ups=(("cine", "q"), ("cine", "gone")))
    run(threshold, scans, out, PredictOptions(overrides=overrides, papillary="cavity"))
    whole, report = tables(out), (out / "report.html").read_bytes()
    follow_up = (out / "follow_up.csv").read_bytes()
    assert b"counted with the cavity" in whole["measurements.csv"]
    assert b"cine,q,LVEF (%)" in follow_up
    for name in (*TABLES, "follow_up.csv", "report.html"):
        (out / name).unlink()
    merged = merge_results([out], out)
    assert (merged.measured, merged.failed, merged.summary.patients) == (4, {}, 3)
    assert tables(out) == whole
    assert (out / "follow_up.csv").read_bytes() == follow_up
    assert (out / "report.html").read_bytes() == report


def test_results_in_several_folders_are_those_of_one(
    scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    run(threshold, scans, tmp_path / "one")
    parts = []
    for name in ("cine", "p_frame01", "p_frame02", "q"):
        parts.append(tmp_path / f"part_{name}")
        run(threshold, scans / f"{name}.nii", parts[-1])
    merge_results(parts, tmp_path / "all")
    assert tables(tmp_path / "all") == tables(tmp_path / "one")
    merge_results([*parts, tmp_path / "one"], tmp_path / "all")  # each case counts once
    assert tables(tmp_path / "all") == tables(tmp_path / "one")


def test_a_failed_case_is_counted_until_it_is_done(
    scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    whole = (scans / "p_frame02.nii").read_bytes()
    (scans / "p_frame02.nii").write_bytes(whole[:400])
    run(threshold, scans, tmp_path / "a")
    merged = merge_results([tmp_path / "a"], tmp_path / "a")
    assert list(merged.failed) == ["p_frame02"]
    assert "p_frame02.nii" in merged.failed["p_frame02"]
    (scans / "p_frame02.nii").write_bytes(whole)
    run(threshold, scans / "p_frame02.nii", tmp_path / "b")
    for folders in (["a", "b"], ["b", "a"]):
        merged = merge_results([tmp_path / name for name in folders], tmp_path / "all")
        assert (merged.measured, merged.failed) == (4, {})


def test_in_the_middle_of_a_run_what_is_done_is_shown(
    scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(threshold, scans, out)
    (out / "q_seg.nii.gz").unlink()  # is being written
    record = json.loads(indicators_path(out, "q").read_text())
    indicators_path(out, "q").write_text(json.dumps({**record, "status": "writing"}))
    assert merge_results([out], out).measured == 3


def test_other_settings_or_scans_are_not_merged(
    scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    run(threshold, scans, tmp_path / "a")
    run(threshold, scans, tmp_path / "b", PredictOptions(label_order="mnms"))
    with pytest.raises(ConfigError, match="label_order: 'acdc' then, 'mnms' now"):
        merge_results([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    write_scan(tmp_path / "other" / "q.nii", (40, 36, 4))
    run(threshold, tmp_path / "other", tmp_path / "c")
    with pytest.raises(ConfigError, match="different results of q"):
        merge_results([tmp_path / "a", tmp_path / "c"], tmp_path / "all")


def test_what_is_no_folder_of_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        merge_results([tmp_path / "gone"], tmp_path / "all")
    with pytest.raises(InputError, match="holds no results"):
        merge_results([tmp_path], tmp_path)


def test_label_maps_of_an_earlier_version_are_named(
    scans: Path, threshold: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    run(threshold, scans, out)
    for path in (out / "quality").glob("*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({name: content[name] for name in ("image", "frames")}))
    assert merge_results([out], out).measured == 0
    assert "4 label maps were written by an earlier version" in caplog.text
    run(threshold, scans, out)
    assert merge_results([out], out).measured == 4


def test_the_command(
    ctct: Callable[..., Any], scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(threshold, scans, out)
    outcome = ctct("report", out)
    assert outcome.code == 0
    assert outcome.out.startswith("4 measured; 3 patients: ")
    shutil.copytree(out, tmp_path / "copy")
    assert ctct("report", out, tmp_path / "copy").code == 2
    assert ctct("report", out, tmp_path / "copy", "-o", tmp_path / "all").code == 0
    assert ctct("report", tmp_path / "in").code == 4
