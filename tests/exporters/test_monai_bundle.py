from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from ctct.errors import ConfigError
from ctct.exporters.export import export
from ctct.exporters.monai_bundle import INFERENCE, describe, write_monai_bundle
from ctct.exporters.request import ExportRequest
from ctct.inference.segmenter import Segmenter
from ctct.io.nifti import encode_study, read_nifti
from ctct.io.orientation import LONG_AXIS, Orientation, find_orientation
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.variant import Variant
from ctct.synthetic import synthetic_cine

FILES = {
    "LICENSE",
    "configs/inference.json",
    "configs/metadata.json",
    "docs/README.md",
    "models/model.onnx",
    "scripts/__init__.py",
    "scripts/network.py",
    "scripts/orientation.py",
}
#: The keys that MONAI's schema of 2024-07-25 requires.
REQUIRED_KEYS = {
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright"),
    "network_data_format",
}
#: What a user of the bundle does, in a process that has nothing of ctct.
MONAI_RUN = """
import sys
from monai.bundle import run, verify_net_in_out
bundle, scans, labels = sys.argv[1:]
config = f"{bundle}/configs/inference.json"
run(config_file=config, bundle_root=bundle, dataset_dir=scans, output_dir=labels)
affine = [[1.4, 0, 0, 0], [0, 1.4, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1]]
verify_net_in_out(
    "network_def", f"{bundle}/configs/metadata.json", config, "cpu", any=32,
    extra_forward_args={"affine": affine}, bundle_root=bundle,
)
assert not [name for name in sys.modules if name.split(".")[0] == "ctct"]
"""

