"""`ctct demo`: its requirements, its warnings, and that it logs no names and leaves no files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.installation import how_to_install

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
    monkeypatch.delitem(sys.modules, "ctct.demo.server", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = ctct("demo")
    assert outcome.code == 2
    assert how_to_install("demo") in outcome.err


def private_scans(folder: Path) -> list[Path]:
    """A scan, two damaged ones, and DICOM with an attribute that pydicom warns of."""
    dicom_support = pytest.importorskip("dicom_support", reason="needs the extra dicom")
    names = [folder / name for name in ("private-1.nii.gz", "private-2.nii", "private-3.zip")]
    write_scan(names[0])
    for path in names[1:]:
        path.write_bytes(b"private content")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dicom_support.write_cine(
            folder / "dicom", change=lambda t, z: {"SeriesInstanceUID": "private"}
        )
    return [*names, Path(shutil.make_archive(str(folder / "private-4"), "zip", folder / "dicom"))]


@pytest.mark.slow
def test_the_server_warns_logs_no_names_leaves_no_files_and_never_loads_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio", reason="needs the extra demo")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    from gradio_client import Client, handle_file

    scans = private_scans(tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)}
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
            assert list(temporary.glob("ctct-demo-*"))
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        client = Client(url, verbose=False)
        for scan in scans[1:3]:
            with pytest.raises(Exception, match=f"^{scan.name}: "):
                client.predict(handle_file(scan), api_name="/segment")
        for scan in (scans[0], scans[3]):
            found = client.predict(handle_file(scan), api_name="/segment")
            assert found["name"].startswith("private")
    finally:
        server.terminate()
        out, err = server.communicate(timeout=30)
    assert "warning: --host 0.0.0.0 lets others" in err
    assert "private" not in out + err
    assert out.splitlines()[-1] == "False"
    assert list(temporary.glob("ctct-*")) == []
