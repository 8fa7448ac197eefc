from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_support import small_batch

from ctct.datasets.collection import Volume
from ctct.training.data.slices import SliceSet
from ctct.training.monitor import DivergedError, Monitor, RecentLosses, read_metrics
from ctct.training.step import StepLosses


def losses(labelled: float, unlabelled: float = 0.0) -> StepLosses:
    values = torch.tensor([labelled + unlabelled, labelled, unlabelled])
    return StepLosses(*values)


class TestRecentLosses:
    def test_means_since_the_last_look(self) -> None:
        recent = RecentLosses(torch.device("cpu"))
        for step in range(3):
            recent.add(step, losses(9.0), small_batch())
        recent.clear()
        recent.add(3, losses(1.0, 0.5), small_batch())
        recent.add(4, losses(2.0, 0.0), small_batch())
        recent.check()
        assert recent.means() == (1.5, 0.25)

    def test_the_first_step_that_is_not_a_number_is_named_with_its_slices(self) -> None:
        voxels = np.zeros((2, 4, 4), np.uint8)
        slices = SliceSet([Volume("p", "p_frame01", voxels, voxels, (1, 1))])
        recent = RecentLosses(torch.device("cpu"))
        for step, value in enumerate((1.0, float("inf"), float("nan"))):
            batch = small_batch()
            object.__setattr__(batch, "numbers", (torch.tensor([step % 2]),))
            recent.add(step, losses(value), batch)
        with pytest.raises(DivergedError, match=r"loss of step 1 .* batch was p_frame01 slice 1;"):
            recent.check(slices)


class TestMetrics:
    def test_values_of_one_step_share_a_row(self, tmp_path: Path) -> None:
        monitor = Monitor(tmp_path)
        monitor.record(50, loss_labelled=0.5)
        monitor.record(50, dice_cnn=0.25)
        monitor.record(100, loss_labelled=0.4)
        monitor.close()
        assert read_metrics(tmp_path) == [
            {"step": 50, "loss_labelled": 0.5, "dice_cnn": 0.25},
            {"step": 100, "loss_labelled": 0.4},
        ]

    def test_a_run_that_continues_drops_later_rows(self, tmp_path: Path) -> None:
        for step in (50, 100):
            monitor = Monitor(tmp_path, 60)
            monitor.record(step, loss_labelled=1.0)
            monitor.close()
        Monitor(tmp_path, 60).close()
        assert read_metrics(tmp_path) == [{"step": 50, "loss_labelled": 1.0}]

    def test_the_columns_of_version_0_1(self, tmp_path: Path) -> None:
        (tmp_path / "metrics.csv").write_text("step,supervised,crossed,cross_weight\n50,1,2,0.1\n")
        Monitor(tmp_path, 50).close()
        assert read_metrics(tmp_path) == [
            {
                "step": 50,
                "loss_labelled": 1.0,
                "loss_unlabelled": 2.0,
                "unlabelled_weight": 0.1,
            }
        ]
