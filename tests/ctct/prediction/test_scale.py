"""A cohort that is done: how long a restart takes, and how much memory restart and tables take.

``CTCT_COHORT=50000 pytest -s tests/ctct/prediction/test_scale.py`` is the long run; it prints the
figures of docs/how-to/large-cohorts.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.cases.discover import discover
from ctct.cases.index_row import digest_files
from ctct.inference.segmenter import Segmenter
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.quality_record import indicators_path, output_path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="measures memory as Linux counts it"),
]

CASES = int(os.environ.get("CTCT_COHORT", "2500"))

#: Runs a step in a process of its own, and prints its seconds and peak memory.
STEP = """
import json, os, sys, time
from pathlib import Path
from tests_support import ThresholdRuntime
from ctct.cases.index import read_index, write_index
from ctct.cases.survey import Request, find_cases
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import ModelFile
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import Part, peak_memory_mb, predict_folder
from ctct.prediction.merge import merge_results

step, scans, out, index = sys.argv[1], *map(Path, sys.argv[2:])
model = ModelFile(Path("threshold.onnx"), {}, "0" * 64)
load = lambda _: Segmenter(model, ThresholdRuntime())
begun, statuses = time.monotonic(), []
if step == "survey":
    count = sum(1 for _ in find_cases(Request((scans,)), out / "survey.jsonl")[0])
if step == "index":
    write_index(Request((scans,)), index)
if step == "restart":
    cases, _ = find_cases(Request((scans,)), out / "survey.jsonl")
    statuses = predict_folder(cases, out, model, load, PredictOptions(report=False))
if step == "restart with index":
    found = read_index(index)
    part = Part(found.digest, None, found.rows)
    options = PredictOptions(report=False)
    statuses = predict_folder(found.cases(), out, model, load, options, part=part)
if step == "tables":
    merge_results([out], out)
ended = {kind: sum(s.status == kind for s in statuses) for kind in ("done", "skipped", "failed")}
seconds = {"seconds": time.monotonic() - begun, "cpu_s": sum(os.times()[:4])}
print(json.dumps({**seconds, "peak_mb": peak_memory_mb(), **ended}))
"""


def measure(step: str, *paths: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", STEP, step, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    text = f"{figures['seconds']:.1f} s, {figures['cpu_s']:.1f} s of CPU, {figures['peak_mb']} MB"
    sys.stdout.write(f"\n{step}: {text}")
    return figures


def copy_case(scans: Path, out: Path, name: str) -> None:
    """A case that is done: scan, label map and record, those of the first one under its name."""
    first = scans / "p00000" / "sax.nii"
    scan = scans / name / "sax.nii"
    scan.parent.mkdir()
    scan.write_bytes(first.read_bytes())
    labels = output_path(out, f"{name}_sax")
    labels.write_bytes(output_path(out, "p00000_sax").read_bytes())
    text = indicators_path(out, "p00000_sax").read_text().replace("p00000", name)
    found = labels.stat()
    content = json.loads(text)
    content["measured"]["mtime_ns"] = found.st_mtime_ns
    rows = [(f.name, f.stat()) for f in [scan]]
    stamp = [(n, f.st_size, f.st_mtime_ns, f.st_ctime_ns) for n, f in rows]
    content["scan"]["stamp"] = sha256(repr(stamp).encode()).hexdigest()
    content["scan"]["listing"] = digest_files([scan])[-1]
    indicators_path(out, f"{name}_sax").write_text(json.dumps(content))


def test_a_restart_and_tables_are_quick_and_small(threshold: Segmenter, tmp_path: Path) -> None:
    scans, out, index = tmp_path / "in", tmp_path / "out", tmp_path / "cohort.parquet"
    write_scan(scans / "p00000" / "sax.nii", (40, 36, 10, 30))
    cases, _ = discover([scans])
    predict_folder(
        cases, out, threshold.model, lambda model: threshold, PredictOptions(report=False)
    )
    # A small scan, whose record has as many frames as that of a cine.
    write_scan(scans / "p00000" / "sax.nii", (8, 8, 1))
    for number in range(1, CASES):
        copy_case(scans, out, f"p{number:05}")
    (scans / "p00000" / "sax.nii").unlink()
    measured = {"tables": measure("tables", scans, out, index)}
    pytest.importorskip("pyarrow", reason="needs the extra cohort")
    for step in ("survey", "restart", "index", "restart with index"):
        measured[step] = measure(step, scans, out, index)
        if step.startswith("restart"):
            measured[f"{step} again"] = measure(step, scans, out, index)
    for step in ("restart", "restart with index"):
        assert measured[step]["skipped"] == CASES - 1
    size = indicators_path(out, "p00001_sax").stat().st_size
    sys.stdout.write(f"\n{CASES} cases, records of {size / 1e3:.0f} kB\n")
    assert max(figures["peak_mb"] for figures in measured.values()) <= 500
