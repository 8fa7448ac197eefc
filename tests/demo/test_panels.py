"""The parts of the page beside the viewer."""

from __future__ import annotations

import base64
import re
import shlex
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ctct.cases.read import read_study
from ctct.errors import InputError, ModelError, RuntimeUnavailableError
from ctct.inference.segmentation import Segmentation
from ctct.io.study import Study
from ctct.measurement.volumes import Measurements
from ctct.model_files.model_file import ModelFile

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo import panels
from ctct.demo.analysis import Labelled, measure_labels
from ctct.demo.panels import commands_text, comparison_html, describe_error, downloads_html
from ctct.demo.settings import is_loopback


def test_a_typed_error_is_shown_without_the_folder_of_the_scan() -> None:
    path = Path("/private/ab12/scan.nii.gz")
    assert describe_error(InputError(f"{path}: truncated"), path) == "scan.nii.gz: truncated"


def test_a_typed_error_is_shown_without_the_folder_of_the_model() -> None:
    error = ModelError("/srv/models/own.onnx: damaged (a/b); make it with ctct export")
    text = describe_error(error, Path("/private/ab12/scan.nii.gz"))
    assert text == "own.onnx: damaged (a/b); make it with ctct export"


def test_any_other_error_gets_a_general_message() -> None:
    text = describe_error(RuntimeError("secret of /private/ab12"), Path("scan.nii.gz"))
    assert "secret" not in text
    assert "NIfTI" in text


def test_without_pydicom_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dicom.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1", b"\0" * 128 + b"DICM")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(RuntimeUnavailableError) as caught:
        read_study(path)
    text = describe_error(caught.value, path)
    assert text == "dicom.zip: reading DICOM needs pydicom; the server lacks the extra 'dicom'"


def test_a_download_carries_the_file() -> None:
    link = downloads_html({"<odd> name_seg.nii.gz": b"\x00label map"})
    content = re.search(r"base64,([^\"]+)\"", link)
    assert content is not None
    assert base64.b64decode(content[1]) == b"\x00label map"
    assert 'download="&lt;odd&gt; name_seg.nii.gz"' in link


def test_commands_follow_the_settings() -> None:
    options = {"model": "own.onnx", "runtime": "auto"}
    text = commands_text(["my scan.nii.gz"], options, "http://here/", "openvino")
    assert shlex.split(text.splitlines()[0]) == [
        *("ctct", "predict", "my scan.nii.gz", "-o", "results", "--model", "own.onnx")
    ]
    assert "load_model(model='own.onnx')" in text
    assert "handle_file('my scan.nii.gz'), 'openvino', api_name='/segment'" in text
    compile(text.split("\n\n", 1)[1], "shown", "exec")
    plain = commands_text(["a.nii"], {"model": "default"}, "http://here/", "openvino")
    assert plain.startswith("ctct predict a.nii -o results\n")


def labelled(engine: str, labels: list[int], seconds: float) -> Labelled:
    study = Study("one", np.zeros((1, 1, 1, len(labels)), np.float32), (1.0, 1.0), 8.0)
    array = np.array(labels, np.uint8).reshape(study.voxels.shape)
    found = Segmentation(study, array, np.zeros(array.shape, np.float16))
    return Labelled(engine, ModelFile(Path("m.onnx")), "r on cpu", found, seconds)


def test_two_engines_side_by_side() -> None:
    text = comparison_html(labelled("a", [1, 1, 2, 3], 0.5), labelled("b", [1, 2, 2, 3], 0.25))
    assert "<td>0.50</td><td>0.25</td>" in text
    assert "<td>2</td><td>4</td>" in text  # slices/s
    assert "The same label in 75.000 % of the voxels" in text
    # 2·1 / (2 + 1) of either, all of the LV.
    assert "RV 0.6667, MYO 0.6667, LV 1.0000" in text


def test_what_is_measured_already_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = labelled("a", [1, 1, 2, 3], 0.5), labelled("b", [1, 2, 3, 3], 0.25)
    measured = measure_labels(first.segmentation)
    expected = comparison_html(first, second)
    measures = []

    def count(segmentation: Segmentation) -> Measurements:
        measures.append(segmentation)
        return measure_labels(segmentation)

    monkeypatch.setattr(panels, "measure_labels", count)
    assert comparison_html(first, second, measured) == expected
    assert measures == [second.segmentation]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
