"""A study: runs that differ in their method, their labelled patients and their seed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch

from ctct.errors import ConfigError, CtctError
from ctct.ray_cluster import RayCluster
from ctct.storage import prepare_folder, strict_json, write_atomic
from ctct.training.config import TrainingConfig, read_json_object
from ctct.training.devices import faster_cpu_precision
from ctct.training.monitor import DivergedError
from ctct.training.setup import check_method, read_patients
from ctct.training.split import Split, TrainingData, split_patients, training_data
from ctct.training.study_cluster import run_on_cluster
from ctct.training.study_result import RESULT_FILE, Cell, Result, read_results
from ctct.training.study_run import configure, read_test, run_cell
from ctct.training.study_tables import study_files

log = logging.getLogger(__name__)

#: The settings of a study, in its folder.
STUDY_FILE = "study.json"
#: Settings in which the runs of a study differ.
VARIED = ("method", "labelled", "seed")


def run_study(
    config: TrainingConfig,
    folder: Path,
    methods: Sequence[str],
    labelled: Sequence[int],
    seeds: Sequence[int],
    *,
    test: Path | None = None,
    device: str = "auto",
    devices: int = 1,
    observe: Callable[[int, int], None] = lambda step, steps: None,
    on_run: Callable[[str, int, int], None] = lambda name, number, runs: None,
    cluster: RayCluster | None = None,
) -> tuple[list[Result], dict[str, str]]:
    """Train every combination that ``folder`` does not hold yet, and write the tables.

    A run that was stopped goes on. After each run, ``study.csv``, ``study.md`` and ``curves.png``
    are written anew, from all runs in ``folder``.

    Args:
        config: settings of all runs.
        folder: of the study; each run is a folder in it.
        methods: names of methods.
        labelled: numbers of labelled patients.
        seeds: of the runs. All combinations get the first seed before any gets the second.
        test: labelled patients on which each finished run is scored once. Nothing is chosen by
            them.
        device: as for :func:`~ctct.training.trainer.train`.
        devices: likewise.
        observe: told the step of a run and the number of its steps.
        on_run: told the name of each run that begins, its number, from 1, and how many there are.
        cluster: trains the runs on its nodes, without ``devices`` and ``observe``.

    Returns:
        The results of all runs in the folder, and the reason of each that failed, by name.

    Raises:
        ConfigError: ``folder`` holds a study with other settings, or the patients do not allow one
            of the runs; then none begins.
        InputError: the data cannot be used, or ``test`` has no labelled patient.
        StoppedError: by Ctrl-C or SIGTERM; the runs under way are saved.
        CtctError: of other kinds: a fault that the other runs would meet as well.
    """
    cells = [Cell(m, n, seed) for seed, n, m in product(seeds, labelled, methods)]
    todo = {
        cell: number
        for number, cell in enumerate(cells, 1)
        if not (folder / cell.name / RESULT_FILE).exists()
    }
    check_runs(config, list(todo), 1 if cluster else devices)
    prepare_folder(folder)
    before = read_study(folder)
    is_alone_on_cpu = (
        not cluster and devices == 1 and (device == "cpu" or not torch.cuda.is_available())
    )
    config = with_one_precision(config, before, is_alone_on_cpu)
    check_study(folder, before, config, test)
    volumes = read_test(config, test) if test else []
    failed: dict[str, str] = {}

    def begin(cell: Cell) -> None:
        on_run(cell.name, todo[cell], len(cells))

    def end(cell: Cell, outcome: Result | CtctError) -> None:
        if isinstance(outcome, CtctError):
            log.warning("%s: %s", cell.name, outcome)
            failed[cell.name] = str(outcome)
            return
        write_atomic(folder / cell.name / RESULT_FILE, strict_json(asdict(outcome)))
        write_tables(folder)

    if cluster:
        run_on_cluster(cluster, config, folder, test, device, list(todo), begin, end)
    else:
        for cell in todo:
            begin(cell)
            try:
                end(cell, run_cell(config, folder, cell, volumes, device, devices, observe))
            except DivergedError as error:  # other runs may succeed
                end(cell, error)
    return write_tables(folder), failed


def check_runs(config: TrainingConfig, cells: Sequence[Cell], processes: int) -> None:
    """Refuse runs that cannot begin, before hours of training of the others.

    Args:
        config: settings of all runs.
        cells: the runs.
        processes: that train a run together.

    Raises:
        ConfigError: the settings of a run make no sense, or the patients or the number of
            processes do not allow it.
        InputError: the data cannot be used.
    """
    settings = {cell: configure(config, cell) for cell in cells}
    if not cells:
        return
    collection = read_patients(config.patients)
    data: dict[Split, TrainingData] = {}  # many runs share a split
    for cell in cells:
        split = split_patients(collection, settings[cell])
        if split not in data:
            data[split] = training_data(collection, split)
        check_method(cell.method, data[split], processes)


def with_one_precision(
    config: TrainingConfig, before: Mapping[str, Any] | None, is_alone_on_cpu: bool
) -> TrainingConfig:
    """``config`` with a precision in place of "auto" where the runs could come to differ in it.

    A study goes on in the precision that it was begun in. Alone on a CPU, each run would measure
    which one is faster; a new study measures once.

    Args:
        config: settings of all runs.
        before: those of the study that goes on; None for a new one.
        is_alone_on_cpu: whether each run has this machine's CPU, and no other device or process.
    """
    if config.run.precision != "auto":
        return config
    if before is not None:
        precision = before.get("precision", "auto")
    elif is_alone_on_cpu:
        precision = faster_cpu_precision(config)
    else:
        return config
    run = config.run.model_copy(update={"precision": precision})
    return config.model_copy(update={"run": run})


def check_study(
    folder: Path, before: Mapping[str, Any] | None, config: TrainingConfig, test: Path | None
) -> None:
    """Write the settings of a new study; refuse those that differ from ``before``.

    Raises:
        ConfigError: names the first difference.
    """
    settings = {k: v for k, v in config.to_dict().items() if k not in VARIED}
    settings["test"] = str(test.resolve()) if test else None
    if before is None:
        write_atomic(folder / STUDY_FILE, strict_json(settings))
        return
    # By default, a setting that is younger than the study does what was done without it.
    defaults = TrainingConfig.model_validate({"data": config.patients.data}).to_dict()
    for name in sorted(before.keys() | settings.keys()):
        then, now = before.get(name, defaults.get(name)), settings.get(name)
        if then != now:
            raise ConfigError(
                f"{folder}: holds a study with another {name} ({then!r} then, {now!r} now); "
                "choose another folder"
            )


def read_study(folder: Path) -> dict[str, Any] | None:
    """The settings of the study in ``folder``, or None.

    Raises:
        ConfigError: they cannot be read.
    """
    path = folder / STUDY_FILE
    return read_json_object(path, "of settings of a study") if path.exists() else None


def write_tables(folder: Path) -> list[Result]:
    """Write the tables of all finished runs in ``folder``, and return their results."""
    results = read_results(folder.glob(f"*/{RESULT_FILE}"))
    for name, content in study_files(folder, results).items():
        write_atomic(folder / name, content)
    return results
