from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctct.errors import ConfigError, OutputError
from ctct.model_files.model_file import find_model
from ctct.models.checkpoint import ModelDescription, load_checkpoint
from ctct.training.config import TrainingConfig
from ctct.training.resume import RESUME_FILE
from ctct.training.run import check_folder, check_split, describe_origin, open_run, write_settings
from ctct.training.split import Split


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    with pytest.raises(ConfigError, match="first: there is no run to continue"):
        check_folder(folder, resume=True)
    check_folder(folder, resume=False)
    assert not folder.exists()
    with open_run(folder, resume=False):
        assert folder.is_dir()
    assert not list(folder.iterdir())  # the lock is gone


def test_a_folder_with_a_run(tmp_path: Path) -> None:
    (tmp_path / RESUME_FILE).touch()
    with open_run(tmp_path, resume=True):
        pass
    with (
        pytest.raises(ConfigError, match="holds a run already; continue it with --resume"),
        open_run(tmp_path, resume=False),
    ):
        pass


def test_the_model_of_a_former_run_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ConfigError, match=r"holds model\.safetensors of a run that cannot be cont"):
        check_folder(tmp_path, resume=False)


@pytest.mark.parametrize("resume", [False, True])
def test_another_process_is_kept_out(tmp_path: Path, resume: bool) -> None:
    if resume:
        (tmp_path / RESUME_FILE).touch()
    code = (
        "import sys\nfrom pathlib import Path\nfrom ctct.storage import lock_folder\n"
        f"with lock_folder(Path({str(tmp_path)!r})):\n    print(flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(OutputError, match="another ctct is writing there; wait for it"),
            open_run(tmp_path, resume),
        ):
            pass
        other.communicate(b"")
    with open_run(tmp_path, resume):
        pass


def test_further_processes_of_a_run_take_part(tmp_path: Path) -> None:
    with (
        open_run(tmp_path, resume=False),
        open_run(tmp_path, resume=False, is_first_process=False),
    ):
        pass


def test_a_full_disk(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot be written \(No space left.*--resume") as caught,
        open_run(tmp_path, resume=False),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("former", "changed"),
    [('{"validation": ["d"]}', ""), ('{"validation": ["a", "x"]}', "a, d, x"), ("{", ""), ("", "")],
)
def test_a_run_continues_with_its_validation_patients(
    tmp_path: Path, former: str, changed: str
) -> None:
    (tmp_path / "split.json").write_text(former)
    split = Split(("a",), (), ("d",))
    if changed:
        with pytest.raises(ConfigError, match=f"since the run began: {changed} would change"):
            check_split(tmp_path, split)
    else:
        check_split(tmp_path, split)


def test_settings_and_split_are_read_as_they_were_written(tmp_path: Path) -> None:
    config = TrainingConfig(data=".", steps=7)
    write_settings(tmp_path, config, Split(("a",), ("b", "c"), ("d",), ("e",), "drawn"))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["optimization"]["steps"] == 7  # in groups
    assert TrainingConfig.model_validate(written) == config
    assert json.loads((tmp_path / "split.json").read_text()) == {
        "labelled": ["a"],
        "unlabelled": ["b", "c"],
        "validation": ["d"],
        "left_out": ["e"],
        "method": "drawn",
        "partly_labelled": [],
    }


@pytest.mark.parametrize(
    ("training_data", "expected"),
    [
        ("ACDC", "ACDC; fine-tuned on other data"),
        ("ACDC; fine-tuned on other data", "ACDC; fine-tuned on other data"),  # said once
        ("", "fine-tuned on other data"),
    ],
)
def test_origin_of_a_run_from_another_model(training_data: str, expected: str) -> None:
    initial = ModelDescription({}, 5, (0.5, 0.5), {}, training_data, "CC0")
    assert describe_origin(initial) == {"training_data": expected, "license": "CC0"}


def test_origin_of_a_run_from_the_bundled_model() -> None:
    origin = describe_origin(load_checkpoint(find_model().path)[1])
    assert origin["training_data"].startswith("ACDC (Bernard et al.")
    assert origin["training_data"].endswith("; fine-tuned on other data")
    assert origin["license"].startswith("CC BY-NC-SA 4.0")
