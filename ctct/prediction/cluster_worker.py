"""A worker of a cluster: takes single cases from their files to their results."""

from __future__ import annotations

import logging
import logging.handlers
import os
import platform
import queue
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctct.cases.case import Case
from ctct.errors import ModelError, OutputError
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.prediction.case_files import CaseFiles
from ctct.prediction.pipeline import Limits, Observer, run
from ctct.prediction.run_manifest import CaseStatus
from ctct.ray_cluster import naming_node, not_shared, open_job
from ctct.runtimes.threads import THREADS


@dataclass(frozen=True)
class Job:
    """What the workers of a run need, the same for all of them.

    Attributes:
        spec: the model to load.
        files: reads the scans and writes their results.
        case_s: seconds that segmenting a case may take; None for any time.
        threads: threads that a runtime may use on the CPU.
        here: the folder that relative paths start from.
        token: a file in the folder of the results, by which a worker knows it.
        level: of what is logged.
    """

    spec: ModelSpec
    files: CaseFiles
    case_s: float | None
    threads: int
    here: Path
    token: Path
    level: int


@dataclass
class Answer:
    """What became of a case.

    Attributes:
        status: None where the worker was told to stop before it took the case.
        is_updated: whether the record of a complete case was brought up to date.
        unwritten: why a result could not be written; other cases may meet the same.
        records: what was logged meanwhile.
    """

    status: CaseStatus | None = None
    is_updated: bool = False
    unwritten: OutputError | None = None
    records: list[logging.LogRecord] = field(default_factory=list)


class Worker:
    """Runs in a process of its own, and loads the model once; its methods run side by side.

    Args:
        node: what errors call the machine.
    """

    def __init__(self, node: str = "") -> None:
        self._node = node or platform.node()
        self._stop = threading.Event()
        self._loading = threading.Lock()
        self._segmenter: Segmenter | None = None
        self._logged: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def begin(self, its_version: str, job: bytes, device: str) -> None:
        """Prepare for cases.

        Args:
            its_version: version of ctct that sends them.
            job: a pickled :class:`Job`.
            device: where this worker runs the model.

        Raises:
            ConfigError: this machine has another version of ctct.
            OutputError: the folder of the results is not there.
        """
        self._job: Job = open_job(its_version, job, self._node)
        self._job = replace(self._job, spec=replace(self._job.spec, device=device))
        os.environ.setdefault(THREADS, str(self._job.threads))
        if not self._job.token.exists():
            with naming_node(self._node):
                raise not_shared(self._job.files.folder)
        logger = logging.getLogger("ctct")
        logger.handlers = [logging.handlers.QueueHandler(self._logged)]
        logger.setLevel(self._job.level)
        logger.propagate = False

    def segment(self, case: Case) -> Answer:
        """Take a case from its file to its results.

        Raises:
            CtctError: a fault that every other case would meet as well.
        """
        job, ended = self._job, _Ended()
        answer = Answer()
        with naming_node(self._node):
            try:
                run([case], job.files, self._load, ended, Limits(job.case_s, stop=self._stop))
            except OutputError as error:
                if error.everywhere or ended.status is None:
                    raise
                answer.unwritten = error
        answer.status = ended.status
        answer.is_updated = case.name in job.files.updated
        answer.records = [self._logged.get() for _ in range(self._logged.qsize())]
        return answer

    def stop(self) -> None:
        """Take no more cases; those under way are ended."""
        self._stop.set()

    def _load(self) -> Segmenter:
        with self._loading:
            if self._segmenter is None:
                segmenter = self._job.spec.load()
                expected = self._job.files.settings["model_sha256"]
                if segmenter.model.sha256 != expected:
                    raise ModelError(
                        f"{segmenter.model.path}: is not the model of this run (SHA-256 "
                        f"{segmenter.model.sha256[:12]}, not {expected[:12]}); copy it there"
                    )
                self._segmenter = segmenter
        return self._segmenter


class _Ended(Observer):
    """Keeps the status of a single case."""

    status: CaseStatus | None = None

    def case_ended(self, case_status: CaseStatus) -> None:
        self.status = case_status
