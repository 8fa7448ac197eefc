"""What is to be typed to get an extra, for each way in which ctct can have been installed."""

from __future__ import annotations

import json
import os
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from ctct import installation
from ctct.installation import how_to_install, how_to_repair, install_command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="paths and quotes of a POSIX shell")


def checkout(folder: Path, **info: bool) -> dict[str, Any]:
    return {"url": folder.as_uri(), "dir_info": info}


@pytest.mark.parametrize(("info", "option"), [({}, ""), ({"editable": True}, "-e ")])
def test_a_checkout_is_installed_again_in_the_same_way(
    info: dict[str, bool], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "source of ctct"
    folder.mkdir()
    origin = checkout(folder, **info)
    assert install_command(origin, "dicom") == f"pip install {option}'{folder}[dicom]'"
    assert install_command(origin) == f"pip install {option}'{folder}'"
    monkeypatch.chdir(folder)
    assert install_command(origin, "dicom") == f"pip install {option}'.[dicom]'"
    monkeypatch.chdir(tmp_path)
    folder.rmdir()
    gone = f"pip install {option}'.[dicom]' in the folder of ctct's source"
    assert install_command(origin, "dicom") == gone


def test_a_wheel_is_named_by_its_file(tmp_path: Path) -> None:
    wheel = tmp_path / "ctct-0.1.0-py3-none-any.whl"
    origin = {"url": wheel.as_uri(), "archive_info": {}}
    assert install_command(origin, "itk") == "pip install 'ctct-0.1.0-py3-none-any.whl[itk]'"
    wheel.touch()
    assert install_command(origin, "itk") == f"pip install '{wheel}[itk]'"


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({}, "pip install 'ctct[gpu]'"),
        (
            {"url": "https://example.org/ctct.whl", "archive_info": {"hash": "sha256=00"}},
            "pip install 'ctct[gpu] @ https://example.org/ctct.whl'",
        ),
        (
            {
                "url": "https://example.org/ctct.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"},
            },
            "pip install 'ctct[gpu] @ git+https://example.org/ctct.git@v1'",
        ),
        (
            {
                "url": "file:///srv/all.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "ctct",
            },
            "pip install 'ctct[gpu] @ git+file:///srv/all.git@abc#subdirectory=ctct'",
        ),
    ],
)
def test_from_elsewhere(origin: dict[str, Any], command: str) -> None:
    assert install_command(origin, "gpu") == command
    assert install_command(origin, "gpu", "uv") == f"uv {command}"


def test_a_quote_in_the_name_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "o'neill"
    folder.mkdir()
    command = f"""pip install '{tmp_path}/o'"'"'neill[dicom]'"""
    assert install_command(checkout(folder), "dicom") == command


class Installed(Distribution):
    """A distribution with the given files."""

    def __init__(self, **files: str) -> None:
        self._files = files

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename.removesuffix(".json"))

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("distribution", "command"),
    [
        (Installed(), "pip install 'ctct[dicom]'"),
        (Installed(direct_url="damaged", INSTALLER="uv\n"), "uv pip install 'ctct[dicom]'"),
        (
            Installed(direct_url=json.dumps({"url": "https://e.org/c.whl", "archive_info": {}})),
            "pip install 'ctct[dicom] @ https://e.org/c.whl'",
        ),
    ],
)
def test_the_installed_copy(
    distribution: Installed, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    egg_info = Installed()  # of a checkout that Python runs in; it is found first
    monkeypatch.setattr(installation, "distributions", lambda name: [egg_info, distribution])
    installation._origin.cache_clear()
    try:
        assert how_to_install("dicom") == command
        again = command.replace("[dicom]", "").replace("install", "install --force-reinstall", 1)
        assert how_to_repair() == again
    finally:
        installation._origin.cache_clear()


def test_no_message_has_a_command_of_its_own() -> None:
    root = Path(__file__).resolve().parents[2]
    files = [p for top in ("ctct", "cli", "demo", "exporters") for p in (root / top).rglob("*.py")]
    assert files
    ours = [p.name for p in files if "pip install 'ctct" in p.read_text("utf-8")]
    assert ours == ["installation.py"]  # the example of a docstring
