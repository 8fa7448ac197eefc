from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests_support import write_partly_labelled
from torch import Tensor

from ctct.errors import ConfigError
from ctct.models.checkpoint import load_checkpoint, save_checkpoint
from ctct.training.config import TrainingConfig
from ctct.training.data.batch import TrainingBatch, draw_batch
from ctct.training.interruption import StoppedError
from ctct.training.monitor import DivergedError
from ctct.training.trainer import train, unlabelled_weight_at

SETTINGS = {
    "steps": 4,
    "batch": 4,
    "grid_size": 64,
    "labelled": 1,
    "validate_every": 2,
    "precision": "fp32",
    "warm_up": 0.0,
}


def config(acdc: Path, **changes: object) -> TrainingConfig:
    return TrainingConfig(data=str(acdc), **{**SETTINGS, **changes})


def saved(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "resume.safetensors")


class TestTrain:
    def test_what_it_writes(self, acdc: Path, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        steps: list[int] = []
        scores = train(config(acdc), folder, observe=lambda step, of: steps.append(step))
        assert steps == [1, 2, 3, 4]
        assert {path.name for path in folder.iterdir()} == {
            *("config.json", "split.json", "metrics.csv", "curves.png", "pictures", "tensorboard"),
            *("model.safetensors", "resume.safetensors"),
        }
        assert TrainingConfig.model_validate_json((folder / "config.json").read_bytes()) == config(
            acdc
        )
        assert json.loads((folder / "split.json").read_text()) == {
            "labelled": ["patient099"],
            "unlabelled": ["patient038"],
            "validation": ["patient002"],
            "left_out": [],
            "method": "the published split of ACDC",
            "partly_labelled": [],
        }
        assert [p.name for p in sorted((folder / "pictures").iterdir())] == [
            "step_000002.png",
            "step_000004.png",
        ]
        assert set(scores) == {"cnn", "transformer", "ensemble"}
        assert scores["ensemble"] >= max(scores["cnn"], scores["transformer"])
        graph, description = load_checkpoint(folder)
        assert TrainingConfig(**description.config) == config(acdc)
        assert description.validation_dice == scores
        assert sum(description.member_weights) == pytest.approx(1, abs=1e-6)
        assert all(tensor.isfinite().all() for tensor in graph.parameters())

    def test_stopped_and_continued_is_the_same_run(self, acdc: Path, tmp_path: Path) -> None:
        settings = config(acdc, heart_crop_size=32)
        train(settings, tmp_path / "whole")

        def press_ctrl_c(step: int, steps: int) -> None:
            if step == 3:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(StoppedError, match=r"stopped at step 3 of 4.*--resume -o"):
            train(settings, tmp_path / "parts", observe=press_ctrl_c)
        with pytest.raises(ConfigError, match="holds a run already; continue it with --resume"):
            train(settings, tmp_path / "parts")
        train(settings, tmp_path / "parts", resume=True)
        whole, parts = saved(tmp_path / "whole"), saved(tmp_path / "parts")
        assert whole.keys() == parts.keys()
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, atol=1e-6, rtol=0, msg=name)
        with pytest.raises(ConfigError, match="had its 4 steps; raise --steps"):
            train(settings, tmp_path / "parts", resume=True)

    def test_partly_labelled_patients(
        self, acdc: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two steps on heart crops, whole and in two parts, are the same; the log counts them."""
        caplog.set_level(logging.INFO)
        write_partly_labelled(tmp_path / "children")
        settings = config(
            *(acdc,),
            **{"partly_labelled": [str(tmp_path / "children")], "partly_labelled_share": 0.5},
            **{"steps": 2, "grid_size": 64, "heart_crop_size": 32, "heart_crop_share": 0.9},
        )
        train(settings, tmp_path / "whole")
        assert "2 partly labelled patients (10 slices)" in caplog.text
        assert "of 2 patients without complete labels" in caplog.text
        split = json.loads((tmp_path / "whole" / "split.json").read_text())
        assert split["partly_labelled"] == ["sbj01", "sbj02"]
        with pytest.raises(StoppedError):
            train(
                *(settings, tmp_path / "parts"),
                observe=lambda step, steps: signal.raise_signal(signal.SIGINT),
            )
        train(settings, tmp_path / "parts", resume=True)
        whole, parts = saved(tmp_path / "whole"), saved(tmp_path / "parts")
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, atol=1e-6, rtol=0, msg=name)

    @pytest.mark.slow
    def test_killed_and_continued_is_the_same_run(self, acdc: Path, tmp_path: Path) -> None:
        run, changes = tmp_path / "run", {"steps": 12, "save_every": 2, "validate_every": 12}
        path = tmp_path / "config.json"
        path.write_text(config(acdc, **changes).model_dump_json())
        command = [sys.executable, "-m", "ctct.cli.main", "train", "--config", path, "-o", run]
        command[1:3] = ["-c", "from ctct.cli.main import run; run()"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while not (run / "resume.safetensors").exists() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        train(config(acdc, **changes), run, resume=True)
        train(config(acdc, **changes), tmp_path / "whole")
        whole, parts = saved(tmp_path / "whole"), saved(run)
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, atol=1e-6, rtol=0, msg=name)

    def test_a_run_starts_from_the_weights_of_another(self, acdc: Path, tmp_path: Path) -> None:
        train(config(acdc, steps=1), tmp_path / "first")
        # A rate so small that one step leaves the weights as they were.
        changes = {"init_from": str(tmp_path / "first"), "cnn_rate": 1e-12, "seed": 7}
        train(config(acdc, steps=1, **changes), tmp_path / "second")
        first, second = (load_checkpoint(tmp_path / run)[0] for run in ("first", "second"))
        for name, parameter in first.cnn.named_parameters():
            torch.testing.assert_close(second.cnn.get_parameter(name), parameter, msg=name)

    def test_training_data_and_license_of_the_initial_model_are_kept(
        self, acdc: Path, tmp_path: Path
    ) -> None:
        train(config(acdc, steps=1), tmp_path / "first")
        graph, description = load_checkpoint(tmp_path / "first")
        assert (description.training_data, description.license) == ("", "")
        save_checkpoint(
            tmp_path / "first", graph, replace(description, training_data="A", license="CC0")
        )
        changes = {"init_from": str(tmp_path / "first"), "keep": "last"}
        train(config(acdc, steps=1, **changes), tmp_path / "second")
        train(config(acdc, steps=2, **changes), tmp_path / "second", resume=True)
        _, second = load_checkpoint(tmp_path / "second")
        assert second.step == 2
        assert (second.training_data, second.license) == ("A; fine-tuned on other data", "CC0")

    def test_weights_of_another_grid_are_refused(self, acdc: Path, tmp_path: Path) -> None:
        train(config(acdc, steps=1), tmp_path / "first")
        with pytest.raises(ConfigError, match=r"holds .*grid_size 64.*; the run has .*size 96"):
            train(
                config(acdc, init_from=str(tmp_path / "first"), grid_size=96),
                tmp_path / "second",
            )

    def test_labels_of_unlabelled_patients_change_nothing(self, acdc: Path, tmp_path: Path) -> None:
        def weight_with_wrong_labels_of(patient: str | None) -> Tensor:
            if patient:
                path = acdc / patient / f"{patient}_frame01_gt.nii.gz"
                labels = nib.load(path)
                flipped = np.asarray(labels.dataobj)[::-1]
                nib.save(nib.Nifti1Image(flipped, labels.affine), path)
            folder = tmp_path / f"wrong {patient}"
            train(config(acdc, steps=2, ramp=0.01, confidence=0.0), folder)
            return saved(folder)["students.cnn.head.weight"]

        as_is = weight_with_wrong_labels_of(None)
        torch.testing.assert_close(
            weight_with_wrong_labels_of("patient038"), as_is, atol=1e-7, rtol=0
        )
        assert (weight_with_wrong_labels_of("patient099") - as_is).abs().max() > 1e-4

    @pytest.mark.parametrize(
        "changes",
        [
            {"labelled": None},  # every patient
            {"method": "labelled_only"},
            {"method": "deep_adversarial"},
            {"method": "uncertainty_aware_mean_teacher"},
            {"teacher": "student", "cut_mix": 0.0, "optimizer": "sgd", "schedule": "poly"},
            {"networks": ("unet", "unet")},
            {"networks": ("unet", "swin_unet"), "precision": "bf16"},
            {"networks": ("unet", "swin_unet"), "method": "cross_consistency"},
        ],
    )
    def test_other_settings(self, acdc: Path, tmp_path: Path, changes: dict[str, object]) -> None:
        train(config(acdc, steps=1, **changes), tmp_path)
        assert load_checkpoint(tmp_path)[1].step == 1

    def test_a_loss_that_is_not_a_number(self, acdc: Path, tmp_path: Path) -> None:
        with pytest.raises(
            DivergedError, match=r"loss of step \d is not a number; its batch was pat"
        ):
            train(config(acdc, steps=8, cnn_rate=1e30, clip=0, optimizer="sgd"), tmp_path)
        assert not (tmp_path / "resume.safetensors").exists() or all(
            t.isfinite().all() for t in saved(tmp_path).values() if t.is_floating_point()
        )

    def test_a_batch_that_does_not_fit_the_memory_goes_in_two_parts(
        self,
        acdc: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        sizes: list[int] = []

        def draw(*arguments: Any) -> TrainingBatch:
            sizes.append(arguments[2].batch)
            if sizes[-1] > 4:
                raise torch.OutOfMemoryError
            return draw_batch(*arguments)

        monkeypatch.setattr("ctct.training.step.draw_batch", draw)
        train(config(acdc, steps=2, batch=8), tmp_path)
        assert sizes == [8, 4, 4, 4, 4]
        assert "out of memory: each batch now goes in 2 pieces" in caplog.text


class TestUnlabelledWeight:
    def test_the_ramp_begins_at_zero_when_teaching_begins(self, acdc: Path) -> None:
        settings = config(acdc, warm_up=0.4, ramp=0.5, unlabelled_weight=2.0)
        assert unlabelled_weight_at(settings, 0.39) is None  # labelled slices alone
        # exp(-5 (1 - t)²) of the way t from 0.4 to 0.5
        assert unlabelled_weight_at(settings, 0.4) == pytest.approx(2 * math.exp(-5))
        assert unlabelled_weight_at(settings, 0.45) == pytest.approx(2 * math.exp(-5 / 4))
        assert unlabelled_weight_at(settings, 0.9) == 2.0

    def test_never_with_labelled_slices_alone(self, acdc: Path) -> None:
        assert unlabelled_weight_at(config(acdc, method="labelled_only"), 0.9) is None
