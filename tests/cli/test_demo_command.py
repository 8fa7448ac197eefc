"""`ctct demo`: what it needs, what it warns of, and that it starts without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules))
sys.argv = ["ctct", "demo", "--host", "0.0.0.0"]
from ctct.cli.main import run
run()
"""


def test_without_gradio_it_says_what_to_install(
    ctct: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ctct.demo.app", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = ctct("demo")
    assert outcome.code == 2
    assert "pip install 'ctct[demo]'" in outcome.err


def test_it_serves_warns_leaves_nothing_and_never_loads_torch(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs gradio: pip install 'ctct[demo]'")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    server = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert server.stdout is not None
    try:
        url = server.stdout.readline().split()[0].replace("0.0.0.0", "127.0.0.1")
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert list(tmp_path.glob("ctct-demo-*"))
            assert "default-src 'self'" in answer.headers["content-security-policy"]
    finally:
        server.terminate()
        out, err = server.communicate(timeout=30)
    assert "warning: --host 0.0.0.0 lets others" in err
    assert out.splitlines()[-1] == "False"
    assert list(tmp_path.glob("ctct-*")) == []
