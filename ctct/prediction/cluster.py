"""The cases of a run, over the nodes of a Ray cluster.

Ray places the workers, starts their processes, and tells which were lost. Each worker runs the
pipeline on single cases, straight from the scans to the folder of the results. Both are on disks
that all nodes share, so that only names and statuses cross the network.
"""

from __future__ import annotations

import logging
import pickle
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.errors import OutputError, RuntimeUnavailableError
from ctct.inference.segmenter import ModelSpec
from ctct.prediction.case_files import CaseFiles
from ctct.prediction.cluster_worker import Answer, Job, Worker
from ctct.prediction.pipeline import Limits, Observer
from ctct.prediction.run_manifest import DONE, FAILED, SKIPPED, CaseStatus
from ctct.ray_cluster import RayCluster, cause_of, join_cluster

log = logging.getLogger(__name__)

#: Cases that a worker has at once: it reads and writes one while it segments the other.
AT_ONCE = 2
#: How often a case is tried whose worker was lost meanwhile.
MAX_TRIES = 3
_HIRING_S = 10.0
_WAITING_S = 1.0
#: How long cases under way may take to end after an error, or Ctrl-C.
_DRAINING_S = 30.0


@dataclass(frozen=True)
class Cluster(RayCluster):
    """A Ray cluster for the cases of a run; see :func:`connect`.

    Attributes:
        spec: the model that each worker loads.
    """

    spec: ModelSpec

    def run(
        self,
        cases: Iterable[Case],
        files: CaseFiles,
        observer: Observer,
        limits: Limits,
        total: int | None = None,
    ) -> tuple[int, list[CaseStatus]]:
        """Take every case from its file to its results; as :func:`ctct.prediction.pipeline.run`.

        A case whose worker is lost is tried again by another one.

        Args:
            cases: the scans; taken one after the other, as workers become free.
            files: of the run; its folder is on a disk that all nodes share.
            observer: told of the progress.
            limits: when a case, or the run, is given up. Cases under way are ended nevertheless.
            total: number of cases, where it is known.

        Returns:
            The number of workers that were at work, and the status of each case, in order.

        Raises:
            ConfigError: a node has another version of ctct.
            OutputError: a node does not see the folder, or no case could be written.
            RuntimeUnavailableError: no node has room for a worker, or workers cannot start.
            CtctError: other than InputError: a fault that every other case would meet as well.
        """
        return _Foreman(self, cases, files, observer, limits, total).run()


@contextmanager
def connect(address: str, spec: ModelSpec, cpus: int = 1) -> Iterator[Cluster]:
    """Connect this process to a cluster, if it is not connected already.

    Args:
        address: "auto" for the one that this machine belongs to, "ray://host:10001", or host:port.
        spec: the model that each worker loads.
        cpus: CPUs that each worker takes.

    Raises:
        ConfigError: ``cpus`` makes no sense.
        RuntimeUnavailableError: there is no cluster, it cannot be joined, or Ray is not installed.
    """
    with join_cluster(address, cpus) as joined:
        yield Cluster(joined.ray, joined.address, joined.cpus, spec)


@dataclass
class _Task:
    """A case to do.

    Attributes:
        number: its place among the cases.
        case: the case.
        tries: how often its worker was lost.
    """

    number: int
    case: Case
    tries: int = 0


@dataclass(eq=False)
class _Hired:
    """A worker.

    Attributes:
        actor: Ray's handle.
        has_gpu: whether it has a GPU.
        is_ready: whether it takes cases.
        tasks: number of cases that it has.
    """

    actor: Any
    has_gpu: bool
    is_ready: bool = False
    tasks: int = 0


