"""The index of a cohort, and shards of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_scan

pytest.importorskip("pyarrow", reason="needs the extra cohort")
import pyarrow.parquet as pq

from ctct.cases.index import Shard, read_index, write_index
from ctct.cases.index_row import COLUMNS, digest_files
from ctct.cases.survey import Request
from ctct.errors import ConfigError, InputError


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(7):
        write_scan(tmp_path / "in" / f"c{number}.nii", (40, 36, 3, 2))
    return tmp_path / "in"


def test_a_row_tells_where_a_scan_is_and_what_it_is(scans: Path, tmp_path: Path) -> None:
    path = tmp_path / "i.parquet"
    assert write_index(Request((scans,)), path) == 7
    table = pq.read_table(path).to_pylist()
    assert list(table[0]) == list(COLUMNS)
    row, scan = table[0], scans / "c0.nii"
    assert (row["case"], row["path"], row["kind"]) == ("c0", str(scan), "file")
    assert (row["files"], row["bytes"]) == (1, scan.stat().st_size)
    assert (row["mtime_ns"], row["digest"]) == digest_files([scan])[2:]
    assert [row[c] for c in ("frames", "slices", "rows", "columns")] == [2, 3, 36, 40]
    assert [row[c] for c in ("row_mm", "column_mm", "slice_mm")] == [1.25, 1.5, 8.0]


def test_a_row_of_dicom(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from dicom_support import write_cine

    folder = write_cine(tmp_path / "in" / "p1")
    write_index(Request((tmp_path / "in",)), tmp_path / "i.parquet")
    (row,) = pq.read_table(tmp_path / "i.parquet").to_pylist()
    assert (row["kind"], row["path"], row["folders"]) == ("dicom", str(folder), [str(folder)])
    assert [row[c] for c in ("frames", "slices", "rows", "columns")] == [8, 6, 40, 36]
    assert row["slice_mm"] == pytest.approx(8.0, abs=1e-3)
    assert "1.2.3" not in str(row)  # no UID in plain text
    assert "Doe" not in str(row)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_shards_are_all_of_the_index_and_no_two_meet(
    count: int, scans: Path, tmp_path: Path
) -> None:
    write_index(Request((scans,)), tmp_path / "i.parquet")
    index = read_index(tmp_path / "i.parquet")
    shares = [[c.name for c in index.cases(Shard(n, count))] for n in range(1, count + 1)]
    assert [len(share) for share in shares] == [
        index.count(Shard(n, count)) for n in range(1, count + 1)
    ]
    assert sorted(name for share in shares for name in share) == [f"c{n}" for n in range(7)]
    assert len(list(index.cases())) == index.count() == 7


@pytest.mark.parametrize("text", ["65/64", "0/4", "1/0", "3", "a/b", "-1/2", ""])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--shard {text}"):
        Shard.parse(text)


def test_what_is_no_index(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; ctct index makes it"):
        read_index(tmp_path / "gone.parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_index(scans / "c0.nii")
    import pyarrow

    pq.write_table(pyarrow.table({"case": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="not an index"):
        read_index(tmp_path / "other.parquet")
    write_index(Request((scans,)), tmp_path / "i.parquet")
    table = pq.read_table(tmp_path / "i.parquet")
    pq.write_table(table.drop_columns(["digest"]), tmp_path / "former.parquet")
    with pytest.raises(InputError, match=r"an index of ctct .* run ctct index again"):
        read_index(tmp_path / "former.parquet")
    scans.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="which are not there"):
        next(read_index(tmp_path / "i.parquet").cases())


def test_the_command(ctct: Callable[..., Any], scans: Path, tmp_path: Path) -> None:
    outcome = ctct("index", scans, "-o", tmp_path / "x" / "i.parquet")
    assert outcome.code == 0
    assert outcome.out == f"7 scans; index in {tmp_path / 'x' / 'i.parquet'}\n"
    assert ctct("index", tmp_path / "gone", "-o", tmp_path / "i.parquet").code == 4
    assert not (tmp_path / "i.parquet").exists()


def test_without_pyarrow_the_remedy_is_named(
    ctct: Callable[..., Any], scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for arguments in (
        ("index", scans, "-o", tmp_path / "i.parquet"),
        ("predict", "--index", tmp_path / "i.parquet", "-o", tmp_path / "out"),
    ):
        outcome = ctct(*arguments)
        assert outcome.code == 5
        assert "pyarrow, which is not installed" in outcome.err
        assert "[cohort]" in outcome.err
