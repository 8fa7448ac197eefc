from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ctct.errors import ModelError
from ctct.model_files.former_names import current_description
from ctct.model_files.model_file import default_model_path, find_model
from ctct.model_files.variant import bf16_path, heart_crop_path


def test_the_bundled_model_describes_itself_as_the_onnx_package_reads_it() -> None:
    onnx = pytest.importorskip("onnx")
    model = find_model()
    entries = {e.key: json.loads(e.value) for e in onnx.load(model.path).metadata_props}
    assert model.description == current_description(entries)
    assert model.description["config"]["optimizer"] == "adamw"
    assert model.description["config"]["heart_crop_size"] == 96
    assert model.description["labels"] == {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
    assert model.description["license"].startswith("CC BY-NC-SA")
    assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()


def test_the_bundled_model_is_small_and_self_contained() -> None:
    path = default_model_path()
    grids = (path, bf16_path(path))
    files = {*grids, *map(heart_crop_path, grids)}  # and no weights in files beside them
    assert set(path.parent.glob("*.onnx*")) == files
    assert find_model().heart_crop == find_model(heart_crop_path(path))
    assert all(file.stat().st_size <= 25e6 for file in files)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.onnx", None, "no such model; train one"),
        ("model.txt", b"", "not a model; give an .onnx, .xml or .engine"),
        ("empty.onnx", b"", "make one with ctct export"),
        ("text.onnx", b"no protocol buffer at all", "make one with ctct export"),
        ("cut.onnx", "half of the bundled model", "make one with ctct export"),
    ],
)
def test_refuses_a_file_that_is_no_model(
    tmp_path: Path, name: str, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        whole = default_model_path().read_bytes()
        content = whole[: len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        find_model(path)
    assert name in str(caught.value)


def test_a_run_folder_means_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    model = find_model(tmp_path)
    assert model.path == tmp_path / "model.safetensors"
    assert not model.is_onnx


class TestOpenVinoFormat:
    def write(self, folder: Path, sidecar: str | None) -> Path:
        path = folder / "model.xml"
        path.write_bytes(b"<net/>")
        path.with_suffix(".bin").write_bytes(b"weights")
        if sidecar is not None:
            (folder / "model.xml.json").write_text(sidecar)
        return path

    def test_its_sidecar_describes_it(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, json.dumps({"description": {"grid": {"size": 64}}}))
        model = find_model(path)
        assert model.description == {"grid": {"size": 64}}
        assert (model.is_onnx, model.is_engine) == (False, False)
        assert model.sha256 == hashlib.sha256(b"<net/>weights").hexdigest()

    @pytest.mark.parametrize(
        ("sidecar", "message"),
        [(None, "keep the two together"), ("{", "damaged"), ('{"description": {}}', "damaged")],
    )
    def test_without_a_whole_sidecar(
        self, sidecar: str | None, message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ModelError, match=rf"model\.xml\.json: .*{message}"):
            find_model(self.write(tmp_path, sidecar))

    def test_without_its_weights(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "{}")
        path.with_suffix(".bin").unlink()
        with pytest.raises(ModelError, match=r"model\.bin: no such model"):
            find_model(path)
