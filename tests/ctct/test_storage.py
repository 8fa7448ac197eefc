from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctct import storage
from ctct.errors import OutputError
from ctct.storage import (
    cache_folder,
    is_empty,
    lock_folder,
    prepare_folder,
    remove_partials,
    strict_json,
    write_atomic,
)

HOLD = """
import sys, time
from pathlib import Path
from ctct.storage import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_content_arrives_whole_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written .No space left"):
        write_atomic(tmp_path / "a.bin", b"content")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_the_disk_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def note(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        seen.append((is_folder, (tmp_path / "a.bin").exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_atomic(tmp_path / "a.bin", b"content")
    assert seen == [(False, False), (True, True)]


def test_a_file_system_that_forces_no_folder_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomic(tmp_path / "a.bin", b"content")
    assert (tmp_path / "a.bin").read_bytes() == b"content"


def test_a_file_that_does_not_reach_the_disk_is_not_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "a.bin").write_bytes(b"former")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written .Input/output"):
        write_atomic(tmp_path / "a.bin", b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"former"]


def test_only_a_file_without_content_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_bytes(b"\0")
    assert [is_empty(tmp_path / name) for name in ("empty", "full", "missing")] == [
        True,
        False,
        False,
    ]


def test_temporary_files_of_killed_writes_are_removed(tmp_path: Path) -> None:
    for name in (".0123.77.partial", ".hidden", "a.bin"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.bin"]


def test_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"):
        prepare_folder(tmp_path / "out")


def test_json_has_null_for_what_json_lacks() -> None:
    content = {"a": [math.nan, (math.inf, 1.5)], "b": {"c": "NaN"}}
    assert json.loads(strict_json(content)) == {"a": [None, [None, 1.5]], "b": {"c": "NaN"}}


@pytest.mark.skipif(sys.platform != "linux", reason="the folders are those of Linux")
@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"CTCT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a/engines")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/ctct/engines")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/ctct/engines"),
        ({}, Path.home() / ".cache/ctct/engines"),
    ],
)
def test_the_cache_folder(
    environment: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CTCT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder("engines") == folder


@pytest.mark.parametrize("cache", [None, "of the other", "file"])
def test_another_process_is_kept_out_until_the_first_ends(
    cache: str | None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the same cache folder, with another, and without any."""
    caches = tmp_path_factory.mktemp("caches")
    (caches / "file").touch()
    environment = {**os.environ, "CTCT_CACHE": str(caches / cache)} if cache else None
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(OutputError, match="another ctct is writing there"),
            lock_folder(tmp_path),
        ):
            pass
        with lock_folder(tmp_path / "elsewhere"):
            pass
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 10
    while True:
        try:
            with lock_folder(tmp_path):
                break
        except OutputError:
            assert time.monotonic() < until
    assert not list(tmp_path.iterdir())


def test_without_a_cache_folder_the_work_continues_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "file"))
    with lock_folder(tmp_path):
        pass


def test_the_lock_in_the_folder_is_removed_at_the_end_and_one_of_a_killed_run_is_no_lock(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        with lock_folder(tmp_path):
            (lock,) = tmp_path.iterdir()
            assert lock.name.startswith(".")
        assert not list(tmp_path.iterdir())
        lock.touch()  # as after SIGKILL


def test_the_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path):
        raise ZeroDivisionError
    with lock_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_file_that_its_holder_removes_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking: whoever comes next would lock another file."""
    acquire, removed = storage.FileLock.acquire, []

    def late(lock: storage.FileLock, **settings: float) -> object:
        result = acquire(lock, **settings)
        if Path(lock.lock_file).parent == tmp_path and not removed:
            Path(lock.lock_file).unlink()
            removed.append(lock)
        return result

    monkeypatch.setattr(storage.FileLock, "acquire", late)
    with lock_folder(tmp_path):
        assert removed
        process = subprocess.run(
            [sys.executable, "-c", HOLD, str(tmp_path)],
            capture_output=True,
            text=True,
            env={**os.environ, "CTCT_CACHE": str(tmp_path / "other")},
        )
        assert "another ctct is writing there" in process.stderr