@dataclass
class _Foreman:
    """Hires workers, hands out cases and collects the answers."""

    cluster: Cluster
    cases: Iterable[Case]
    files: CaseFiles
    observer: Observer
    limits: Limits
    total: int | None
    workers: list[_Hired] = field(default_factory=list)
    waiting: dict[Any, tuple[_Hired, _Task | None]] = field(default_factory=dict)
    again: deque[_Task] = field(default_factory=deque)
    statuses: dict[int, CaseStatus] = field(default_factory=dict)
    failed: int = 0
    lost_starts: int = 0
    most_workers: int = 0
    is_stopping: bool = False
    hire_at_s: float = 0.0

    def run(self) -> tuple[int, list[CaseStatus]]:
        """See :meth:`Cluster.run`."""
        ray = self.cluster.ray
        self.fresh = (_Task(number, case) for number, case in enumerate(self.cases))
        self.next = next(self.fresh, None)
        self.unwritten: list[OutputError] = []
        self.actor_class = ray.remote(Worker)
        token = self.files.folder / f".{uuid.uuid4().hex}.partial"
        token.touch()
        try:
            self.job = ray.put(pickle.dumps(self._make_job(token)))
            while not self._is_done():
                self._hire()
                self._hand_out()
                self._collect()
                self._stop_workers()
        except BaseException:  # a fault that every case would meet, or Ctrl-C
            self._drain()
            raise
        finally:
            token.unlink(missing_ok=True)
            for worker in self.workers:
                ray.kill(worker.actor)
        statuses = [status for _, status in sorted(self.statuses.items())]
        if self.unwritten and all(status.status == FAILED for status in statuses):
            raise self.unwritten[0]
        return self.most_workers, statuses

    def _make_job(self, token: Path) -> Job:
        level = logging.getLogger("ctct").getEffectiveLevel()
        cluster, limits = self.cluster, self.limits
        return Job(cluster.spec, self.files, limits.case_s, cluster.cpus, Path.cwd(), token, level)

    def _is_done(self) -> bool:
        if any(task for _, task in self.waiting.values()):
            return False
        return self._has_ended() or not (self.next or self.again)

    def _has_ended(self) -> bool:
        most = self.limits.max_failures
        return self.limits.stop.is_set() or (most is not None and self.failed > most)

    def _hire(self) -> None:
        """Ask Ray for the workers that the nodes have room for; nodes may come and go."""
        if (now := time.monotonic()) < self.hire_at_s or self._has_ended():
            return
        self.hire_at_s = now + _HIRING_S
        wanted = self.cluster.count_places(self.cluster.spec.device)
        if not wanted and not self.workers and not self.statuses:
            raise self.cluster.no_room(self.cluster.spec.device)
        hired = Counter(worker.has_gpu for worker in self.workers)
        for has_gpu in (True, False):
            for _ in range(wanted[has_gpu] - hired[has_gpu]):
                if self.total is None or len(self.workers) < self.total:
                    self._start_worker(has_gpu)

    def _start_worker(self, has_gpu: bool) -> None:
        actor = self.actor_class.options(
            num_cpus=self.cluster.cpus,
            num_gpus=int(has_gpu),
            max_concurrency=AT_ONCE + 1,  # and one for the word to stop
            scheduling_strategy="SPREAD",
        ).remote()
        worker = _Hired(actor, has_gpu)
        self.workers.append(worker)
        device = self.cluster.spec.device if has_gpu else "cpu"
        self.waiting[actor.begin.remote(version("ctct"), self.job, device)] = worker, None

    def _hand_out(self) -> None:
        for worker in sorted(self.workers, key=lambda worker: worker.tasks):
            while worker.is_ready and not self._has_ended() and (task := self._next_for(worker)):
                worker.tasks += 1
                self.waiting[worker.actor.segment.remote(task.case)] = worker, task

    def _next_for(self, worker: _Hired) -> _Task | None:
        """A case for a worker that has room.

        One whose worker was lost may be the reason for it: it waits until the end, and has a worker
        for itself, so that no other case is lost with it again and again.
        """
        if self.next is not None:
            if worker.tasks >= AT_ONCE:
                return None
            task, self.next = self.next, next(self.fresh, None)
            self.observer.case_taken()
            return task
        return self.again.popleft() if self.again and not worker.tasks else None

    def _collect(self) -> None:
        """Wait a moment for answers, and take them."""
        ray = self.cluster.ray
        if not self.waiting:
            time.sleep(_WAITING_S)
            return
        done, _ = ray.wait(list(self.waiting), timeout=_WAITING_S)
        for answered in done:
            worker, task = self.waiting.pop(answered)
            worker.tasks -= task is not None
            try:
                answer = ray.get(answered)
            except ray.exceptions.RayTaskError as error:
                raise cause_of(error) from error
            except ray.exceptions.RayError as error:
                log.debug("%s", error)
                self._lose(worker, task)
                continue
            if task is None:
                worker.is_ready, self.lost_starts = True, 0
                ready = sum(worker.is_ready for worker in self.workers)
                self.most_workers = max(self.most_workers, ready)
            else:
                self._take(task, answer)

    def _take(self, task: _Task, answer: Answer) -> None:
        for record in answer.records:
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        if answer.status is None:
            return
        if task.tries and answer.status.status == SKIPPED:
            answer.status.status = DONE  # by the worker that was lost
        if answer.is_updated:
            self.files.updated.add(task.case.name)
        if answer.unwritten:
            self.unwritten.append(answer.unwritten)
        self._end(task, answer.status)

    def _end(self, task: _Task, case_status: CaseStatus) -> None:
        self.failed += case_status.status == FAILED
        self.statuses[task.number] = case_status
        self.observer.case_ended(case_status)

    def _lose(self, worker: _Hired, task: _Task | None) -> None:
        """Do without a worker, and keep its case for another one."""
        if worker in self.workers:
            self.workers.remove(worker)
            log.warning("a worker of the cluster was lost; its cases are tried again")
            with suppress(Exception):  # it may still live, cut off from here
                self.cluster.ray.kill(worker.actor)
        self.hire_at_s = 0.0
        if task is None:
            self.lost_starts += 1
            if self.lost_starts >= MAX_TRIES and not any(w.is_ready for w in self.workers):
                raise RuntimeUnavailableError(
                    f"--ray {self.cluster.address}: workers end as soon as they start; see the "
                    "logs of Ray"
                )
            return
        task.tries += 1
        if task.tries < MAX_TRIES:
            self.again.append(task)
            return
        reason = (
            f"{task.case.path}: its worker was lost on each of {MAX_TRIES} tries, for lack of "
            "memory or with its node"
        )
        case_status = CaseStatus(task.case.name, str(task.case.path), FAILED, reason)
        self.files.write_failed(task.case, case_status)
        self._end(task, case_status)

    def _stop_workers(self) -> None:
        if self.limits.stop.is_set() and not self.is_stopping:
            self.is_stopping = True
            for worker in self.workers:
                if worker.is_ready:
                    worker.actor.stop.remote()

    def _drain(self) -> None:
        """Let the cases under way end."""
        self.limits.stop.set()
        self._stop_workers()
        if under_way := [ref for ref, (_, task) in self.waiting.items() if task]:
            log.warning("stopping: waiting for %d cases under way", len(under_way))
            wait = self.cluster.ray.wait
            wait(under_way, num_returns=len(under_way), timeout=_DRAINING_S)
