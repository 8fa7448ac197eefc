"""What is read and written for one case."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from ctct import labels as label_orders
from ctct.errors import ConfigError, InputError
from ctct.inference.patients import Given
from ctct.inference.record import Fate
from ctct.inference.segmenter import Segmentation, check_segmentable, cleaned
from ctct.inference.signs import write_signs
from ctct.io.discover import Case
from ctct.io.labels import read_labels
from ctct.io.read import read_case
from ctct.io.study import Study
from ctct.io.write import write_atomic
from ctct.measurement.volumes import FrameVolumes, frame_volumes, measure_frames
from ctct.report.montage import montage_png


@dataclass(frozen=True)
class Options:
    """How ``ctct predict`` works.

    Attributes:
        clean_up: keep only the largest 3-D component of each structure.
        label_order: numbering of the label maps written, a key of ``ctct.labels.ORDERS``.
        pictures: also write a picture of each case, ED and ES with their contours.
        report: also write ``segments.csv`` and ``report.html``.
        overwrite: label cases again that an earlier run completed.
        given: what is known of the patients: their bodies, their ED and ES.
    """

    clean_up: bool = True
    label_order: str = "acdc"
    pictures: bool = False
    report: bool = True
    overwrite: bool = False
    given: Given = field(default_factory=Given)

    def __post_init__(self) -> None:
        if self.label_order not in label_orders.ORDERS:
            raise ConfigError(
                f"--label-order {self.label_order}: choose one of {', '.join(label_orders.ORDERS)}"
            )


def output_path(folder: Path, case: str) -> Path:
    """Where the label map of the case of that name goes."""
    return folder / f"{case}_seg.nii.gz"


def picture_path(folder: Path, case: Case) -> Path:
    """Where the picture of ``case`` goes."""
    return folder / f"{case.name}.png"


@dataclass(frozen=True)
class CaseFiles:
    """Reads the scans of a run and writes their results, in whatever thread it is called.

    Attributes:
        folder: where results go.
        options: of the run.
    """

    folder: Path
    options: Options

    def read(self, case: Case, fate: Fate) -> Study | list[FrameVolumes]:
        """The scan; or, where an earlier run has labelled it, the volumes of these labels.

        Raises:
            InputError: the scan, or the label map, cannot be used.
        """
        begun = time.perf_counter()
        target = output_path(self.folder, case.name)
        pictured = not self.options.pictures or picture_path(self.folder, case).exists()
        if target.exists() and pictured:
            fate.output = target.name
            written, labels = read_labels(target, self.options.label_order)
            return frame_volumes(labels, written.voxel_ml, case.name)
        study = read_case(case)
        check_segmentable(study)
        fate.slices = study.frames * study.slices
        fate.seconds["read"] = round(time.perf_counter() - begun, 3)
        return study

    def write(self, case: Case, raw: Segmentation, fate: Fate) -> list[FrameVolumes]:
        """Write all files of a case, the label map last, and give its volumes.

        Raises:
            OutputError: one cannot be written.
        """
        begun = time.perf_counter()
        segmentation = cleaned(raw) if self.options.clean_up else raw
        study, labels = segmentation.study, segmentation.labels
        foreground = labels > 0
        if foreground.any():
            disagreement = segmentation.disagreement[foreground].mean(dtype=float)
            fate.mean_disagreement = round(float(disagreement), 4)
        if study.source is None:
            raise InputError(f"{case.path}: read without its geometry")
        frames = frame_volumes(labels, study.voxel_ml, case.name)
        if self.options.pictures:
            m = measure_frames(frames)
            phases = {"ED": m.ed, "ES": m.es}
            rows = {f"{name}, frame {at}": at for name, at in phases.items() if at is not None}
            picture = montage_png(study, labels, rows or {"frame 0": 0})
            write_atomic(picture_path(self.folder, case), picture)
        write_signs(self.folder, case, segmentation, picture=self.options.report)
        numbered = label_orders.remap(labels, target=self.options.label_order)
        target = output_path(self.folder, case.name)
        write_atomic(target, study.source.encode_labels(numbered))
        fate.output = target.name
        fate.seconds["write"] = round(time.perf_counter() - begun, 3)
        return frames
