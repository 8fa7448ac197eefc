"""One choice: the file, the runtime and the device, with as few questions as possible."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.segmenter import Segmenter
from ctct.io.nifti import encode_study
from ctct.io.study import Study
from ctct.labels import STRUCTURES
from ctct.model_files.model_file import ModelFile, default_model_path, find_model
from ctct.model_files.variant import bf16_path
from ctct.models.checkpoint import load_checkpoint, save_checkpoint
from ctct.runtimes import cuda, machine
from ctct.runtimes.choose import Plan, load_runtime, resolve
from ctct.runtimes.machine import Machine, cpu_computes_in_bf16


class Questions:
    """Counts what is asked: files read, and questions to the driver and the CPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.driver = self.cpu = 0
        self.computes_in_bf16 = True
        read_bytes = Path.read_bytes

        def counted(path: Path) -> bytes:
            self.files.append(path.name)
            return read_bytes(path)

        monkeypatch.setattr(Path, "read_bytes", counted)
        monkeypatch.setattr(cuda, "cuda_devices", self._ask_driver)
        monkeypatch.setattr(machine, "cpu_computes_in_bf16", self._ask_cpu)

    def _ask_driver(self) -> int:
        self.driver += 1
        return 0

    def _ask_cpu(self) -> bool:
        self.cpu += 1
        return self.computes_in_bf16


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Questions:
    return Questions(monkeypatch)


@pytest.mark.parametrize("computes_in_bf16", [True, False])
def test_the_default_model_takes_two_files_and_two_questions(
    questions: Questions, computes_in_bf16: bool
) -> None:
    questions.computes_in_bf16 = computes_in_bf16
    plan = resolve()
    name = "ctct-acdc.bf16" if computes_in_bf16 else "ctct-acdc"
    assert (plan.model.path.name, plan.runtime, plan.device) == (f"{name}.onnx", "openvino", "cpu")
    assert plan.model.heart_crop is not None
    assert questions.files == [f"{name}.onnx", f"{name}.heart_crop.onnx"]
    assert (questions.driver, questions.cpu) == (1, 1)


def test_a_default_prediction_reads_no_more_and_asks_no_more(
    questions: Questions,
    cine: tuple[Study, np.ndarray],
    tmp_path: Path,
    ctct: Callable[..., Any],
) -> None:
    questions.computes_in_bf16 = False  # so that it runs on any CPU
    study = replace(cine[0], voxels=cine[0].voxels[:1, 4:6])
    (tmp_path / "scan.nii.gz").write_bytes(encode_study(study, cine[1][:1, 4:6])[study.name])
    assert ctct("predict", tmp_path / "scan.nii.gz", "-o", tmp_path / "out").code == 0
    models = [name for name in questions.files if name.endswith(".onnx")]
    # Each is read to describe it, and to load it.
    assert sorted(models) == 2 * ["ctct-acdc.heart_crop.onnx"] + 2 * ["ctct-acdc.onnx"]
    assert (questions.driver, questions.cpu) == (1, 1)


def test_without_heart_crops_only_the_model_is_read(questions: Questions) -> None:
    plan = resolve(precision="fp32", heart_crop=False)
    assert plan.model.heart_crop is None
    assert plan.for_heart_crop is None
    assert questions.files == ["ctct-acdc.onnx"]
    assert (questions.driver, questions.cpu) == (1, 0)


def test_a_file_already_read_is_not_read_again(
    default_model: ModelFile, questions: Questions
) -> None:
    assert resolve(default_model, device="cpu", precision="fp32").model is default_model
    assert (
        resolve(default_model, "openvino", heart_crop=False, precision="fp32").model.heart_crop
        is None
    )
    assert questions.files == []
    assert questions.driver == 0


def test_plans_may_share_the_answers_about_the_machine(questions: Questions) -> None:
    shared = Machine()
    for _ in range(2):
        resolve(machine=shared, heart_crop=False)
    assert (questions.driver, questions.cpu) == (1, 1)


def test_nothing_is_read_for_a_request_that_is_refused(questions: Questions) -> None:
    with pytest.raises(ConfigError, match="--runtime tpu"):
        resolve(runtime="tpu")
    with pytest.raises(RuntimeUnavailableError, match="--devices 0: openvino runs on the CPU"):
        resolve(runtime="openvino", gpus=(0,))
    assert questions.files == []


