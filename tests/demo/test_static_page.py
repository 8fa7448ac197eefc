"""The page that segments in the browser, in a real browser; and how its files are made."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browser_site import npm_packages, serving

from ctct.demo import static_page
from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.inference.segmenter import ModelSpec
from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.prediction.case_result import analyze_case
from ctct.synthetic import synthetic_cine

Visit = Callable[..., Any]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the page."""
    folder = tmp_path_factory.mktemp("site")
    static_page.write_static_page(folder, node_modules=npm_packages())
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with serving(site) as url:
        yield url


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Visit]:
    """Open the page with an empty cache; it keeps the addresses that were requested."""
    contexts = []

    def visit(path: str | None = None, script: str = "", **options: Any) -> Any:
        usual = {"viewport": {"width": 1366, "height": 768}, "reduced_motion": "reduce"}
        contexts.append(browser.new_context(**usual | options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.requested = []
        contexts[-1].on("request", lambda request: page.requested.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(address if path is None else path)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def small_cine() -> Study:
    """Six phases of five slices of the synthetic cine."""
    study, _ = synthetic_cine(0, 6)
    return replace(study, name="small", voxels=np.ascontiguousarray(study.voxels[:, 2:9:1][:, :5]))


def drop(page: Any, *paths: Path) -> None:
    page.locator("#choose-files").set_input_files(list(paths))


def message(page: Any) -> str:
    """The line that the page shows when it has stopped working."""
    page.locator("#progress").wait_for(state="hidden")
    page.locator("#message").wait_for()
    return page.locator("#message").inner_text()


def wait_for_result(page: Any) -> None:
    page.locator("#result:visible, #message:visible").first.wait_for(timeout=240_000)
    assert not page.locator("#message").is_visible(), page.locator("#message").inner_text()


@pytest.mark.slow
def test_results_are_those_of_predict_and_nothing_leaves_the_host(
    open_page: Visit, address: str, small_cine: Study, tmp_path: Path
) -> None:
    scan = tmp_path / "small.nii.gz"
    scan.write_bytes(encode_study(small_cine, np.zeros(small_cine.voxels.shape, np.uint8))["small"])
    page = open_page()
    drop(page, scan)
    wait_for_result(page)
    with ModelSpec(device="cpu", precision="fp32").load() as segmenter:
        expected = analyze_case(segmenter.segment(small_cine))
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "small_seg.nii.gz"
    download.value.save_as(tmp_path / "labels.nii.gz")
    labels = nib.load(tmp_path / "labels.nii.gz")
    assert labels.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(labels.affine, nib.load(scan).affine)
    got = np.asarray(labels.dataobj).transpose(3, 2, 1, 0)
    assert np.count_nonzero(got != expected.labels) <= 2e-5 * got.size
    rows = dict(
        page.locator("#indices tr").evaluate_all(
            "rows => rows.map(row => [row.cells[0].textContent, row.cells[1].textContent])"
        )
    )
    indices = expected.measurements.indices
    for name, index in (
        ("EDV (mL)", "LVEDV (mL)"),
        ("ESV (mL)", "LVESV (mL)"),
        ("EF (%)", "LVEF (%)"),
    ):
        assert float(rows[name]) == pytest.approx(indices[index], abs=0.1)
    assert page.locator("#verdict").inner_text() == expected.judgement.verdict
    flags = [flag.reason for flag in expected.judgement.flags] or ["No flag was raised."]
    assert page.locator("#flags li").all_inner_texts() == flags
    assert all(url.startswith((address, "blob:", "data:")) for url in page.requested)
    check_editing(page, labels, got, tmp_path / "edited.zip")

    # Loaded once: a later visit takes the networks from the browser's own cache.
    assert sum(url.split("?")[0].endswith(".onnx") for url in page.requested) == 2
    page.reload()
    page.requested.clear()
    drop(page, scan)
    page.locator("#stage").filter(has_text="segmenting").wait_for(timeout=120_000)
    assert not any(url.split("?")[0].endswith((".onnx", ".wasm")) for url in page.requested)

    # A second scan waits, and the first can be cancelled.
    drop(page, scan)
    page.locator("#message").filter(has_text="A scan is being segmented").wait_for()
    assert page.locator("#progress").is_visible()
    page.locator("#cancel").click()
    assert message(page) == "Cancelled."


def check_editing(page: Any, automatic: Any, labels: np.ndarray, path: Path) -> None:
    """Delete the LV of a slice, and save: numbers and files follow."""
    page.locator("#edit").click()
    page.get_by_role("button", name="Delete in slice").click()
    deleted = labels[0, 2] == 3  # ED, the middle of five slices
    page.locator("#numbers").filter(has_text=f"edited: {deleted.sum()} voxels").wait_for()
    page.locator("#flags").filter(has_text="the labels were edited by hand").wait_for()
    assert page.locator("#verdict").inner_text() in ("review", "reject")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save edited").click()
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        content = gzip.decompress(archive.read("edited/small_seg.nii.gz"))
        assert "edited voxels" in archive.read("edited/measurements.csv").decode()
    edited = nib.Nifti1Image.from_bytes(content)
    np.testing.assert_array_equal(edited.affine, automatic.affine)
    expected = labels.copy()
    expected[0, 2][deleted] = 0
    np.testing.assert_array_equal(np.asarray(edited.dataobj).transpose(3, 2, 1, 0), expected)


def noise(folder: Path) -> Path:
    """A scan that shows no heart."""
    voxels = np.random.default_rng(0).integers(0, 900, (40, 36, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([1.5, 1.5, 8, 1])), folder / "noise.nii")
    return folder / "noise.nii"


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that are no scan, by a part of the line that the page must show."""
    scan = nib.Nifti1Image(np.arange(40 * 36 * 3, dtype=np.int16).reshape(40, 36, 3), np.eye(4))
    nib.save(scan, folder / "good.nii.gz")
    nib.save(scan, folder / "good.nii")
    packed, plain = ((folder / name).read_bytes() for name in ("good.nii.gz", "good.nii"))
    with zipfile.ZipFile(folder / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "no scan")
    label_map = nib.Nifti1Image(np.eye(40, dtype=np.uint8)[..., None].repeat(3, 2), np.eye(4))
    nib.save(label_map, folder / "labels.nii")
    small = nib.Nifti1Image(np.ones((8, 8, 3), np.int16), np.eye(4))
    nib.save(small, folder / "tiny.nii")
    blank = nib.Nifti1Image(np.full((40, 40, 3), 7, np.int16), np.eye(4))
    nib.save(blank, folder / "blank.nii")
    broken = nib.Nifti1Image(np.full((40, 40, 3), np.nan, np.float32), np.eye(4))
    nib.save(broken, folder / "nan.nii")
    huge = bytearray(plain)
    huge[40:50] = np.array([4, 2000, 2000, 200, 300], np.int16).tobytes()
    contents = {
        "not a scan that this page reads": ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(3000)),
        "the file is empty": ("empty.nii", b""),
        "the compressed file is damaged": ("cut.nii.gz", packed[: len(packed) // 2]),
        "the compressed file is not NIfTI": ("text.nii.gz", _gzip(b"hello " * 500)),
        "the zip is damaged": ("corrupt.zip", b"PK\x03\x04" + bytes(200)),
        "too many for a browser": ("huge.nii", bytes(huge)),
        "truncated": ("short.nii", plain[:-1000]),
        "copy them again": ("image.dcm", bytes(128) + b"DICM" + bytes(400)),
    }
    files = {
        "holds no DICOM image": folder / "empty.zip",
        "as a label map does": folder / "labels.nii",
        "is this a short-axis image": folder / "tiny.nii",
        "the image is empty": folder / "blank.nii",
        "NaN or infinite": folder / "nan.nii",
    }
    for words, (name, content) in contents.items():
        files[words] = folder / name
        files[words].write_bytes(content)
    return files


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content)


def test_every_bad_file_gets_a_line_that_says_what_is_wrong(
    open_page: Visit, tmp_path: Path
) -> None:
    page = open_page()
    for words, path in bad_files(tmp_path).items():
        drop(page, path)
        page.locator("#message").filter(has_text=words).wait_for(timeout=10_000)
        assert path.name in message(page)
        assert page.locator("#drop").is_visible()
    (tmp_path / "texts" / "more").mkdir(parents=True)
    for name in ("a.txt", "more/b.txt"):
        (tmp_path / "texts" / name).write_text("no scan")
    page.locator("#choose-folder").set_input_files(tmp_path / "texts")
    assert message(page).startswith("texts: holds no DICOM image")
    for script, words in (
        ("transfer.items.add(new File(['hello'], 'dropped.txt'))", "dropped.txt: not a scan"),
        ("transfer.setData('text/plain', 'some words')", "no file was given"),
    ):
        page.evaluate(
            f"() => {{ const transfer = new DataTransfer(); {script};"
            "document.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer})); }"
        )
        page.locator("#message").filter(has_text=words).wait_for()
    drop(page, tmp_path / "labels.nii", tmp_path / "good.nii")
    page.locator("#message").filter(has_text="one scan at a time").wait_for()
    assert not any(url.split("?")[0].endswith(".onnx") for url in page.requested)


@pytest.mark.parametrize("lost", ["**/*.onnx*", "**/*.wasm*", "**/manifest.json", "**/worker.js"])
def test_a_lost_network_is_said_and_the_next_drop_tries_again(
    lost: str, open_page: Visit, tmp_path: Path
) -> None:
    page = open_page()
    page.context.route(lost, lambda route: route.abort())
    for _ in range(2):
        drop(page, noise(tmp_path))
        assert "connection" in message(page)
        page.evaluate("document.getElementById('message').hidden = true")


def test_a_missing_or_wrong_file_of_the_page_is_said(
    open_page: Visit, site: Path, tmp_path: Path
) -> None:
    for name, content in {"runner_wasm.js": None, "ctct-acdc.onnx": b"<html>" * 9}.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        for path in site.iterdir():
            if path.name != name:
                (folder / path.name).symlink_to(path)
        if content is not None:
            (folder / name).write_bytes(content)
        with serving(folder) as url:
            page = open_page(url)
            drop(page, noise(tmp_path))
            assert "networks could not be loaded" in message(page)


def test_what_the_browser_lacks_is_said(open_page: Visit) -> None:
    page = open_page(script="WebAssembly.validate = () => false")
    assert "no WebAssembly SIMD" in page.locator("#message").inner_text()
    assert not page.locator("#drop").is_visible()
    page = open_page(script="delete window.WebAssembly")
    assert "no WebAssembly" in page.locator("#message").inner_text()


def test_without_a_server_or_scripts_the_page_says_what_it_needs(
    open_page: Visit, site: Path, address: str
) -> None:
    for page in (open_page((site / "index.html").as_uri()), open_page(java_script_enabled=False)):
        assert "web server" in page.locator("#message").inner_text()


@pytest.mark.parametrize("width", [1366, 390])
def test_axe_finds_no_error_and_nothing_is_cut_off(
    width: int, open_page: Visit, tmp_path: Path
) -> None:
    axe = npm_packages() / "axe-core" / "axe.min.js"
    page = open_page(viewport={"width": width, "height": 800}, bypass_csp=True)
    page.locator("details summary").click()
    for state in ("empty", "result"):
        if state == "result":
            page.evaluate(
                "for (const id of ['progress', 'result', 'message'])"
                " document.getElementById(id).hidden = false;"
                "document.getElementById('stage').textContent = 'segmenting, 10 %';"
                "document.getElementById('name').textContent = 'scan';"
                "document.getElementById('verdict').textContent = 'review';"
                "document.getElementById('verdict').className = 'badge review'"
            )
        page.add_script_tag(path=axe)
        found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_complete_in_its_folder(site: Path) -> None:
    manifest = json.loads((site / "manifest.json").read_text())
    assert {file["path"] for file in manifest["files"]} <= {path.name for path in site.iterdir()}
    assert set(manifest["diceModels"]) == {"RV", "MYO", "LV"}
    assert set(manifest["baseModel"]) == {"intercept", "weights"}
    for file in manifest["files"]:
        assert (site / file["path"]).stat().st_size == file["bytes"]
    for name in ("index.html", "page.css", "page.js", "worker.js"):
        content = (site / name).read_text("utf-8")
        assert "https://" not in content.replace("http://www.w3.org", ""), name
    licenses = (site / "LICENSES.txt").read_text()
    for name in static_page.BUNDLED:
        assert f"{name} {static_page.package_versions()[name]}, MIT" in licenses


def test_missing_tools_and_packages_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"onnxruntime-web \d.* expected, found none"):
        static_page.write_static_page(tmp_path / "site", node_modules=tmp_path)
    (tmp_path / "onnxruntime-web").mkdir()
    (tmp_path / "onnxruntime-web" / "package.json").write_text('{"version": "1.0.0"}')
    with pytest.raises(ConfigError, match=r"found 1\.0\.0; run npm install"):
        static_page.check_packages(tmp_path)
    with pytest.raises(ModelError, match="ONNX files only"):
        xml = tmp_path / "model.safetensors"
        xml.write_bytes(b"")
        static_page.write_static_page(tmp_path / "site", xml)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeUnavailableError, match=r"needs npm.*install Node\.js"):
        static_page.fetch_packages()
    assert not (tmp_path / "site").exists()


def test_the_command_takes_one_model_and_says_how_to_serve(
    ctct: Callable[..., Any], tmp_path: Path
) -> None:
    refused = ctct("demo", "--static", tmp_path, "--model", "default", "--model", "other.onnx")
    assert refused.code == 2
    assert "one --model" in refused.err
    packages = npm_packages()
    made = ctct("demo", "--static", tmp_path / "site", "--node-modules", packages)
    assert made.code == 0
    assert "http.server" in made.out
    assert (tmp_path / "site" / "index.html").exists()
