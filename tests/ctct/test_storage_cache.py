from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ctct.storage import cache_folder


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"CTCT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a/engines")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/ctct/engines")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/ctct/engines"),
        ({}, Path.home() / ".cache/ctct/engines"),
    ],
)
def test_where_things_are_kept(environment: dict[str, str], folder: Path) -> None:
    assert cache_folder("engines", environment) == folder
