"""Scans in object storage: against a real S3 server, a web server and zips."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storage_support import Bucket, s3_server
from tests_support import write_scan

pytest.importorskip("fsspec", reason="needs the extra storage")

from ctct.cases import remote
from ctct.cases.discover import discover
from ctct.cases.fetched import Cache
from ctct.cases.remote import cache, limit_cache, list_cases, list_files
from ctct.cases.survey import Request, find_cases
from ctct.errors import ConfigError, InputError
from ctct.inference.segmenter import Segmenter
from ctct.io.remote import url_below
from ctct.prediction.folder import predict_folder
from ctct.prediction.run_manifest import CaseStatus


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket) -> Bucket:
    for key in server.list_keys():
        server.client.delete_object(Bucket=server.name, Key=key)
    return server


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in ("p1/cine", "p2/cine", "p3/deep/p3_ED", "p3/deep/p3_ES", "q"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", (40, 36, 3, 2)[: 3 + ("p3" not in name)])
    (tmp_path / "in/p1/cine_gt.nii.gz").write_bytes(b"a label map")
    (tmp_path / "in/p1/notes.txt").write_text("no scan")
    return tmp_path / "in"


def run(threshold: Segmenter, url: str | Path, out: Path) -> list[CaseStatus]:
    cases, _ = find_cases(Request.of([url]))
    return predict_folder(cases, out, threshold.model, lambda model: threshold)


def tables(out: Path) -> list[bytes]:
    names = ("measurements.csv", "frames.csv", "segments.csv", "measurements.json")
    return [(out / name).read_bytes() for name in names]


def test_results_are_those_from_the_disk(
    bucket: Bucket, scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    bucket.put(scans, "cohort/")
    statuses = run(threshold, bucket.url("cohort"), tmp_path / "far")
    assert {s.status for s in statuses} == {"done"}
    assert statuses[0].path.startswith(bucket.url("cohort/"))
    run(threshold, scans, tmp_path / "near")
    assert tables(tmp_path / "far") == tables(tmp_path / "near")
    for path in (tmp_path / "near").glob("*_seg.nii.gz"):
        assert (tmp_path / "far" / path.name).read_bytes() == path.read_bytes()
    assert cache().bytes == 0
    assert not list(cache()._folder.iterdir())


def test_what_is_done_is_not_fetched_again_until_it_changes(
    bucket: Bucket,
    scans: Path,
    threshold: Segmenter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.put(scans)
    run(threshold, bucket.url(), tmp_path / "out")
    fetched: list[str] = []

    class Watched(Cache):
        def _download(self, row: remote.IndexRow) -> Path:
            fetched.append(row.case)
            return super()._download(row)

    monkeypatch.setattr(remote, "_cache", Watched(list_files))
    assert {s.status for s in run(threshold, bucket.url(), tmp_path / "out")} == {"skipped"}
    assert fetched == []
    write_scan(scans / "q.nii.gz", (44, 36, 3, 2))
    bucket.put(scans)
    again = run(threshold, bucket.url(), tmp_path / "out")
    assert {s.case: s.status for s in again}["q"] == "done"
    assert "q" in fetched


def test_names_do_not_depend_on_where_copies_are(bucket: Bucket, scans: Path) -> None:
    bucket.put(scans, "a/b/")
    far = [(c.name, c.patient, c.number, c.phase) for c in list_cases([bucket.url("a/b")])]
    near, _ = discover([scans])
    assert sorted(far) == sorted((c.name, c.patient, c.number, c.phase) for c in near)
    (one,) = list_cases([bucket.url("a/b/p1/cine.nii.gz")])
    assert one.name == "cine"


def test_a_scan_that_is_damaged_or_gone_fails_alone(
    bucket: Bucket, scans: Path, threshold: Segmenter, tmp_path: Path
) -> None:
    bucket.put(scans)
    whole = (scans / "q.nii.gz").read_bytes()
    bucket.client.put_object(Bucket=bucket.name, Key="q.nii.gz", Body=whole[:200])
    cases = list(list_cases([bucket.url()]))
    bucket.client.delete_object(Bucket=bucket.name, Key="p1/cine.nii.gz")
    bucket.client.put_object(Bucket=bucket.name, Key="p2/cine.nii.gz", Body=whole + b"x")
    statuses = predict_folder(iter(cases), tmp_path, threshold.model, lambda model: threshold)
    reasons = {s.case: s.reason for s in statuses if s.status == "failed"}
    assert set(reasons) == {"p1_cine", "p2_cine", "q"}
    assert "no such bucket, folder or file" in reasons["p1_cine"]
    assert "changed since they were listed" in reasons["p2_cine"]
    assert reasons["q"].startswith(bucket.url("q.nii.gz"))
    assert cache().bytes == 0


def test_no_more_is_fetched_ahead_than_allowed(bucket: Bucket, scans: Path) -> None:
    bucket.put(scans)
    cases = [case for case in list_cases([bucket.url()]) if case.row]
    rows = [case.row for case in cases if case.row]
    store = Cache(list_files, max_gb=(rows[0].bytes + 1) / 1e9)
    for row in rows:
        store.start(row)
    assert len(store._copies) == 1
    assert store.fetch(rows[1]).exists()  # its turn has come
    for row in rows[:2]:
        store.discard(row)
    assert store.bytes == 0
    store.close()


def test_dicom_in_folders_and_zips_is_one_study_each(
    bucket: Bucket, threshold: Segmenter, tmp_path: Path
) -> None:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from dicom_support import write_cine

    for name in ("s1/sax", "s2"):
        write_cine(tmp_path / "in" / name)
    with zipfile.ZipFile(tmp_path / "in" / "s3.zip", "w") as packed:
        for path in sorted((tmp_path / "in/s2").iterdir()):
            packed.write(path, path.name)
    bucket.put(tmp_path / "in", "cohort/")
    statuses = run(threshold, bucket.url("cohort"), tmp_path / "out")
    assert {s.case: s.reason for s in statuses} == {"s1": "", "s2": "", "s3": ""}
    again = run(threshold, bucket.url("cohort"), tmp_path / "out")
    assert {s.status for s in again} == {"skipped"}


def test_an_index_of_urls_can_be_shared_out(
    bucket: Bucket, scans: Path, tmp_path: Path, ctct: Callable[..., object]
) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra cohort")
    from ctct.cases.index import Shard, read_index, write_index

    bucket.put(scans)
    assert write_index(Request.of([bucket.url()]), tmp_path / "c.parquet") == 5
    index = read_index(tmp_path / "c.parquet")
    shares = [list(index.cases(Shard(n, 2))) for n in (1, 2)]
    assert [len(share) for share in shares] == [3, 2]
    assert index.key["roots"] == [bucket.url()]


def test_zips_are_read_in_their_storage(bucket: Bucket, scans: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "all"), "zip", scans)
    bucket.client.put_object(
        Bucket=bucket.name, Key="all.zip", Body=(tmp_path / "all.zip").read_bytes()
    )
    for url in (f"zip://::{bucket.url('all.zip')}", f"zip://::file://{tmp_path / 'all.zip'}"):
        cases = list(list_cases([url]))
        assert sorted(c.name for c in cases)[0] == "p1_cine"
        assert remote.load_remote(cases[0], 60).path.is_file()
        remote.discard(cases[0])
    assert url_below("zip://::s3://b/c.zip", "p1/x.nii") == "zip://p1/x.nii::s3://b/c.zip"


def test_a_page_of_the_web_is_a_folder(scans: Path, threshold: Segmenter, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra storage")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(scans))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_address[1]}"
        (one,) = run(threshold, f"{url}/q.nii.gz", tmp_path / "one")
        assert (one.case, one.status) == ("q", "done")
        assert len(run(threshold, f"{url}/", tmp_path / "all")) == 5
        web.shutdown()


def test_a_place_that_is_not_there_is_named(bucket: Bucket, scans: Path) -> None:
    bucket.put(scans)
    for url in ("s3://no-such-bucket-here/x", bucket.url("nothing")):
        with pytest.raises(InputError, match=r"no such bucket|no scan found"):
            list(list_cases([url]))
    with pytest.raises(InputError, match="not a URL that can be read"):
        list(list_cases(["s4://bucket/x"]))


def test_missing_credentials_are_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"s3://.*: (no credentials|access denied)"):
        list(list_cases([bucket.url()]))
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match=r"^http://127.0.0.1:9/x.nii: "):
        list(list_cases(["http://127.0.0.1:9/x.nii"]))


def test_options_that_need_a_disk_are_refused() -> None:
    with pytest.raises(ConfigError, match="not both"):
        Request.of(["s3://a/b", "c"])
    with pytest.raises(ConfigError, match="--series"):
        Request.of(["s3://a/b"], ("1.2",))
    with pytest.raises(ConfigError, match="--name-from study"):
        list(list_cases(["s3://a/b"], "study"))
    with pytest.raises(ConfigError, match="--cache-gb 0"):
        limit_cache(0)
