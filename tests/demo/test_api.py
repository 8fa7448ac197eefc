"""The page as programs use it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from ctct.io.nifti import encode_study
from ctct.synthetic import synthetic_cine

Stored = Callable[[], list[Path]]

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture
def segment(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Send a file with a new client."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    gradio_client = pytest.importorskip("gradio_client", reason="needs the extra demo")

    def call(path: Path, *arguments: str) -> dict[str, Any]:
        client = gradio_client.Client(url, verbose=False)
        found: dict[str, Any] = client.predict(
            gradio_client.handle_file(path), *arguments, api_name="/segment"
        )
        return found

    return call


def test_the_example_of_the_readme_matches_the_command_line(
    url: str,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ctct: Callable[..., Any],
    stored: Stored,
) -> None:
    marked = r"<!-- demo-api -->\n```python\n(.*?)```"
    (text,) = re.findall(marked, README.read_text(encoding="utf-8"), re.DOTALL)
    assert "http://127.0.0.1:7860" in text
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")  # set by the example
    scan.rename("cine.nii.gz")
    exec(compile(text.replace("http://127.0.0.1:7860", url), "README.md", "exec"), {})
    assert "'LVEF (%)': " in capsys.readouterr().out
    assert ctct("predict", "cine.nii.gz", "-o", "out").code == 0
    for name in ("cine_seg.nii.gz", "measurements.csv", "frames.csv"):
        assert Path(name).read_bytes() == Path("out", name).read_bytes(), name
    assert b"<html" in Path("report.html").read_bytes()
    assert stored() == []


def test_ten_at_once_wait_in_turn_and_each_gets_its_own_result(
    segment: Callable[..., dict[str, Any]], tmp_path: Path, stored: Stored
) -> None:
    """The last two send the same files as the first two, under the same name."""
    slices = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3]
    paths = [tmp_path / str(n) / "scan.nii.gz" for n in range(10)]
    for number, path in zip(slices, paths, strict=True):
        study, labels = synthetic_cine(frames=1, slices=number)
        path.parent.mkdir()
        path.write_bytes(encode_study(study, labels)[study.name])
    with ThreadPoolExecutor(10) as visitors:
        found = list(visitors.map(segment, paths))
    labels = [base64.b64decode(one["files"]["scan_seg.nii.gz"]) for one in found]
    for number, content in zip(slices, labels, strict=True):
        path = tmp_path / "labels.nii.gz"
        path.write_bytes(content)
        assert nib.load(path).shape[2] == number
    assert labels[8:] == labels[:2]
    assert stored() == []


def test_errors_reach_a_program(
    segment: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    stored: Stored,
) -> None:
    bad = tmp_path / "private-name.txt"
    bad.write_bytes(b"private content")
    with pytest.raises(Exception, match=r"^private-name\.txt: not a NIfTI file"):
        segment(bad)
    with pytest.raises(Exception, match=r"'torch': choose one of openvino"):
        segment(bad, "torch")
    assert "private" not in "".join(capfd.readouterr())
    assert stored() == []


def test_a_client_gets_only_its_own_uploads_labelled_and_deletes_no_others(
    url: str, scan: Path, stored: Stored, tmp_path: Path
) -> None:
    httpx = pytest.importorskip("httpx")
    elsewhere = tmp_path / "private.nii.gz"
    elsewhere.write_bytes(scan.read_bytes())

    def post(client: Any, path: str | Path) -> str:
        data = [{"path": str(path), "meta": {"_type": "gradio.FileData"}}, "openvino"]
        begun = client.post(f"{url}gradio_api/call/segment", json={"data": data})
        event = begun.json()["event_id"]
        return str(client.get(f"{url}gradio_api/call/segment/{event}").text)

    def send(client: Any) -> Path:
        with scan.open("rb") as stream:
            sent = client.post(f"{url}gradio_api/upload", files={"files": stream})
        return Path(sent.json()[0])

    with httpx.Client(timeout=60) as alice, httpx.Client(timeout=60) as bob:
        for client in (alice, bob):
            client.get(url)
        hers, his = send(alice), send(bob)
        assert hers.read_bytes() == his.read_bytes()
        uploads_folder = hers.parent.parent
        for path in (
            *(his, his.parent, uploads_folder, uploads_folder.parent, elsewhere),
            *(f"{uploads_folder}/x.nii", f"{hers.parent}/..", "http://127.0.0.1:9/x.nii"),
            *("file:///etc/passwd", "/etc/passwd"),
        ):
            assert "event: error" in post(alice, path), path
            assert set(stored()) == {hers, his}
            assert elsewhere.exists()
        for client, path in ((alice, hers), (bob, his)):
            assert "event: complete" in post(client, path)
            assert not path.exists()
    with httpx.Client(timeout=60) as without_cookie:
        without_cookie.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        assert "event: complete" in post(without_cookie, send(without_cookie))
    assert stored() == []
