"""The page in a real browser, with the bundled model."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.labels import COLOURS, STRUCTURES

Visit = Callable[[], Any]


@pytest.fixture
def scan(cine: tuple[Study, np.ndarray], tmp_path: Path) -> Path:
    """Four frames of the synthetic cine as a file."""
    study, labels = cine
    path = tmp_path / "four frames.nii.gz"
    path.write_bytes(encode_study(study, labels)[study.name])
    return path


def upload(page: Any, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def viewer(page: Any) -> Any:
    """The frame of the viewer, once it has drawn."""
    frame = page.wait_for_selector("iframe.ctct-viewer").content_frame()
    frame.locator("#position").filter(has_text="phase").wait_for()
    if frame.locator("#play").get_attribute("aria-pressed") == "true":  # a browser may not know yet
        frame.locator("#play").click()
    move(frame, "frame", 0)
    return frame


def picture(frame: Any) -> np.ndarray:
    """What the canvas shows: (rows, columns, 3), 0…255."""
    content = frame.evaluate("document.getElementById('canvas').toDataURL()").split(",")[1]
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"), np.int16)


def drawn_pixels(shown: np.ndarray, structure: str) -> int:
    """Pixels in the colour of a structure, the opacity of 90 % allowed for."""
    return int((np.abs(shown - np.array(COLOURS[structure])).max(axis=-1) < 40).sum())


def move(frame: Any, slider: str, value: int) -> None:
    frame.locator(f"#{slider}").fill(str(value))


@pytest.mark.slow
def test_the_sample_beats_with_its_contours(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Try the sample").click()
    frame = viewer(page)
    at_ed = picture(frame)
    assert all(drawn_pixels(at_ed, structure) > 300 for structure in STRUCTURES)
    assert "phase 0 (ED)" in frame.locator("#position").inner_text()

    frame.locator("#layer").select_option("none")
    assert all(drawn_pixels(picture(frame), structure) < 30 for structure in STRUCTURES)
    frame.locator("#layer").select_option("labels")
    np.testing.assert_array_equal(picture(frame), at_ed)

    frame.locator("#play").click()
    frame.locator("#position").filter(has_not_text="phase 0").wait_for()
    frame.locator("#play").click()
    assert np.any(picture(frame) != at_ed)

    page.get_by_text("LVEF (%)", exact=True).first.wait_for()
    assert page.locator("#answers .ok").inner_text() == "ok"
    assert page.locator("#montage img").get_attribute("alt")
    assert "Research use only" in page.inner_text("body")


def test_a_scan_is_labelled_as_on_the_command_line(
    visit: Visit, scan: Path, tmp_path: Path, ctct: Callable[..., Any]
) -> None:
    page = visit()
    upload(page, scan)
    frame = viewer(page)
    ed = picture(frame)
    took_ms = frame.evaluate(
        """async () => {
          const slider = document.getElementById("frame"), begun = performance.now();
          slider.value = 1;
          slider.dispatchEvent(new Event("input"));
          return performance.now() - begun;
        }"""
    )
    assert took_ms < 100
    assert "phase 1" in frame.locator("#position").inner_text()
    assert np.any(picture(frame) != ed)
    frame.locator("#canvas").press("ArrowLeft")
    np.testing.assert_array_equal(picture(frame), ed)

    frame.locator("#style").select_option("fill")
    assert np.any(picture(frame) != ed)
    frame.locator("#layer").select_option("disagreement")
    assert all(drawn_pixels(picture(frame), structure) < 300 for structure in ("RV", "MYO"))

    # Playwright belongs to this thread's event loop: downloads first, then the command.
    downloads = {}
    for words in ("label map (NIfTI)", "measurements.csv", "report.html"):
        with page.expect_download() as started:
            page.get_by_role("link", name=words).click()
        downloads[started.value.suggested_filename] = Path(started.value.path()).read_bytes()
    assert ctct("predict", scan, "-o", tmp_path / "out").code == 0
    for name in ("four frames_seg.nii.gz", "measurements.csv"):
        assert downloads[name] == (tmp_path / "out" / name).read_bytes(), name
    assert b"four frames" in downloads["report.html"]


def test_no_request_leaves_the_host(visit: Visit, scan: Path, url: str) -> None:
    page = visit()
    upload(page, scan)
    viewer(page)
    page.get_by_role("link", name="report.html").wait_for()
    assert page.requested
    assert [u for u in page.requested if not u.startswith((url, "data:", "blob:"))] == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.nii.gz", b"this is no image", "text.nii.gz: not a NIfTI file"),
        ("cut.nii.gz", b"\x1f\x8b\x08\x00\x00", "cut.nii.gz: "),
    ],
)
def test_a_bad_file_gets_a_message_and_nothing_is_kept(
    name: str, content: bytes, message: str, visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    bad = tmp_path / name
    bad.write_bytes(content)
    upload(page, bad)
    page.get_by_role("alert").wait_for()
    words = page.get_by_role("alert").inner_text()
    assert words.startswith(message)
    assert tempfile.gettempdir() not in words
    assert page.locator("iframe.ctct-viewer").count() == 0
    page.wait_for_timeout(200)
    assert list(Path(tempfile.gettempdir()).glob(f"ctct-demo-*/**/{name}")) == []


def test_two_visitors_at_once_stay_apart(visit: Visit, scan: Path, tmp_path: Path) -> None:
    names = ("one", "two")
    pages = [visit() for _ in names]
    for name, page in zip(names, pages, strict=True):
        own = tmp_path / f"{name}.nii.gz"
        own.write_bytes(scan.read_bytes())  # the same content, so the same upload path but the name
        upload(page, own)
    for name, page in zip(names, pages, strict=True):
        page.get_by_role("link", name="report.html").wait_for()
        assert page.locator("#answers h2").inner_text().split()[0] == name
        other = names[1 - names.index(name)]
        assert f"{other}_seg.nii.gz" not in page.content()