def test_the_plan_for_heart_crops_differs_in_its_file_alone() -> None:
    plan = resolve(device="cpu", precision="fp32")
    assert plan.for_heart_crop == Plan(
        find_model(default_model_path().with_suffix(".heart_crop.onnx")),
        plan.runtime,
        "cpu",
        (),
        plan.reason,
    )


def test_a_model_that_is_missing() -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx: no such model"):
        resolve("gone.onnx", runtime="tensorrt")


class TestPrecision:
    def test_the_bf16_variant_is_used_where_the_cpu_computes_in_it(
        self, default_model: ModelFile, questions: Questions
    ) -> None:
        chosen = resolve(default_model, device="cpu").model
        assert chosen.path == bf16_path(default_model.path)
        assert resolve(default_model, "openvino", precision="bf16").model == chosen
        questions.computes_in_bf16 = False
        assert resolve(default_model, device="cpu").model is default_model
        with pytest.raises(RuntimeUnavailableError, match="this CPU does not compute in it"):
            resolve(default_model, "openvino", precision="bf16")

    def test_other_runtimes_run_the_model_itself(
        self, default_model: ModelFile, questions: Questions
    ) -> None:
        pytest.importorskip("onnxruntime")
        assert resolve(default_model, "onnxruntime").model is default_model
        with pytest.raises(RuntimeUnavailableError, match="bf16: onnxruntime is chosen"):
            resolve(default_model, "onnxruntime", precision="bf16")

    def test_a_model_without_a_variant(self, tmp_path: Path, default_model: ModelFile) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(default_model.path.read_bytes())
        assert resolve(path).model.path == path
        with pytest.raises(RuntimeUnavailableError, match=r"has no model\.bf16\.onnx beside it"):
            resolve(path, precision="bf16")

    def test_a_file_in_bf16_is_its_own_variant(self, default_model: ModelFile) -> None:
        path = bf16_path(default_model.path)
        assert resolve(path, precision="bf16").model.path == path

    def test_the_bundled_variant_is_of_the_same_pair(self, default_model: ModelFile) -> None:
        variant = find_model(bf16_path(default_model.path)).description
        assert variant["precision"] == "bf16"
        for name in ("grid", "member_weights", "validation_dice", "step", "config"):
            assert variant[name] == default_model.description[name]

    @pytest.mark.skipif(not cpu_computes_in_bf16(), reason="needs a CPU that computes in bfloat16")
    def test_the_bundled_variant_keeps_to_the_gate(self, cine: tuple[Study, np.ndarray]) -> None:
        full, half = (
            Segmenter.load(resolve(runtime="openvino", precision=precision))
            .segment(cine[0], clean_up=False)
            .labels
            for precision in ("fp32", "bf16")
        )
        dice = dice_by_structure(half, full)
        assert min(dice[structure] for structure in STRUCTURES) >= 0.998


def test_one_line_says_which_runtime_and_why(caplog: pytest.LogCaptureFixture) -> None:
    plan = resolve(runtime="openvino", device="cpu")
    with caplog.at_level(logging.INFO, "ctct"):
        load_runtime(plan)
        load_runtime(plan, announce=False)
    assert caplog.messages == ["runtime openvino on cpu (as requested)"]


def test_a_run_takes_heart_crops_as_its_export_does(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *load_checkpoint(default_model_path()))
    run, exported = resolve(tmp_path), resolve(runtime="torch")
    slices = np.random.default_rng(0).random((2, 1, 112, 112), np.float32)
    spacing_mm = np.full((2, 2), 1.3, np.float32)
    for plan, same in ((run, exported), (run.for_heart_crop, exported.for_heart_crop)):
        assert plan is not None
        assert same is not None
        predictions = [load_runtime(p)(slices, spacing_mm) for p in (plan, same)]
        np.testing.assert_array_equal(predictions[0].labels, predictions[1].labels)
        np.testing.assert_allclose(*(p.disagreement for p in predictions), atol=1e-6)
    assert resolve(find_model(tmp_path), heart_crop=False).for_heart_crop is None