needs_monai = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("monai", "onnxruntime"))),
    reason="needs MONAI and ONNX Runtime",
)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the bundled model."""
    folder = tmp_path_factory.mktemp("bundle")
    model = find_model()
    write_monai_bundle(folder, model.path, model.description, model.path.with_name("LICENSE"))
    return folder


def test_the_metadata_states_shapes_and_names_of_labels(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text("utf-8"))
    assert metadata.keys() >= REQUIRED_KEYS
    assert metadata["required_packages_version"].keys() == {"nibabel", "onnxruntime"}
    tensors = metadata["network_data_format"]
    image, pred = tensors["inputs"]["image"], tensors["outputs"]["pred"]
    for tensor in (image, pred):
        assert (tensor["num_channels"], tensor["spatial_shape"]) == (1, ["*", "*", "*"])
    assert (image["dtype"], image["format"], image["modality"]) == ("float32", "magnitude", "MR")
    # One channel of label values, which channel_def names: "segmentation" in MONAI's words.
    assert (pred["dtype"], pred["format"], pred["value_range"]) == ("uint8", "segmentation", [0, 3])
    assert pred["channel_def"] == {"0": "background", "1": "RV", "2": "MYO", "3": "LV"}
    assert metadata["data_source"].startswith("ACDC")
    assert "CC BY-NC-SA 4.0" in metadata["copyright"]


def test_it_holds_the_licenses_and_no_path_of_this_machine(bundle: Path) -> None:
    assert files_in(bundle) == FILES | {"models/LICENSE"}
    assert "models/: CC BY-NC-SA 4.0" in (bundle / "LICENSE").read_text("utf-8")
    assert "NonCommercial" in (bundle / "models" / "LICENSE").read_text("utf-8")
    for name in FILES - {"models/model.onnx"}:
        assert str(Path.home()) not in (bundle / name).read_text("utf-8")


def test_its_code_needs_nothing_of_ctct(bundle: Path) -> None:
    for path in (bundle / "scripts").iterdir():
        assert "import ctct" not in path.read_text("utf-8")
        assert "from ctct" not in path.read_text("utf-8")


def test_a_model_without_a_license_says_so() -> None:
    metadata = describe({"ctct_version": "0.1.0"})
    assert metadata["copyright"].endswith("not stated; ask those who trained the model")
    assert metadata["eval_metrics"] == {}


def test_bf16_is_refused() -> None:
    with pytest.raises(ConfigError, match="take --precision fp16"):
        ExportRequest(("onnx", "monai-bundle"), "bf16")


@pytest.mark.slow
def test_an_export_leaves_results_in_the_folder_alone(small_run: Path, tmp_path: Path) -> None:
    results = tmp_path / "monai-bundle" / "eval"
    results.mkdir(parents=True)
    (results / "a_seg.nii.gz").write_bytes(b"labels")
    request = ExportRequest(("monai-bundle",), variant=Variant(("cnn",)), verify=False)
    (artifact,) = export(small_run, tmp_path, request)
    assert artifact.path == tmp_path / "monai-bundle"
    assert files_in(artifact.path) == FILES | {"eval/a_seg.nii.gz"}
    assert {path.name for path in tmp_path.iterdir()} == {"monai-bundle", "monai-bundle.json"}


def oblique_scan(frame: npt.NDArray[np.float32]) -> nib.Nifti1Image:
    """A frame (Z, H, W) in the usual orientation, stored in another one by its affine."""
    left = np.array([1.0, 0, 0])
    columns = left - (left @ LONG_AXIS) * LONG_AXIS
    columns /= np.linalg.norm(columns)
    rows = np.cross(columns, LONG_AXIS)
    lps = np.column_stack((1.3 * rows, -1.4 * columns, 9 * LONG_AXIS))
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ lps
    return nib.Nifti1Image(frame[::-1, :, ::-1].transpose(1, 2, 0), affine)


@needs_monai
@pytest.mark.slow
def test_monai_gives_the_labels_of_the_onnx_file(bundle: Path, tmp_path: Path) -> None:
    from ctct.runtimes.onnx_runtime import OnnxRuntime

    study, truth = synthetic_cine(seed=0, frames=2, slices=4)
    study.voxels[1, 3] = 7  # an empty slice, in which the networks would see a heart
    scans, results = tmp_path / "scans", tmp_path / "results"
    scans.mkdir()
    for stem, content in encode_study(study, truth).items():
        (scans / f"{stem}.nii.gz").write_bytes(content)
    nib.save(oblique_scan(study.voxels[0]), scans / "oblique.nii.gz")
    done = subprocess.run(
        [sys.executable, "-c", MONAI_RUN, bundle, scans, results],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    model = ModelFile(bundle / "models" / "model.onnx", find_model().description)
    segmenter = Segmenter(model, OnnxRuntime(model.path))
    assert files_in(results) == {"synthetic_0_seg.nii.gz", "oblique_seg.nii.gz"}  # none of *_gt
    for name in ("synthetic_0", "oblique"):
        scan = read_nifti(scans / f"{name}.nii.gz")
        expected = segmenter.segment(scan, clean_up=False).labels  # (T, Z, H, W)
        image = nib.load(results / f"{name}_seg.nii.gz")
        np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
        actual = np.asarray(image.dataobj)
        assert actual.dtype == np.uint8
        labels = actual.reshape(*actual.shape[:3], -1).transpose(3, 2, 1, 0)
        assert np.mean(labels == expected) > 0.9999
        assert labels.max() == 3
    assert find_orientation(scan.affine) == Orientation(True, (-3, -1))
    assert not np.asarray(nib.load(results / "synthetic_0_seg.nii.gz").dataobj)[..., 3, 1].any()


def network() -> Any:
    return pytest.importorskip("ctct.exporters.bundle_network", reason="needs MONAI")


AFFINE = np.diag([1.4, 1.4, 8.0, 1.0])
VOLUME = np.random.default_rng(0).normal(500, 100, (1, 64, 64, 3)).astype(np.float32)


@needs_monai
class TestWhatTheBundleRefuses:
    @pytest.mark.parametrize(
        ("volume", "affine", "message"),
        [
            (VOLUME, np.diag([0.0014, 0.0014, 0.008, 1]), "or its unit, in the header"),
            (VOLUME, np.diag([8.0, 1.4, 1.4, 1]), "the third axis must be that of the slices"),
            (VOLUME[:, :20], AFFINE, "20 × 64 pixels are too small"),
            (np.where(VOLUME > 700, np.nan, VOLUME), AFFINE, "NaN or infinite"),
            ((VOLUME > 500) * np.float32(3), AFFINE, "0 to 3 only, as a label map does"),
        ],
    )
    def test_what_is_no_short_axis_scan(
        self, volume: npt.NDArray[np.float32], affine: npt.NDArray[np.float64], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            network().check(volume, affine)

    def test_slices_closer_than_their_pixels_are_taken(self) -> None:
        network().check(VOLUME, np.diag([1.4, 1.4, 0.7, 1]))

    def test_a_header_with_two_voxel_sizes(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(VOLUME[0], np.eye(4))
        nib.save(image, tmp_path / "whole.nii.gz")
        item = {"image": str(tmp_path / "whole.nii.gz")}
        assert network().check_header(item) == item
        image.header["pixdim"][1:4] = (1.4, 1.4, 8)
        nib.save(image, tmp_path / "contradictory.nii.gz")
        with pytest.raises(ValueError, match=r"by pixdim.* by the affine; correct the header"):
            network().check_header({"image": str(tmp_path / "contradictory.nii.gz")})

    def test_an_image_without_voxel_size(self, bundle: Path, monkeypatch: Any) -> None:
        torch = pytest.importorskip("torch")
        module = network()
        monkeypatch.setattr(module.onnxruntime, "InferenceSession", lambda *a, **k: None)
        pair: Callable[..., Any] = module.TrainedPair(bundle / "models" / "model.onnx")
        with pytest.raises(ValueError, match="its voxel size is unknown; give affine"):
            pair(torch.from_numpy(VOLUME[None]))
        with pytest.raises(ValueError, match=r"expected \(batch, frames, X, Y, Z\)"):
            pair(torch.from_numpy(VOLUME))

    def test_a_folder_without_scans(self) -> None:
        evaluator = network().Evaluator([], *[lambda *a: None] * 3)
        with pytest.raises(ValueError, match="no NIfTI files; give their folder as dataset_dir"):
            evaluator.run()


def test_every_component_that_the_configuration_names_exists() -> None:
    names = [part["_target_"] for part in INFERENCE.values() if isinstance(part, dict)]
    own = [name.removeprefix("scripts.network.") for name in names if "." in name]
    assert set(own) == {"TrainedPair", "Evaluator"}
    assert set(own) <= vars(network()).keys()
