"""`ctct node` and `ctct watch`: what they refuse before they start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctct.installation import how_to_install

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "results would go nowhere: give --send-to"),
        (("--send-to", "PACS"), "--send-to PACS: give AETITLE@HOST:PORT"),
        (("-o", "out", "--host", "0.0.0.0"), "--host 0.0.0.0: name those who may send"),
        (("-o", "out", "--ae-title", "A" * 17), "give 1 to 16 printable ASCII characters"),
        (("-o", "out", "--allow-from", "here"), "--allow-from: 'here'"),
        (("-o", "out", "--tls-cert", "a.pem"), "--tls-cert, --tls-key and --tls-ca need each"),
        (("-o", "out", "--send-tls"), "--send-tls needs --tls-cert"),
        (("-o", "out", "--credentials", "none"), "--credentials none: cannot be read"),
        (
            ("-o", "out", "--dicomweb", "http://127.0.0.1:1", "--query", "MR"),
            "--query 'MR': write NAME=VALUE&NAME=VALUE",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(
    ctct: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = ctct("node", "folder", *options)
    assert outcome.code == 2
    assert words in outcome.err


def test_the_extra_is_named_where_it_is_missing(
    ctct: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctct.cli.service.find_spec", lambda package: None)
    outcome = ctct("node", tmp_path, "-o", tmp_path)
    assert outcome.code == 5
    assert how_to_install("node") in outcome.err


def test_credentials_are_user_and_password(ctct: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no separator")
    outcome = ctct("node", tmp_path, "-o", tmp_path, "--credentials", tmp_path / "file")
    assert outcome.code == 2
    assert "write USER:PASSWORD into it" in outcome.err


def test_a_watched_folder_must_exist_and_not_hold_the_results(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = ctct("watch", tmp_path / "none", "-o", tmp_path / "out")
    assert outcome.code == 4
    outcome = ctct("watch", tmp_path, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "choose a folder outside" in outcome.err
