from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests_support import write_partly_labelled

from ctct.errors import ConfigError, InputError
from ctct.training.config import TrainingConfig
from ctct.training.interruption import StoppedError
from ctct.training.monitor import DivergedError
from ctct.training.study import run_study, with_one_precision
from ctct.training.study_result import Cell, Result, read_results
from ctct.training.study_tables import mean_and_deviation, study_csv, study_markdown

TINY = {
    "networks": ("unet", "unet"),
    "grid_size": 32,
    "batch": 2,
    "steps": 2,
    "validate_every": 1,
    "precision": "fp32",
    "warm_up": 0.0,
}


def result(method: str, seed: int, dice: float, labelled: int = 3) -> Result:
    return Result(
        method=method,
        labelled=labelled,
        seed=seed,
        split="the published split of ACDC" if labelled == 3 else "drawn at random with seed 0",
        step=500,
        minutes=10.0 + seed,
        validation={"cnn": dice, "transformer": dice - 0.02, "ensemble": dice + 0.01},
        test={
            name: {"RV": dice - 0.1, "MYO": dice, "LV": dice + 0.1}
            for name in ("cnn", "transformer", "ensemble")
        },
    )


class TestRunStudy:
    def test_runs_are_trained_scored_kept_and_added_to(self, acdc: Path, tmp_path: Path) -> None:
        config, out = TrainingConfig(data=acdc, **TINY), tmp_path / "study"
        begun: list[str] = []

        def run(*methods: str) -> list[Result]:
            results, failed = run_study(
                *(config, out, methods, (1,), (0,)),
                test=acdc,
                on_run=lambda name, number, runs: begun.append(name),
            )
            assert not failed
            return results

        (first,) = run("labelled_only")
        assert begun == ["labelled_only_1_seed0"]
        assert set(first.test) == {"cnn", "transformer", "ensemble"}
        before = (out / "labelled_only_1_seed0" / "model.safetensors").stat().st_mtime_ns
        both = run("labelled_only", "mean_teacher")
        assert begun[1:] == ["mean_teacher_1_seed0"]
        assert [r.method for r in both] == ["labelled_only", "mean_teacher"]
        assert both[0] == first
        assert (out / "labelled_only_1_seed0" / "model.safetensors").stat().st_mtime_ns == before
        rows = list(csv.DictReader((out / "study.csv").open()))
        assert [row["method"] for row in rows] == ["labelled_only", "mean_teacher"]
        assert (out / "study.md").read_text().count("\n| 1 | ") == 2

    def test_a_run_that_was_stopped_goes_on(
        self, acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config, out = TrainingConfig(data=acdc, **TINY), tmp_path / "study"
        arguments = (config, out, ("labelled_only",), (1,), (0,))
        with monkeypatch.context() as patch:
            patch.setattr("ctct.training.trainer.catch_interruption", interrupt_at_once)
            with pytest.raises(StoppedError):
                run_study(*arguments)
        seen: list[int] = []
        run_study(*arguments, observe=lambda step, steps: seen.append(step))
        assert seen == [2]  # step 1 was before

    def test_a_loss_that_is_not_a_number_does_not_stop_the_others(
        self, acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def train(config: TrainingConfig, folder: Path, **settings: object) -> dict[str, float]:
            raise DivergedError(f"the loss of {config.run.seed} is not a number")

        monkeypatch.setattr("ctct.training.study_run.train", train)
        config = TrainingConfig(data=acdc, **TINY)
        results, failed = run_study(config, tmp_path / "s", ("labelled_only",), (1,), (0, 1))
        assert results == []
        assert failed == {
            f"labelled_only_1_seed{n}": f"the loss of {n} is not a number" for n in (0, 1)
        }

    def test_a_folder_with_another_study(self, acdc: Path, tmp_path: Path) -> None:
        out = tmp_path / "study"
        run_study(TrainingConfig(data=acdc, **TINY), out, (), (), ())
        other = TrainingConfig(data=acdc, **{**TINY, "grid_size": 64})
        with pytest.raises(ConfigError, match=r"another grid_size \(32 then, 64 now\)"):
            run_study(other, out, (), (), ())

    def test_a_folder_whose_settings_are_damaged(self, acdc: Path, tmp_path: Path) -> None:
        for content, message in (
            ("[1, 2", r"study\.json: cannot be read as JSON"),
            ("[1, 2]", r"study\.json: must hold an object"),
            ("{}", "holds a study with another batch"),
        ):
            (tmp_path / "study.json").write_text(content)
            with pytest.raises(ConfigError, match=message):
                run_study(TrainingConfig(data=acdc, **TINY), tmp_path, (), (), ())
            assert (tmp_path / "study.json").read_text() == content

    @pytest.mark.parametrize(
        ("methods", "labelled", "devices", "message"),
        [
            (("labelled_only",), (1, 9), 1, "--labelled 9: there are 2 training patients"),
            (("labelled_only", "mean_teacher"), (2,), 1, "--method mean_teacher learns from scans"),
            (("labelled_only", "self_training"), (1,), 1, "--method must be 'cross_teaching'"),
            (("labelled_only", "deep_adversarial"), (1,), 2, "trains on one device only"),
        ],
    )
    def test_no_run_begins_if_one_cannot(
        self,
        acdc: Path,
        tmp_path: Path,
        methods: tuple[str, ...],
        labelled: tuple[int, ...],
        devices: int,
        message: str,
    ) -> None:
        config = TrainingConfig(data=acdc, **TINY)
        with pytest.raises(ConfigError, match=message):
            run_study(config, tmp_path / "study", methods, labelled, (0,), devices=devices)
        assert not (tmp_path / "study").exists()

    def test_all_runs_have_one_precision(
        self, acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measured = iter(["bf16", "fp32", "fp32"])
        for module in ("study", "devices"):
            name = f"ctct.training.{module}.faster_cpu_precision"
            monkeypatch.setattr(name, lambda config: next(measured))
        config, out = TrainingConfig(data=acdc, **TINY | {"precision": "auto"}), tmp_path / "study"
        for seeds in ((0,), (0, 1)):  # begun, and continued by another call
            run_study(config, out, ("labelled_only",), (1,), seeds, device="cpu")
        settings = [json.loads(p.read_text()) for p in out.glob("*/config.json")]
        assert [s["run"]["precision"] for s in settings] == ["bf16", "bf16"]
        assert next(measured) == "fp32"  # one measurement served all

    @pytest.mark.parametrize("is_alone_on_cpu", [True, False])  # else on a GPU, or a cluster
    def test_a_study_goes_on_in_its_precision(self, acdc: Path, is_alone_on_cpu: bool) -> None:
        config = TrainingConfig(data=acdc, **TINY | {"precision": "auto"})
        for precision in ("bf16", "fp32", "auto"):
            goes_on = with_one_precision(config, {"precision": precision}, is_alone_on_cpu)
            assert goes_on.run.precision == precision
        assert with_one_precision(config, None, False).run.precision == "auto"

    def test_partly_labelled_patients(self, acdc: Path, tmp_path: Path) -> None:
        write_partly_labelled(tmp_path / "children")
        config = TrainingConfig(data=acdc, partly_labelled=[tmp_path / "children"], **TINY)
        out = tmp_path / "study"
        results, failed = run_study(config, out, ("labelled_only",), (1,), (0,))
        assert (len(results), failed) == (1, {})
        split = json.loads((out / "labelled_only_1_seed0" / "split.json").read_text())
        assert split["partly_labelled"] == ["sbj01", "sbj02"]

    def test_a_study_from_before_a_setting_existed(self, acdc: Path, tmp_path: Path) -> None:
        out, config = tmp_path / "study", TrainingConfig(data=acdc, **TINY)
        run_study(config, out, (), (), ())
        settings = json.loads((out / "study.json").read_text())
        for name in ("partly_labelled", "partly_labelled_share", "heart_extent_mm"):
            del settings[name]
        (out / "study.json").write_text(json.dumps(settings))
        run_study(config, out, (), (), ())  # goes on
        write_partly_labelled(tmp_path / "children")
        other = TrainingConfig(data=acdc, partly_labelled=[tmp_path / "children"], **TINY)
        with pytest.raises(ConfigError, match=r"another partly_labelled \(\[\] then, \['"):
            run_study(other, out, (), (), ())


class interrupt_at_once:  # noqa: N801  # stands in for a function
    def __enter__(self) -> object:
        return lambda: True

    def __exit__(self, *error: object) -> None: ...


class TestTables:
    results = (
        result("cross_teaching", 0, 0.84),
        result("cross_teaching", 1, 0.86),
        result("labelled_only", 0, 0.80),
    )

    def test_mean_over_seeds_beside_the_published_value(self) -> None:
        table = study_markdown(self.results).splitlines()
        # Two seeds: mean 0.85, deviation sqrt(2) · 0.01; the mean of 10 and 11 minutes.
        cell = "0.850 ± 0.014"
        assert f"| 3 | cross_teaching | {cell} | {cell} | {cell} | 2 | 10 | 0.688 |" in table
        assert "| 3 | labelled_only | 0.800 | 0.800 | 0.800 | 1 | 10 | 0.512 |" in table

    def test_no_published_value_beside_another_split(self) -> None:
        table = study_markdown([result("mean_teacher", 0, 0.8, labelled=7)])
        assert "| 7 | mean_teacher | 0.800 | 0.800 | 0.800 | 1 | 10 |  |" in table

    def test_a_row_per_run(self) -> None:
        rows = list(csv.DictReader(study_csv(self.results).decode().splitlines()))
        assert [row["seed"] for row in rows] == ["0", "1", "0"]
        assert rows[1]["validation Transformer"] == "0.8400"
        assert (rows[1]["test pair RV"], rows[1]["test pair mean"]) == ("0.7600", "0.8600")

    def test_a_result_that_cannot_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "result.json"
        path.write_text(json.dumps({"method": "labelled_only"}))
        with pytest.raises(InputError, match="delete it to score the run again"):
            read_results([path])

    def test_no_deviation_of_a_single_seed(self) -> None:
        assert mean_and_deviation([0.5]) == "0.500"
        assert mean_and_deviation([]) == ""


def test_the_first_seed_comes_before_the_second() -> None:
    assert Cell("mean_teacher", 7, 2).name == "mean_teacher_7_seed2"
