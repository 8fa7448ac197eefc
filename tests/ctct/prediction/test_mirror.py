"""Results in object storage, on a real S3 server."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storage_support import Bucket, s3_server
from tests_support import write_scan

pytest.importorskip("s3fs", reason="needs the extra storage")

import s3fs

from ctct.cases.discover import discover
from ctct.errors import OutputError
from ctct.inference.segmenter import Segmenter
from ctct.prediction.folder import predict_folder
from ctct.prediction.mirror import Mirror
from ctct.prediction.output import Output, report_results
from ctct.prediction.run_manifest import CaseStatus


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as bucket:
        yield bucket


@pytest.fixture
def url(server: Bucket, request: pytest.FixtureRequest) -> str:
    return server.url(request.node.name[:40])


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in "abc":
        write_scan(tmp_path / "in" / f"{name}.nii.gz", (40, 36, 3, 2))
    return tmp_path / "in"


def run(
    threshold: Segmenter, scans: Path, url: str | Path, layout: Any = "ctct"
) -> list[CaseStatus]:
    cases, _ = discover([scans])
    with Output.at(url, layout) as output:
        observer = output.watch(None)
        return predict_folder(
            cases, output.folder, threshold.model, lambda m: threshold, observer=observer
        )


def forget(url: str) -> None:
    """As on another machine."""
    shutil.rmtree(Mirror(url).folder)


def test_all_files_are_uploaded_the_record_after_the_label_map(
    server: Bucket,
    url: str,
    scans: Path,
    threshold: Segmenter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    pipe = s3fs.S3FileSystem.pipe_file

    def note(self: Any, path: str, value: bytes, **more: Any) -> Any:
        order.append(path.partition("/")[2].partition("/")[2])
        return pipe(self, path, value, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "pipe_file", note)
    assert {s.status for s in run(threshold, scans, url)} == {"done"}
    run(threshold, scans, tmp_path / "near")
    prefix = url.rpartition("/")[2] + "/"
    there = {key.removeprefix(prefix) for key in server.list_keys(prefix)}
    near = {p.relative_to(tmp_path / "near").as_posix() for p in (tmp_path / "near").rglob("[!.]*")}
    assert there == {name for name in near if (tmp_path / "near" / name).is_file()}
    label_map = server.read(f"{prefix}a_seg.nii.gz")
    assert label_map == (tmp_path / "near/a_seg.nii.gz").read_bytes()
    assert order.index("a_seg.nii.gz") < order.index("quality/a.json")
    assert order[-1] == "run.json"


def test_another_machine_continues(
    server: Bucket, url: str, scans: Path, threshold: Segmenter
) -> None:
    run(threshold, scans / "a.nii.gz", url)
    forget(url)
    statuses = {s.case: s.status for s in run(threshold, scans, url)}
    assert statuses == {"a": "skipped", "b": "done", "c": "done"}
    prefix = url.rpartition("/")[2]
    table = server.read(f"{prefix}/measurements.csv").decode().splitlines()
    assert [row["patient"] for row in csv.DictReader(table)] == ["a", "b", "c"]


def test_a_failed_upload_loses_nothing_and_the_same_command_continues(
    server: Bucket, url: str, scans: Path, threshold: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = s3fs.S3FileSystem.pipe_file

    def fail(self: Any, path: str, value: bytes, **more: Any) -> Any:
        if path.endswith("b_seg.nii.gz"):
            raise OSError(5, "connection reset half-way")
        return pipe(self, path, value, **more)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "pipe_file", fail)
        with pytest.raises(OutputError, match=r"half-way.*the same command continues") as raised:
            run(threshold, scans, url)
    assert "\n" not in str(raised.value)
    prefix = url.rpartition("/")[2]
    keys = server.list_keys(prefix)
    assert f"{prefix}/quality/b.json" not in keys  # no record without its label map
    assert f"{prefix}/run.json" not in keys
    statuses = {s.case: s.status for s in run(threshold, scans, url)}
    assert statuses["b"] == "skipped"
    assert {f"{prefix}/b_seg.nii.gz", f"{prefix}/quality/b.json"} <= {*server.list_keys(prefix)}


def test_a_bucket_that_is_not_there_ends_the_run_before_it_begins(
    server: Bucket, ctct: Callable[..., Any], scans: Path
) -> None:
    outcome = ctct("predict", scans, "-o", "s3://no-such-bucket-at-all/x", "--device", "cpu")
    assert outcome.code == OutputError.exit_code
    lines = [line for line in outcome.err.splitlines() if line.startswith("ctct:")]
    assert len(lines) == 1
    assert "s3://no-such-bucket-at-all/x: no such bucket" in lines[0]


def test_a_report_joins_results_in_storage(
    server: Bucket, url: str, scans: Path, threshold: Segmenter
) -> None:
    for name in "ab":
        run(threshold, scans / f"{name}.nii.gz", f"{url}/{name}")
        forget(f"{url}/{name}")
    merged, where = report_results([f"{url}/a", f"{url}/b"], f"{url}/all")
    assert (merged.measured, where) == (2, f"{url}/all")
    prefix = url.rpartition("/")[2]
    assert server.read(f"{prefix}/all/measurements.csv").count(b"\n") == 3


def test_derivatives_of_bids_can_be_there_too(
    server: Bucket, url: str, scans: Path, threshold: Segmenter
) -> None:
    run(threshold, scans, url, "bids")
    prefix = url.rpartition("/")[2]
    keys = {key.removeprefix(f"{prefix}/") for key in server.list_keys(prefix)}
    assert {"dataset_description.json", "sub-a/anat/sub-a_desc-ctct_dseg.nii.gz"} <= keys
    assert {s.status for s in run(threshold, scans, url, "bids")} == {"skipped"}
