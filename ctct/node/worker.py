"""A process of its own that holds the model and segments studies, one at a time.

Whatever a study does to it, the node goes on: a process that crashes or takes too long is replaced.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctct.child_process import become_worker
from ctct.errors import CtctError, InputError
from ctct.node.redaction import UNKNOWN, identifying_values, redact
from ctct.node.settings import SegmentingSettings
from ctct.served_process import ServedProcess

if TYPE_CHECKING:
    from ctct.api.model import Model

log = logging.getLogger(__name__)

#: How the segmentation of a study ended: ``CRASHED`` may be a fault of the study, as when memory
#: does not suffice for it, and ``LATER`` is none.
SEGMENTED, FAILED, CRASHED, LATER = "segmented", "failed", "crashed", "later"
_LOADING_S = 600


@dataclass(frozen=True)
class Outcome:
    """How the segmentation of a study ended.

    Attributes:
        kind: :data:`SEGMENTED`, :data:`FAILED`, :data:`CRASHED` or :data:`LATER`.
        reason: why it failed, or which of its scans failed; without identifiers.
    """

    kind: str
    reason: str = ""


class Worker:
    """Segments studies in another process, which loads the model once.

    Args:
        settings: what to run.
        deadline_s: time for a study.
    """

    def __init__(self, settings: SegmentingSettings, deadline_s: float) -> None:
        self._settings, self._deadline_s = settings, deadline_s
        self._process: ServedProcess | None = None
        self._has_ended = False

    def start(self) -> None:
        """Start the process and load the model, unless they are there.

        Raises:
            CtctError: the model cannot be loaded.
        """
        if self._process and self._process.is_alive():
            return
        self.close()
        self._process = ServedProcess(_serve, self._settings, name="ctct-worker")
        answer = self._receive(_LOADING_S)
        if isinstance(answer, CtctError):
            self.close()
            raise answer
        if answer is not None:
            self.close()
            raise InputError(f"the model cannot be loaded: {answer.reason}")

    def segment(self, scan: Path, out: Path) -> Outcome:
        """Segment the scans in ``scan`` and write the results into ``out``."""
        try:
            if self._has_ended:
                return Outcome(LATER, "the node ends")
            self.start()
        except CtctError as error:
            return Outcome(LATER, str(error))
        assert self._process
        try:
            self._process.connection.send((scan, out))
        except OSError:
            self.close()
            return Outcome(LATER, "the worker ended before it got the study")
        answer: Outcome = self._receive(self._deadline_s)
        return answer

    def _receive(self, seconds: float) -> Any:
        assert self._process
        try:
            if self._process.connection.poll(seconds):
                return self._process.connection.recv()
            outcome = Outcome(FAILED, f"takes longer than {seconds:g} s")
        except (EOFError, OSError):
            code = self._process.wait()
            outcome = Outcome(CRASHED, f"its segmentation crashed (exit code {code})")
        self.close()
        return Outcome(LATER, "the node ends") if self._has_ended else outcome

    def end(self) -> None:
        """End the process from another thread; a study that it segments is to be done later."""
        self._has_ended = True
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.close()
        self._process = None


def _serve(connection: Connection, settings: SegmentingSettings) -> None:
    """Load the model and segment studies until the node ends; the process's main function."""
    become_worker()
    from ctct.api.model import load_model

    s = settings
    try:
        model = load_model(s.model, s.runtime, s.device, precision=s.precision)  # type: ignore[arg-type]
    except CtctError as error:
        connection.send(error)
        return
    _warm_up(model)
    connection.send(None)
    while True:
        try:
            scan, out = connection.recv()
        except EOFError:
            return
        connection.send(segment_scan(scan, out, model, settings.options))


def _warm_up(model: Model) -> None:
    """Do once what makes a first study slow: start all parts of the runtime, import packages."""
    from ctct.api.functions import sample_study

    with contextlib.suppress(CtctError):  # a real study tells what is wrong
        model.segment(sample_study(frames=4, slices=8))
    with contextlib.suppress(ImportError):
        import highdicom  # noqa: F401


def segment_scan(scan: Path, out: Path, model: Model, options: dict[str, Any]) -> Outcome:
    """Segment the scans in a folder; see :class:`Outcome`."""
    from ctct.api.prediction import predict
    from ctct.errors import OutputError
    from ctct.prediction.run_manifest import FAILED as CASE_FAILED

    try:
        statuses = predict(scan, out, model=model, **options)
    except OutputError as error:
        return Outcome(LATER, _without_identifiers(str(error), scan))
    except Exception as error:  # one strange study must not end the worker
        words = str(error) if isinstance(error, CtctError) else f"{type(error).__name__}: {error}"
        return Outcome(FAILED, _without_identifiers(words, scan))
    failed = [status for status in statuses if status.status == CASE_FAILED]
    reasons = "; ".join(status.reason for status in failed)
    is_done = len(failed) < len(statuses)
    return Outcome(
        SEGMENTED if is_done else FAILED, _without_identifiers(reasons, scan) if reasons else ""
    )


def _without_identifiers(reason: str, scan: Path) -> str:
    """The reason, without what the headers of the scan say of the patient."""
    reason = " ".join(reason.replace(f"{scan}", scan.name).split())
    dicom = sorted(scan.rglob("*.dcm")) if scan.is_dir() else []
    if not dicom:
        return reason
    values = identifying_values(dicom)
    return UNKNOWN if values is None else redact(reason, values)
