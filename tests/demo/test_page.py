"""The page in a real browser, with the bundled model."""

from __future__ import annotations

import base64
import gc
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.labels import COLORS, STRUCTURES

Visit = Callable[..., Any]


def upload(page: Any, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def whole_scan(page: Any) -> Any:
    """The frame of the viewer that has all of the scan; the first frame was there before."""
    page.get_by_role("link", name="report.html").wait_for()
    page.frame_locator("iframe.ctct-viewer").locator("#frame:enabled").wait_for()
    return page.wait_for_selector("iframe.ctct-viewer").content_frame()


def viewer(page: Any) -> Any:
    """That frame, once it has drawn, at rest in frame 0."""
    frame = whole_scan(page)
    frame.locator("#position").filter(has_text="frame").wait_for()
    if frame.locator("#play").get_attribute("aria-pressed") == "true":  # a browser may not know yet
        frame.locator("#play").click()
    move(frame, "frame", 0)
    return frame


def picture(frame: Any) -> np.ndarray:
    """What the canvas shows: (rows, columns, 3), 0…255."""
    content = frame.evaluate("document.getElementById('canvas').toDataURL()").split(",")[1]
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"), np.int16)


def drawn_pixels(shown: np.ndarray, structure: str) -> int:
    """Pixels in the color of a structure, the opacity of 90 % allowed for."""
    return int((np.abs(shown - np.array(COLORS[structure])).max(axis=-1) < 40).sum())


def move(frame: Any, slider: str, value: int) -> None:
    frame.locator(f"#{slider}").fill(str(value))


@pytest.mark.slow
def test_the_sample_is_shown_with_its_contours(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Try the sample").click()
    first = page.frame_locator("iframe.ctct-viewer")  # soon followed by that of all frames
    first.locator("#position").filter(has_text="frame 0").wait_for()

    frame = viewer(page)
    frame.evaluate("window.sameViewer = true")
    at_ed = picture(frame)
    assert all(drawn_pixels(at_ed, structure) > 300 for structure in STRUCTURES)
    assert "frame 0 (ED)" in frame.locator("#position").inner_text()

    frame.locator("#layer").select_option("none")
    assert all(drawn_pixels(picture(frame), structure) < 30 for structure in STRUCTURES)
    frame.locator("#layer").select_option("Ensemble")
    np.testing.assert_array_equal(picture(frame), at_ed)

    before = frame.evaluate("document.getElementById('canvas').toDataURL()")
    frame.locator("#play").click()
    frame.wait_for_function(
        """before => !document.getElementById("position").innerText.includes("frame 0")
          && document.getElementById("canvas").toDataURL() !== before""",
        arg=before,
    )
    frame.locator("#play").click()

    page.get_by_text("LVEF (%)", exact=True).first.wait_for()
    assert page.locator("#answers .ok").inner_text() == "ok"
    assert frame.evaluate("window.sameViewer"), "the answers must not load the viewer again"
    assert page.locator("#montage img").get_attribute("alt")
    assert "Research use only" in page.inner_text("body")


def test_a_scan_is_labelled_as_on_the_command_line(
    visit: Visit, scan: Path, tmp_path: Path, ctct: Callable[..., Any]
) -> None:
    page = visit()
    upload(page, scan)
    frame = viewer(page)
    ed = picture(frame)
    move(frame, "frame", 1)
    assert "frame 1" in frame.locator("#position").inner_text()
    assert np.any(picture(frame) != ed)
    frame.locator("#canvas").press("ArrowLeft")
    np.testing.assert_array_equal(picture(frame), ed)

    frame.locator("#style").select_option("fill")
    assert np.any(picture(frame) != ed)
    frame.locator("#layer").select_option("disagreement")
    assert all(drawn_pixels(picture(frame), structure) < 300 for structure in ("RV", "MYO"))

    # Playwright belongs to this thread's event loop: downloads first, then the command.
    downloads = {}
    for name in ("label map (NIfTI)", "measurements.csv", "report.html"):
        with page.expect_download() as started:
            page.get_by_role("link", name=name).click()
        downloads[started.value.suggested_filename] = Path(started.value.path()).read_bytes()
    assert ctct("predict", scan, "-o", tmp_path / "out").code == 0
    for name in ("four frames_seg.nii.gz", "measurements.csv"):
        assert downloads[name] == (tmp_path / "out" / name).read_bytes(), name
    assert b"four frames" in downloads["report.html"]


def test_the_server_keeps_no_part_of_a_shown_page(visit: Visit, scan: Path) -> None:
    from gradio.state_holder import SessionState

    renamed = scan.rename(scan.with_name("forget me.nii.gz"))
    page = visit()
    upload(page, renamed)
    page.get_by_role("link", name="report.html").wait_for()
    page.wait_for_timeout(200)
    sessions = [one for one in gc.get_objects() if isinstance(one, SessionState)]
    assert sessions
    assert "forget me" not in "".join(repr(one.config_values) for one in sessions)


def test_no_request_leaves_the_host(visit: Visit, scan: Path, url: str) -> None:
    page = visit()
    upload(page, scan)
    viewer(page)
    page.get_by_role("link", name="report.html").wait_for()
    assert page.requested
    assert [u for u in page.requested if not u.startswith((url, "data:", "blob:"))] == []


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


NOTHING_IN_IT = zipped({"../../outside.dcm": b"no DICOM", "/etc/outside": b"neither"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.nii.gz", b"this is no image", "text.nii.gz: not a NIfTI file"),
        ("cut.nii.gz", b"\x1f\x8b\x08\x00\x00", "cut.nii.gz: "),
        ("cut.zip", NOTHING_IN_IT[:50], "cut.zip: not a usable zip"),
        ("tricks.zip", NOTHING_IN_IT, "tricks.zip: holds no DICOM"),
    ],
    ids=["text", "cut NIfTI", "cut zip", "tricks"],  # a zip holds the time of its making
)
def test_a_bad_file_gets_a_message_and_nothing_is_kept(
    name: str, content: bytes, message: str, visit: Visit, tmp_path: Path
) -> None:
    page = visit()
    bad = tmp_path / name
    bad.write_bytes(content)
    upload(page, bad)
    page.get_by_role("alert").wait_for()
    shown = page.get_by_role("alert").inner_text()
    assert shown.startswith(message)
    assert tempfile.gettempdir() not in shown
    assert page.locator("iframe.ctct-viewer").count() == 0
    page.wait_for_timeout(200)
    files = Path(tempfile.gettempdir()).glob("ctct-demo-*/**/*")
    assert [path for path in files if path.name in (name, "outside.dcm")] == []


def test_a_zip_of_dicom_is_labelled_and_named_after_the_zip(visit: Visit, tmp_path: Path) -> None:
    dicom_support = pytest.importorskip("dicom_support", reason="needs the extra dicom")
    dicom_support.write_cine(tmp_path / "export")
    page = visit()
    upload(page, Path(shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path / "export")))
    assert "frame 0" in viewer(page).locator("#position").inner_text()
    assert page.locator("#answers h2").inner_text().split()[0] == "mine"
    assert not re.search(r"Doe\W|\WJane", page.locator("body").inner_text())
    assert "Doe^Jane" not in page.content()  # "Doe" alone may be in the encoded voxels


def test_ed_and_es_given_together_make_an_ejection_fraction(
    visit: Visit, cine: tuple[Study, np.ndarray], tmp_path: Path
) -> None:
    study, labels = cine
    paths = []
    for phase, number in (("ED", 0), ("ES", 2)):
        one = replace(study, name=f"mine_{phase}", voxels=study.voxels[number : number + 1])
        paths.append(tmp_path / f"{one.name}.nii.gz")
        paths[-1].write_bytes(encode_study(one, labels[number : number + 1])[one.name])
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(paths)
    assert "frame 0 (ED)" in viewer(page).locator("#position").inner_text()
    assert page.locator("#answers h2").inner_text().split()[0] == "mine"
    page.get_by_text("LVEF (%)", exact=True).first.wait_for()
    assert page.locator("#ctct-status").inner_text().startswith("Done: mine")
    page.get_by_role("button", name="The same from the command line").click()
    page.locator("#commands").get_by_text("mine_ED.nii.gz mine_ES.nii.gz").wait_for()


@pytest.mark.slow
def test_two_runtimes_and_each_network_side_by_side(visit: Visit, scan: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra gpu")
    page = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="onnxruntime", exact=True).click()
    page.get_by_label("Each network alone, too").check()
    upload(page, scan)
    page.get_by_role("link", name="by_model.csv").wait_for()
    frame = viewer(page)
    ensemble = picture(frame)
    offered = frame.locator("#layer option").all_inner_texts()
    assert offered[:4] == ["Ensemble", "CNN", "Transformer", "onnxruntime"]
    for layer in offered[1:3]:
        frame.locator("#layer").select_option(layer)
        assert np.any(picture(frame) != ensemble), layer
        assert drawn_pixels(picture(frame), "LV") > 300
    frame.locator("#layer").select_option("Difference to Transformer")
    red = (np.abs(picture(frame) - np.array([209, 27, 27])).max(axis=-1) < 40).sum()
    assert 0 < red < 0.05 * ensemble[..., 0].size

    assert "of 3 models" in page.locator("#answers").inner_text()
    comparison = page.locator("#comparison").inner_text()
    assert "openvino on cpu" in comparison
    assert "onnxruntime on " in comparison
    assert "The same label in 99.9" in comparison


@pytest.mark.slow
def test_a_noisy_sample_is_flagged(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Noisy image").click()
    page.get_by_role("link", name="report.html").wait_for()
    assert page.locator("#answers h2").inner_text().split() == ["synthetic_8_noisy", "review"]
    reasons = page.locator("#answers li").all_inner_texts()
    assert any("the networks disagree more than usual" in reason for reason in reasons)


def test_the_commands_are_copied_with_one_click(visit: Visit, scan: Path, url: str) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    upload(page, scan)
    page.get_by_role("button", name="The same from the command line").click()
    page.locator("#commands").get_by_role("button", name="Copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("ctct predict 'four frames.nii.gz' -o results\n")
    assert f"Client('{url}')" in copied


def test_it_plays_unless_reduced_motion_is_preferred(visit: Visit, scan: Path) -> None:
    page = visit(reduced_motion="no-preference")
    upload(page, scan)
    frame = whole_scan(page)
    frame.locator("#play[aria-pressed=true]").wait_for()
    page.emulate_media(reduced_motion="reduce")
    frame.locator("#play[aria-pressed=false]").wait_for()
    page = visit(reduced_motion="reduce")
    upload(page, scan)
    frame = whole_scan(page)
    frame.locator("#play[aria-pressed=false]").wait_for()
    move(frame, "frame", 0)
    frame.locator("#play").press("Enter")
    frame.locator("#position").filter(has_not_text="frame 0").wait_for()
    frame.locator("#play").press("Enter")
    frame.locator("#canvas").press("ArrowUp")
    moved = frame.locator("#position").inner_text()
    frame.locator("#canvas").press("ArrowDown")
    assert frame.locator("#position").inner_text() != moved


#: Contrast of every visible text with its background, as defined by WCAG 2.
CONTRASTS = """() => {
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = {};
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
    const seen = { visibilityProperty: true, opacityProperty: true };
    if (!words || !node.checkVisibility(seen) || node.closest("script, style")) continue;
    const both = [parse(getComputedStyle(node).color), behind(node)].map(light);
    found[words] = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(scheme: str, visit: Visit, scan: Path) -> None:
    page = visit(color_scheme=scheme)
    upload(page, scan)
    page.get_by_role("link", name="report.html").wait_for()
    contrasts = page.evaluate(CONTRASTS)
    assert "LVEF (%)" in contrasts
    assert {text: round(c, 1) for text, c in contrasts.items() if c < 4.5} == {}


def test_two_visitors_at_once_get_their_own_results(
    visit: Visit, scan: Path, tmp_path: Path
) -> None:
    names = ("one", "two")
    pages = [visit() for _ in names]
    for name, page in zip(names, pages, strict=True):
        copy = tmp_path / f"{name}.nii.gz"
        copy.write_bytes(scan.read_bytes())  # Gradio names an upload's folder after its content
        upload(page, copy)
    for name, page in zip(names, pages, strict=True):
        page.get_by_role("link", name="report.html").wait_for()
        assert page.locator("#answers h2").inner_text().split()[0] == name
        other = names[1 - names.index(name)]
        assert f"{other}_seg.nii.gz" not in page.content()
