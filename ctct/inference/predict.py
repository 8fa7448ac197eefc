"""Segmenting many files into a folder: what ``ctct predict`` does."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct import labels as label_orders
from ctct.errors import ConfigError, CtctError, InputError
from ctct.inference.model_file import ModelFile
from ctct.inference.patients import Given
from ctct.inference.record import (
    DONE,
    SKIPPED,
    Fate,
    continued_inputs,
    made_by,
    write_record,
)
from ctct.inference.results import write_results
from ctct.inference.segmenter import Segmenter
from ctct.inference.signs import write_signs
from ctct.io.discover import Case
from ctct.io.nifti import read_nifti
from ctct.io.study import Study
from ctct.io.write import prepare_folder, write_atomic
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames
from ctct.report.montage import montage_png

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How :func:`predict_folder` works.

    Attributes:
        clean_up: keep only the largest 3-D component of each structure.
        label_order: numbering of the label maps written, a key of ``ctct.labels.ORDERS``.
        pictures: also write a picture of each case, ED and ES with their contours.
        overwrite: label cases again that an earlier run completed.
        given: what is known of the patients: their bodies, their ED and ES.
    """

    clean_up: bool = True
    label_order: str = "acdc"
    pictures: bool = False
    overwrite: bool = False
    given: Given = field(default_factory=Given)

    def __post_init__(self) -> None:
        if self.label_order not in label_orders.ORDERS:
            raise ConfigError(
                f"--label-order {self.label_order}: choose one of {', '.join(label_orders.ORDERS)}"
            )


def output_path(folder: Path, case: Case) -> Path:
    """Where the label map of ``case`` goes."""
    return folder / f"{case.name}_seg.nii.gz"


def picture_path(folder: Path, case: Case) -> Path:
    """Where the picture of ``case`` goes."""
    return folder / f"{case.name}.png"


class Observer:
    """Told how a run goes on; this one ignores it."""

    def case_started(self, case: Case) -> None:
        """A case is about to be read."""

    def slices_done(self, done: int, total: int) -> None:
        """So many of the case's slices are labelled."""

    def case_ended(self, fate: Fate) -> None:
        """A case has come to its end."""


def predict_folder(
    cases: Sequence[Case],
    folder: Path,
    model: ModelFile,
    load_segmenter: Callable[[ModelFile], Segmenter],
    options: Options | None = None,
    observer: Observer | None = None,
) -> list[Fate]:
    """Write a label map for every case, the measurements of every patient, and a record of the run.

    A case that fails is recorded and the others go on. A case whose label map is there already is
    measured from it and not segmented again; a file under its final name is always whole.

    Args:
        cases: what to segment.
        folder: where results go; made where it is missing.
        model: the model to use.
        load_segmenter: loads it; called once, when the first case needs it.
        options: see :class:`Options`.
        observer: told how the run goes on.

    Returns:
        The fate of each case, in order.

    Raises:
        OutputError: nothing can be written into ``folder``.
        ConfigError: ``folder`` holds label maps made with another model, of another scan or with
            other options.
    """
    options, observer = options or Options(), observer or Observer()
    prepare_folder(folder)
    settings = {
        "model": model.path.name,
        "model_sha256": model.sha256,
        "clean_up": options.clean_up,
        "label_order": options.label_order,
    }
    inputs = {case.name: str(case.path.absolute()) for case in cases}
    complete = [case for case in cases if output_path(folder, case).exists()]
    if options.overwrite:
        for case in complete:  # now: a run stopped half-way must not leave two kinds of label maps
            output_path(folder, case).unlink()
    else:
        known = continued_inputs(folder, settings, {c.name: inputs[c.name] for c in complete})
        inputs = known | inputs
    started = time.monotonic()
    record: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "inputs": inputs,
        "model_description": model.description,
        "versions": {name: version(name) for name in ("ctct", "numpy", "nibabel")}
        | {"python": platform.python_version()},
    }
    write_record(folder, record)
    segmenter: Segmenter | None = None
    fates: list[Fate] = []
    measured: list[tuple[Case, list[FrameVolumes]]] = []
    for case in cases:
        observer.case_started(case)
        target = output_path(folder, case)
        fate = Fate(case.name, str(case.path))
        try:
            pictured = not options.pictures or picture_path(folder, case).exists()
            if target.exists() and pictured:
                frames = _measure_written(target, case, options)
                fate.status = SKIPPED
            else:
                segmenter = segmenter or load_segmenter(model)
                frames = _segment_case(case, folder, segmenter, options, fate, observer)
                fate.status = DONE
            fate.output = target.name
            measured.append((case, frames))
        except InputError as error:
            fate.reason = str(error)
            log.debug("%s", case.name, exc_info=True)
        except CtctError:
            raise  # the model, the runtime or the disk: no other case would fare better
        except Exception as error:  # one strange file must not end a night's run
            reason = f"{case.path}: unexpected {type(error).__name__}: {error}; run with --debug"
            fate.reason = " ".join(reason.split())
            log.debug("%s", case.name, exc_info=True)
        fates.append(fate)
        observer.case_ended(fate)
    write_results(folder, measured, options.given, options.label_order, made_by(record))
    if segmenter:
        runtime = segmenter.runtime
        record |= {"runtime": runtime.name, "device": runtime.device, "batch": segmenter.batch}
    record |= {
        "seconds": round(time.monotonic() - started, 3),
        "cases": [asdict(fate) for fate in fates],
    }
    write_record(folder, record)
    return fates


def _segment_case(
    case: Case,
    folder: Path,
    segmenter: Segmenter,
    options: Options,
    fate: Fate,
    observer: Observer,
) -> list[FrameVolumes]:
    clock = time.monotonic()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.monotonic()
        fate.seconds[stage] = round(now - clock, 3)
        clock = now

    study = read_nifti(case.path)
    lap("read")
    fate.slices = study.frames * study.slices
    segmentation = segmenter.segment(
        study, options.clean_up, lambda done: observer.slices_done(done, fate.slices)
    )
    foreground = segmentation.labels > 0
    if foreground.any():
        disagreement = segmentation.disagreement[foreground].mean(dtype=float)
        fate.mean_disagreement = round(float(disagreement), 4)
    lap("segment")
    written = label_orders.remap(segmentation.labels, target=options.label_order)
    if study.source is None:
        raise InputError(f"{case.path}: read without its geometry")
    frames = frame_volumes(segmentation.labels, study.voxel_ml, case.name)
    if options.pictures:
        m = measure_frames(frames)
        phases = {"ED": m.ed, "ES": m.es}
        rows = {f"{name}, frame {at}": at for name, at in phases.items() if at is not None}
        picture = montage_png(study, segmentation.labels, rows or {"frame 0": 0})
        write_atomic(picture_path(folder, case), picture)
    write_signs(folder, case, segmentation)
    write_atomic(output_path(folder, case), study.source.encode_labels(written))
    lap("write")
    return frames


def _measure_written(target: Path, case: Case, options: Options) -> list[FrameVolumes]:
    written: Study = read_nifti(target)
    own = label_orders.remap(written.voxels.astype("int16"), source=options.label_order)
    return frame_volumes(own, written.voxel_ml, case.name)
