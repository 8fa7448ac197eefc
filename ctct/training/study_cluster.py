"""The runs of a study, over the nodes of a Ray cluster: one task of Ray for each run.

Ray decides where and when a run begins, and tries it again where its worker was lost. Scans and
the folder of the study are on disks that all nodes share.
"""

from __future__ import annotations

import logging
import os
import pickle
import platform
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.errors import CtctError, RuntimeUnavailableError
from ctct.models.checkpoint import MODEL_FILE
from ctct.ray_cluster import RayCluster, cause_of, naming_node, not_shared, open_job
from ctct.storage import lock_folder
from ctct.training.config import TrainingConfig
from ctct.training.interruption import StoppedError, catch_interruption
from ctct.training.monitor import DivergedError
from ctct.training.resume import RESUME_FILE
from ctct.training.study_result import Cell, Result
from ctct.training.study_run import read_test, run_cell

log = logging.getLogger(__name__)

#: How often a run goes on whose worker was lost.
MAX_RETRIES = 3
_WAITING_S = 1.0
#: On a shared disk, the lock of a lost node may outlive it for a while.
_LOCK_S = 180.0


@dataclass(frozen=True)
class Job:
    """What the tasks of a study need, the same for all of them.

    Attributes:
        config: settings of all runs.
        folder: of the study.
        test: labelled patients on which each finished run is scored.
        device: where to train.
        here: the folder that relative paths start from.
        begun: a folder in that of the study, where each task writes that it has begun.
    """

    config: TrainingConfig
    folder: Path
    test: Path | None
    device: str
    here: Path
    begun: Path


def run_on_cluster(
    cluster: RayCluster,
    config: TrainingConfig,
    folder: Path,
    test: Path | None,
    device: str,
    cells: Sequence[Cell],
    on_begin: Callable[[Cell], None],
    on_end: Callable[[Cell, Result | CtctError], None],
) -> None:
    """Train the runs of a study on the nodes of a cluster.

    Args:
        cluster: to train on.
        config: settings of all runs.
        folder: of the study, which all nodes see.
        test: labelled patients on which each finished run is scored.
        device: "cuda" for a GPU per run, "cpu", or "auto" for GPUs where nodes have them.
        cells: the runs.
        on_begin: told of each run that begins.
        on_end: told of the result of each run, or why there is none, where others may succeed.

    Raises:
        CtctError: a fault that the other runs would meet as well.
        RuntimeUnavailableError: no node has room for a run, or tasks cannot begin.
        StoppedError: by Ctrl-C or SIGTERM; the runs under way are saved.
    """
    if not cells:
        return
    ray, device = cluster.ray, cluster.choose_device(device)
    if device == "cpu" and config.run.precision == "auto":
        # For the nodes may differ, and all runs of a study are to be of one kind.
        run = config.run.model_copy(update={"precision": "fp32"})
        config = config.model_copy(update={"run": run})
    task = ray.remote(
        num_cpus=cluster.cpus,
        num_gpus=int(device == "cuda"),
        max_calls=1,  # a process per run
        max_retries=MAX_RETRIES,
        retry_exceptions=[StoppedError],  # by SIGTERM there, as when its node is taken away
        scheduling_strategy="SPREAD",
    )(train_on_node)
    begun = folder / f".{uuid.uuid4().hex}.partial"
    begun.mkdir()
    seen: dict[Cell, str] = {}
    waiting: dict[Any, Cell] = {}
    try:
        job = ray.put(pickle.dumps(Job(config, folder, test, device, Path.cwd(), begun)))
        with catch_interruption() as interrupted:
            waiting |= {task.remote(version("ctct"), job, cell): cell for cell in cells}
            while waiting:
                done, _ = ray.wait(list(waiting), timeout=_WAITING_S)
                _tell_begun(begun, waiting.values(), seen, on_begin)
                for ref in done:
                    cell = waiting.pop(ref)
                    on_end(cell, _outcome(ray, ref, cell.name))
                if waiting and interrupted():
                    raise StoppedError("stopped; the same command continues the runs under way")
    finally:  # after a fault that every run would meet too
        for ref in waiting:
            ray.cancel(ref)  # the run saves, as after Ctrl-C
        if waiting:
            log.warning("stopping: waiting for the runs under way to save")
            ray.wait(list(waiting), num_returns=len(waiting))
        shutil.rmtree(begun, ignore_errors=True)


def _tell_begun(
    begun: Path, cells: Iterable[Cell], seen: dict[Cell, str], on_begin: Callable[[Cell], None]
) -> None:
    """Tell of tasks that have begun, or begun anew, since the last call."""
    for cell in cells:
        try:
            place = (begun / cell.name).read_text("utf-8")
        except FileNotFoundError:
            continue
        if not place or place == seen.get(cell):
            continue
        if cell in seen:
            log.warning("%s: its worker was lost; it goes on in %s", cell.name, place)
        else:
            on_begin(cell)
        seen[cell] = place


def _outcome(ray: Any, ref: Any, name: str) -> Result | CtctError:
    """The result of a task, which is told in a line, or why there is none.

    Raises:
        CtctError: a fault that the other runs would meet as well.
    """
    try:
        result: Result = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        cause = cause_of(error)
        if isinstance(cause, DivergedError | StoppedError):
            return cause
        raise cause from error
    except ray.exceptions.RayError as error:
        log.debug("%s", error)
        return RuntimeUnavailableError(
            f"its worker was lost on each of {MAX_RETRIES + 1} tries, for lack of memory or with "
            "its node; see the logs of Ray"
        )
    dice = result.validation["ensemble"]
    log.info("%s: finished, validation Dice %.4f", name, dice)
    return result


def train_on_node(its_version: str, packed: bytes, cell: Cell) -> Result:
    """Train one run, or what is left of it, and score its weights; a task of Ray.

    Args:
        its_version: version of ctct that sends it.
        packed: a pickled :class:`Job`.
        cell: the run.

    Raises:
        ConfigError: this machine has another version of ctct.
        OutputError: the folder of the study is not there.
        CtctError: as training.
    """
    node = platform.node()
    job: Job = open_job(its_version, packed, node)
    with naming_node(node):
        place, run = job.begun / cell.name, job.folder / cell.name
        is_retry = place.exists()
        try:
            place.write_text(f"process {os.getpid()} of {node}", "utf-8")
        except OSError as error:
            raise not_shared(job.folder) from error
        if is_retry:
            with lock_folder(run, _LOCK_S):
                if not (run / RESUME_FILE).exists():  # lost between the first weights and this file
                    (run / MODEL_FILE).unlink(missing_ok=True)
        test = read_test(job.config, job.test) if job.test else []
        return run_cell(job.config, job.folder, cell, test, job.device, 1, lambda step, steps: None)
