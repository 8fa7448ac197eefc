"""Editing contours in a real browser: the viewer by itself, and inside the page of the demo."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browser_site import npm_packages
from tests_support import phantom, scan_of

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.cases.discover import discover
from ctct.correction.measure import measure_folder
from ctct.demo.editing import edit_data
from ctct.demo.viewer import viewer_page
from ctct.inference.segmentation import Segmentation
from ctct.inference.segmenter import Segmenter
from ctct.io.nifti import encode_study, read_nifti
from ctct.io.study import Study
from ctct.measurement.volumes import frame_volumes
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.case_result import CaseResult, analyze_case
from ctct.prediction.folder import predict_folder
from ctct.prediction.patients import PatientContext

Visit = Callable[..., Any]

#: Milliliters of a voxel of 1 × 1 × 8 mm.
VOXEL_ML = 0.008
DESKTOP = {"viewport": {"width": 1000, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 1500}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    """Three frames of five slices; in frame 0 each has 436 pixels of LV, 560 of MYO, 372 of RV."""
    one = np.kron(phantom(48, 50, 5), np.ones((2, 2), np.uint8)).astype(np.uint8)
    rows, columns = np.indices(one.shape[1:])
    labels = np.stack([one] * 3)
    for t, radius in ((1, 6), (2, 9)):  # the cavity shrinks, and the wall thickens
        far = np.hypot(rows - 48.5, columns - 50.5) > radius
        labels[t][(labels[t] == 3) & far] = 2
    study = Study("heart", scan_of(labels), (1.0, 1.0), 8.0)
    path = tmp_path_factory.mktemp("scan") / "heart.nii.gz"
    path.write_bytes(encode_study(study, labels)["heart"])
    segmentation = Segmentation(read_nifti(path), labels, np.full(labels.shape, 0.002, np.float16))
    return analyze_case(segmentation, name="heart")


@pytest.fixture(scope="module")
def page_file(result: CaseResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer of that scan as a file."""
    assert result.disagreement is not None
    segmentation = Segmentation(result.study, result.labels, result.disagreement)
    edit = edit_data(segmentation, result, PatientContext())
    layers = {"Labels": result.labels, "Other": np.roll(result.labels, 3, -1)}
    path = tmp_path_factory.mktemp("viewer") / "viewer.html"
    path.write_text(viewer_page(segmentation, result.measurements, layers, edit), "utf-8")
    return path


