from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.models.checkpoint import load_model
from ctct.models.graph import SegmentationGraph
from ctct.models.grid import NetworkGrid
from ctct.training.cases import LabelledVolume
from ctct.training.checkpoint import load_resume
from ctct.training.config import TrainingConfig
from ctct.training.trainer import train, update_average, validate


def config(acdc: Path, **changes: object) -> TrainingConfig:
    settings = {"steps": 4, "batch": 4, "grid_size": 64, "labelled": 1, "validate_every": 2}
    return TrainingConfig(
        data=str(acdc), splits=str(acdc / "splits.json"), **{**settings, **changes}
    )


class TestTrain:
    def test_what_it_writes(self, acdc: Path, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        scores = train(config(acdc), folder)
        assert {path.name for path in folder.iterdir()} == {
            "config.json",
            "log.jsonl",
            "model.safetensors",
            "resume.pt",
        }
        assert TrainingConfig(**json.loads((folder / "config.json").read_text())) == config(acdc)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [2, 4]
        assert lines[-1] == {"step": 4, **scores}
        assert set(scores) == {"cnn", "transformer", "ensemble"}
        assert all(0 <= score <= 1 for score in scores.values())

        graph, description = load_model(folder)
        assert description.config == config(acdc).to_dict()
        assert description.step == 4
        assert description.validation_dice == scores
        assert sum(description.member_weights) == pytest.approx(1, abs=1e-6)
        assert all(tensor.isfinite().all() for tensor in graph.parameters())

    def test_stop_and_go_on(
        self, acdc: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        train(config(acdc, steps=2), tmp_path)
        assert "3 labelled and 3 unlabelled slices, 1 validation volumes" in caplog.text
        first = load_resume(tmp_path)
        # At rates of next to nothing the students stay what they were.
        train(config(acdc, cnn_rate=1e-12, transformer_rate=1e-12), tmp_path)
        assert "going on from step 2" in caplog.text
        second = load_resume(tmp_path)
        assert first is not None
        assert second is not None
        assert (first["step"], second["step"]) == (2, 4)
        assert {int(own["step"]) for own in second["optimiser"]["state"].values()} == {4}
        assert not torch.equal(first["generator"], second["generator"])
        for name in ("cnn.head.weight", "transformer.head.weight"):
            student, average = first["students"][name], first["averaged"][name]
            torch.testing.assert_close(second["students"][name], student, atol=1e-8, rtol=0)
            assert (student - average).abs().max() > 1e-4  # they have learnt
            # Two more steps of decay (1 + 3) / (10 + 3) and (1 + 4) / (10 + 4).
            expected = student + 4 / 13 * 5 / 14 * (average - student)
            torch.testing.assert_close(second["averaged"][name], expected, atol=1e-7, rtol=0)

        with pytest.raises(ConfigError, match="had its 4 steps; raise --steps"):
            train(config(acdc), tmp_path)

    def test_labels_of_unlabelled_patients_change_nothing(self, acdc: Path, tmp_path: Path) -> None:
        def weight_without_labels_of(patient: str | None) -> Tensor:
            if patient:
                path = acdc / patient / f"{patient}_frame01_gt.nii.gz"
                labels = nib.load(path)
                nib.save(nib.Nifti1Image(0 * np.asarray(labels.dataobj), labels.affine), path)
            folder = tmp_path / f"without {patient}"
            train(config(acdc, steps=2, cross_weight=1.0), folder)
            state = load_resume(folder)
            assert state is not None
            return state["students"]["cnn.head.weight"]

        # The first of the splits, patient002, is the labelled one.
        as_is = weight_without_labels_of(None)
        torch.testing.assert_close(weight_without_labels_of("patient001"), as_is, atol=1e-7, rtol=0)
        assert (weight_without_labels_of("patient002") - as_is).abs().max() > 1e-4

    def test_with_every_patient_labelled(self, acdc: Path, tmp_path: Path) -> None:
        train(config(acdc, steps=1, labelled=None, batch=2), tmp_path)
        assert load_model(tmp_path)[1].step == 1


class TestUpdateAverage:
    def test_worked_by_hand(self) -> None:
        averaged, current = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
        nn.init.constant_(current.weight, 3.0)
        current.running_mean.fill_(8.0)
        current.num_batches_tracked.fill_(7)
        update_average(averaged, current, decay=0.75)
        assert averaged.weight.tolist() == [1.5, 1.5]  # 0.75 · 1 + 0.25 · 3
        assert averaged.running_mean.tolist() == [2.0, 2.0]  # 0.75 · 0 + 0.25 · 8
        assert averaged.num_batches_tracked == 7  # a count is copied
        assert current.weight.tolist() == [3.0, 3.0]


class Says(nn.Module):
    """Sure of one class wherever the slice is bright, of the background elsewhere."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        labels = torch.where(x[:, 0] > 0, self.value, 0)
        return 50.0 * nn.functional.one_hot(labels, 4).movedim(-1, 1)


class TestValidate:
    # The volume has an LV (3) and nothing else, and is bright there. A structure in neither label
    # map has a Dice of 1, so the mean over RV, MYO and LV is, of a network that says
    LV, NOTHING, RV = 3, 0, 1  # 1;  2/3, for the LV missed;  1/3, for an RV as well

    @pytest.mark.parametrize(
        ("cnn", "transformer", "scores", "weights"),
        [
            # errors 1/3 and 2/3: the inverse squares are 9 and 9/4, which is 4 to 1
            (NOTHING, RV, (2 / 3, 1 / 3, 2 / 3), (0.8, 0.2)),
            (RV, NOTHING, (1 / 3, 2 / 3, 2 / 3), (0.2, 0.8)),
            (LV, NOTHING, (1, 2 / 3, 1), (1, 0)),  # errors 0 and 1/3
            (NOTHING, NOTHING, (2 / 3, 2 / 3, 2 / 3), (0.5, 0.5)),
            (LV, LV, (1, 1, 1), (0.5, 0.5)),
        ],
    )
    def test_worked_by_hand(
        self,
        cnn: int,
        transformer: int,
        scores: tuple[float, float, float],
        weights: tuple[float, float],
    ) -> None:
        labels = np.zeros((2, 40, 30), np.uint8)
        labels[:, 10:20, 8:20] = self.LV
        volume = LabelledVolume("a", "x", 100 * (labels > 0).astype(np.float32), labels, (1, 1))
        graph = SegmentationGraph(Says(cnn), Says(transformer), NetworkGrid(64, 1.0), (0.9, 0.1))
        found_weights, found = validate(graph, [volume, volume])
        assert list(found) == ["cnn", "transformer", "ensemble"]
        assert tuple(found.values()) == pytest.approx(scores, abs=1e-6)
        assert found_weights == pytest.approx(weights, abs=1e-6)
        assert graph.member_weights.tolist() == pytest.approx(weights, abs=1e-6)