@pytest.fixture
def open_viewer(browser: Any, page_file: Path) -> Iterator[Visit]:
    """Open the viewer and its tools, with the brush at its smallest."""
    contexts = []

    def visit(**options: Any) -> Any:
        contexts.append(browser.new_context(reduced_motion="reduce", **DESKTOP | options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(page_file.as_uri())
        page.locator("#edit:enabled").click()
        page.locator("#brush-size").fill("1")
        return page

    yield visit
    for context in contexts:
        for page in context.pages:
            assert page.errors == []
        context.close()


def place(page: Any, row: float, column: float) -> tuple[float, float]:
    """Where the middle of a pixel is on the screen; shown are rows 10 to 87, columns 3 to 80."""
    box = page.locator("#canvas").bounding_box()
    side = min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    return left + (column - 3 + 0.5) * side / 78, top + (row - 10 + 0.5) * side / 78


def stroke(page: Any, *places: tuple[float, float], kind: str = "mouse") -> None:
    """Press at the first place, move to the others, and let go."""
    points = [place(page, *at) for at in places]
    page.evaluate(
        """([points, kind]) => {
          const canvas = document.getElementById("canvas");
          canvas.setPointerCapture = () => {}; // of a pointer that a script makes
          const fire = (name, [x, y]) => canvas.dispatchEvent(new PointerEvent(name, {
            clientX: x, clientY: y, pointerType: kind, pointerId: 1, isPrimary: true}));
          fire("pointerdown", points[0]);
          for (const point of points.slice(1)) fire("pointermove", point);
          fire("pointerup", points.at(-1));
        }""",
        [points, kind],
    )


def said(page: Any) -> str:
    return str(page.locator("#said").inner_text())


def numbers(page: Any) -> str:
    return str(page.locator("#numbers").inner_text())


def press(page: Any, name: str) -> str:
    page.get_by_role("button", name=name).click()
    return said(page)


def choose(page: Any, *names: str) -> None:
    for name in names:
        page.get_by_label(name, exact=True).check()


def save(page: Any, folder: Path) -> dict[str, bytes]:
    """The files in the zip that is saved."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save edited").click()
    assert download.value.suggested_filename == "heart_edited.zip"
    download.value.save_as(folder / "edited.zip")
    with zipfile.ZipFile(folder / "edited.zip") as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def saved_labels(files: dict[str, bytes]) -> tuple[Any, np.ndarray]:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(files["edited/heart_seg.nii.gz"]))
    return image, np.asarray(image.dataobj).transpose(3, 2, 1, 0)


@pytest.mark.parametrize(
    ("options", "kind"),
    [(DESKTOP, "mouse"), (PHONE, "touch"), (DESKTOP, "pen")],
    ids=["desktop", "phone", "pen"],
)
def test_a_stroke_of_50_pixels_changes_lvedv_by_their_volume(
    options: dict[str, Any],
    kind: str,
    open_viewer: Visit,
    result: CaseResult,
    tmp_path: Path,
) -> None:
    page = open_viewer(**options)
    choose(page, "Brush", "LV")
    # 5 · 436 voxels are 17.44 mL. 50 pixels of row 20, where there is no heart, are 0.4 mL.
    stroke(page, (20, 10), (20, 30), (20, 59), kind=kind)
    assert numbers(page).startswith("edited: 50 voxels in 1 frame; LVEDV 17.8 mL")
    page.locator("#frame").fill("2")
    page.locator("#frame").fill("0")
    assert numbers(page).startswith("edited: 50 voxels in 1 frame; LVEDV 17.8 mL")
    files = save(page, tmp_path)
    image, labels = saved_labels(files)
    original = nib.Nifti1Image.from_bytes(gzip.decompress(result.encode_labels()))
    np.testing.assert_array_equal(image.affine, original.affine)
    assert image.header["descrip"].item().decode().startswith("edited: 50 voxels in 1 frame, ctct ")
    assert np.argwhere(labels != result.labels).tolist() == [[0, 2, 20, x] for x in range(10, 60)]
    assert set(labels[labels != result.labels]) == {3}
    edv = frame_volumes(labels, result.study.voxel_ml)[0].volume_ml["LV"]
    before = result.measurements.indices["LVEDV (mL)"]
    assert edv - before == pytest.approx(50 * VOXEL_ML, abs=1e-9)
    (row,) = csv.DictReader(io.StringIO(files["edited/measurements.csv"].decode()))
    assert (row["LVEDV (mL)"], row["edited voxels"], row["verdict"]) == ("17.84", "50", "review")
    assert row["edited with"].startswith("ctct ")
    frames = list(csv.DictReader(io.StringIO(files["edited/frames.csv"].decode())))
    assert [frame["edited voxels"] for frame in frames] == ["50", "0", "0"]
    assert [u for u in page.requested if not u.startswith(("file:", "data:", "blob:"))] == []


def test_what_is_saved_is_measured_to_the_voxel(
    open_viewer: Visit, result: CaseResult, threshold: Segmenter, tmp_path: Path
) -> None:
    page = open_viewer()
    choose(page, "Brush", "LV")
    stroke(page, (20, 10), (20, 59))
    assert result.study.path is not None
    out = tmp_path / "out"
    cases, _ = discover([result.study.path])
    predict_folder(cases, out, threshold.model, lambda model: threshold, PredictOptions())
    for name, content in save(page, tmp_path).items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(content)
    _, (patient,) = measure_folder(out)
    before = result.measurements.indices["LVEDV (mL)"]
    change = patient.measurements.indices["LVEDV (mL)"] - before
    assert change == pytest.approx(50 * VOXEL_ML, abs=1e-6)


def test_a_stroke_of_the_mouse_is_told_while_it_is_drawn(open_viewer: Visit) -> None:
    page = open_viewer()
    choose(page, "Eraser")
    page.mouse.move(*place(page, 48, 45))
    page.mouse.down()
    page.mouse.move(*place(page, 48, 54), steps=5)
    assert numbers(page).startswith("edited: 10 voxels")  # while it is drawn
    page.mouse.up()
    assert numbers(page).startswith("edited: 10 voxels in 1 frame; LVEDV 17.4 mL")  # -0.08


def test_slices_are_deleted_copied_interpolated_and_switched_off(open_viewer: Visit) -> None:
    page = open_viewer()
    choose(page, "LV")
    assert press(page, "Delete in slice") == "Deleted LV in slice 2, frame 0."
    assert numbers(page).startswith("edited: 436 voxels in 1 frame; LVEDV 14.0 mL")
    assert press(page, "Delete in slice") == "There is no LV in slice 2, frame 0."
    # All slices are alike: what is between two of them, or beside, is the slice as it was.
    assert press(page, "Interpolate slice") == "Interpolated LV between slices 1 and 3."
    assert numbers(page).startswith("not edited; LVEDV 17.4 mL")
    choose(page, "All")
    press(page, "Delete in slice")
    assert numbers(page).startswith("edited: 1368 voxels")
    page.get_by_label("Copy from").select_option("the slice after")
    assert press(page, "Copy from") == "Copied labels from the slice after."
    assert numbers(page).startswith("not edited")
    page.get_by_label("Copy from").select_option("the frame after")
    press(page, "Copy from")
    # Of 436 pixels of LV, those beyond 6 pixels of the middle are MYO in frame 1.
    within = sum((y - 48.5) ** 2 + (x - 50.5) ** 2 <= 36 for y in range(96) for x in range(100))
    assert numbers(page).startswith(f"edited: {436 - within} voxels in 1 frame")
    press(page, "Undo")
    page.locator("#slice").fill("0")
    assert (
        press(page, "Interpolate slice") == "Interpolation needs labels in a slice on either side."
    )
    page.get_by_label("Copy from").select_option("the slice before")
    assert press(page, "Copy from") == "There is no slice before; nothing was copied."
    page.get_by_label("in all frames").check()
    assert press(page, "Switch slice off") == "Slice 0 counts no more."
    assert numbers(page).startswith("edited: 4104 voxels in 3 frames; LVEDV 14.0 mL")
    stroke(page, (20, 10), (20, 12))
    assert said(page) == "This slice is switched off; switch it on to edit it."
    assert press(page, "Switch slice on") == "Slice 0 counts again."
    assert numbers(page).startswith("not edited")


def test_a_push_moves_the_contour_and_a_press_alone_does_not(
    open_viewer: Visit, result: CaseResult, tmp_path: Path
) -> None:
    page = open_viewer()
    choose(page, "Push contour")
    stroke(page, (48, 55))
    assert said(page) == "The stroke changed no pixel."
    stroke(page, (48, 55), (48, 60))  # the LV ends 7 pixels from the first place, at column 62
    _, labels = saved_labels(save(page, tmp_path))
    at = np.argwhere(labels != result.labels)
    assert len(at) > 10
    assert set(labels[labels != result.labels]) == {3}
    assert set(result.labels[labels != result.labels]) == {2}
    assert at[:, 3].max() in (66, 67)  # by 5 pixels
    assert at[:, 3].min() >= 55


def test_what_cannot_be_done_is_said_and_changes_nothing(open_viewer: Visit) -> None:
    page = open_viewer()
    assert press(page, "Undo") == "There is nothing to undo."
    assert press(page, "Redo") == "There is nothing to redo."
    choose(page, "Brush", "All")
    stroke(page, (20, 10), (20, 20))
    assert said(page) == "Choose LV, MYO or RV to paint."
    choose(page, "LV")
    stroke(page, (-9, -20), (-8, -25))
    assert said(page) == "The stroke lies outside the picture; nothing was changed."
    stroke(page, (20, 10), (20, 19))
    assert press(page, "Undo") == "Undone."
    assert press(page, "Undo") == "There is nothing to undo."
    assert press(page, "Redo") == "Done again."
    assert numbers(page).startswith("edited: 10 voxels")
    x, y = place(page, 30, 30)
    page.evaluate(
        """([x, y]) => {
          const canvas = document.getElementById("canvas");
          canvas.setPointerCapture = () => {};
          for (const name of ["pointerdown", "pointercancel"])
            canvas.dispatchEvent(new PointerEvent(name,
              {clientX: x, clientY: y, isPrimary: true, pointerId: 1}));
        }""",
        [x, y],
    )
    assert said(page) == "The stroke was interrupted; nothing was changed."
    assert numbers(page).startswith("edited: 10 voxels")


def test_ed_and_es_follow_a_click_on_the_curve(open_viewer: Visit) -> None:
    page = open_viewer()
    curve = page.locator("#curve")
    box = curve.bounding_box()
    middle = {"x": (38 + (320 - 38 - 36) / 2) / 320 * box["width"], "y": box["height"] / 2}
    assert "ED 0" in curve.text_content()
    assert press(page, "Move ED").startswith("Click the curve where ED is")
    curve.click(position=middle)  # of three frames, the one in the middle
    assert said(page) == "Frame 1 is ES; choose another one for ED."
    press(page, "Move ES")
    page.locator("#frame").fill("2")
    assert press(page, "Move ES") == "ES is frame 2 now."
    assert "ES 2" in curve.text_content()
    assert press(page, "Undo") == "Undone."
    assert "ES 1" in curve.text_content()
    curve.click(position=middle)
    assert "frame 1 (ES)" in page.locator("#position").inner_text()


def test_everything_works_with_keys_alone(open_viewer: Visit) -> None:
    page = open_viewer()
    canvas = page.locator("#canvas")
    canvas.focus()
    for key in ("b", "1", *["Shift+ArrowUp"] * 30, "Enter", "Shift+ArrowLeft", "Enter"):
        canvas.press(key)
    assert numbers(page).startswith("edited: 2 voxels in 1 frame")
    canvas.press("Control+z")
    assert numbers(page).startswith("edited: 1 voxel in 1 frame")
    canvas.press("Control+Shift+z")
    canvas.press("ArrowRight")
    assert "frame 1" in page.locator("#position").inner_text()
    canvas.press("Control+z")
    assert "frame 0" in page.locator("#position").inner_text(), "what is undone must be seen"
    canvas.press("]")
    assert page.locator("#tools output").inner_text() == "2 mm"
    canvas.press("Delete")
    assert said(page) == "Deleted LV in slice 2, frame 0."


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_tools_are_accessible_and_fit(options: dict[str, Any], open_viewer: Visit) -> None:
    page = open_viewer(**options, bypass_csp=True)
    page.add_script_tag(path=npm_packages() / "axe-core" / "axe.min.js")
    found = page.evaluate(
        """axe.run({rules: {"page-has-heading-one": {enabled: false}}}) // the page around has one
          .then(found => found.violations.map(one => [one.id, one.nodes[0].html]))"""
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
    if options is PHONE:
        sizes = page.locator("button:visible, select:visible, input[type=range]:visible")
        low = sizes.evaluate_all(
            """all => all.filter(one => one.getBoundingClientRect().height < 44)
              .map(one => one.outerHTML)"""
        )
        assert low == []


def upload(page: Any, path: Path) -> Any:
    """The viewer of a scan, with its tools open and the brush at its smallest."""
    page.locator("#upload input[type=file]").set_input_files(path)
    page.get_by_role("link", name="report.html").wait_for(timeout=180_000)
    frame = page.wait_for_selector("iframe.ctct-viewer").content_frame()
    frame.locator("#edit:enabled").click()
    frame.locator("#brush-size").fill("1")
    return frame


def cell(page: Any, index: str) -> float:
    row = page.locator("#answers tbody tr").filter(has_text=index).first
    return float(row.locator("td").first.inner_text())


@pytest.mark.slow
def test_the_page_shows_the_edited_result_and_does_not_lose_it(
    visit: Visit, scan: Path, url: str
) -> None:
    page, other = visit(), visit()
    frame, untouched = upload(page, scan), upload(other, scan)
    edv = cell(page, "LVEDV (mL)")
    page.context.set_offline(True)  # what follows needs no server
    choose(frame, "LV")
    press(frame, "Delete in slice")
    page.locator("#answers .edited:visible").wait_for()
    assert cell(page, "LVEDV (mL)") < edv
    assert page.locator("#answers .badge").inner_text() in ("review", "reject")
    assert "the labels were edited by hand" in page.locator("#answers .reasons").inner_text()
    with page.expect_download() as download:
        frame.get_by_role("button", name="Save edited").click()
    assert download.value.suggested_filename == "four frames_edited.zip"
    page.context.set_offline(False)
    assert page.get_by_role("link", name="label map (NIfTI)").count() == 1  # the automatic one

    press(frame, "Undo")
    page.locator("#answers .edited").wait_for(state="hidden")
    assert cell(page, "LVEDV (mL)") == edv
    press(frame, "Redo")
    press(frame, "Delete in slice")
    choose(frame, "MYO")
    press(frame, "Delete in slice")
    page.locator("#answers .edited").filter(has_text="Edited").wait_for()
    asked = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("button", name="Small heart").click()
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_timeout(1000)
    assert asked == ["confirm", "beforeunload"]
    assert numbers(frame).startswith("edited:")

    assert cell(other, "LVEDV (mL)") == edv
    assert numbers(untouched) == ""
