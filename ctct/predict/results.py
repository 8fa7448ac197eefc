"""What a folder of results holds beside the label maps: tables of all patients, and the report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.case import Case
from ctct.io.dicom.identifiers import read_identifiers
from ctct.io.label_maps import read_labels
from ctct.io.patient_info import patient_and_frame
from ctct.io.read import read_case
from ctct.io.study import Study
from ctct.measurement.patient import PatientResult
from ctct.measurement.quality_flags import judge
from ctct.measurement.volumes import FrameVolumes
from ctct.measurement.wall import seen_from_apex, wall_thickness_mm
from ctct.predict.case_files import output_path
from ctct.predict.comparison import indices_by_model
from ctct.predict.patients import Overrides, measure_patients
from ctct.predict.quality_record import disagreement_path, read_indicators
from ctct.report.montage import montage_jpeg
from ctct.report.report_page import cohort_html
from ctct.report.tables import by_model_csv, frames_csv, patients_csv, patients_json, segments_csv
from ctct.storage import strict_json, write_atomic

log = logging.getLogger(__name__)

#: Patients whose pictures the report shows; of more, the page would be too large for a browser.
MAX_PICTURES = 300


@dataclass(frozen=True)
class Results:
    """A folder of results and what is in it.

    Attributes:
        folder: where the label maps lie as ``CASE_seg.nii.gz``, and the indicators of each case.
        cases: every case that has a label map, by name.
        label_order: numbering of the label maps, a key of ``ctct.labels.ORDERS``.
    """

    folder: Path
    cases: Mapping[str, Case]
    label_order: str = "acdc"

    def labels(self, frames: Sequence[FrameVolumes]) -> list[tuple[Study, npt.NDArray[np.uint8]]]:
        """The label map of each frame as a study of it alone, and its labels (1, Z, H, W)."""
        files = {
            name: read_labels(output_path(self.folder, name), self.label_order)
            for name in {frame.name for frame in frames}
        }
        return [  # copies, which do not keep the others in memory
            (replace(study, voxels=study.voxels[one].copy()), labels[one].copy())
            for study, labels, one in ((*files[f.name], _only(f)) for f in frames)
        ]

    def images(self, frames: Sequence[FrameVolumes]) -> list[npt.NDArray[np.float32]]:
        """The intensities of each frame (1, Z, H, W)."""
        names = {frame.name for frame in frames}
        files = {name: read_case(self.cases[name]).voxels for name in names}
        return [files[frame.name][_only(frame)].copy() for frame in frames]


def _only(frame: FrameVolumes) -> slice:
    return slice(frame.index, frame.index + 1)


def write_results(
    folder: Path,
    measured: Sequence[tuple[Case, list[FrameVolumes]]],
    given: Overrides,
    label_order: str = "acdc",
    about: Mapping[str, str] | None = None,
    report: bool = True,
    keep_identifiers: bool = False,
) -> list[PatientResult]:
    """Measure and judge every patient; write all tables and ``report.html``.

    Args:
        folder: where the label maps lie, and the indicators of each case.
        measured: every case that has a label map, and the volumes of its frames.
        given: what the user knows of the patients.
        label_order: numbering of the label maps, a key of ``ctct.labels.ORDERS``.
        about: what made the results, for the report: versions, model.
        report: write what has to look at images and labels again, ``segments.csv`` and the report.
        keep_identifiers: name the patients as their DICOM headers do too.

    Returns:
        What was written of each patient.
    """
    patients = measure_patients(measured, given)
    source = Results(folder, {case.name: case for case, _ in measured}, label_order)
    kept = {name: read_indicators(folder, case) for name, case in source.cases.items()}
    indicators = {
        (name, index): frame
        for name, of_case in kept.items()
        if of_case
        for index, frame in enumerate(of_case.frames)
    }
    who = {
        patient_and_frame(case.name)[0]: read_identifiers(case.series)
        for case, _ in measured
        if keep_identifiers and case.series
    }
    results: list[PatientResult] = []
    for name, patient in patients.items():
        own = (kept[case] for case in dict.fromkeys(frame.name for frame in patient.frames))
        # Dictionary keys, so that two files of a patient say the same only once.
        judgement = judge(
            patient, indicators, dict.fromkeys(flag for one in own if one for flag in one.image)
        )
        of_frames = tuple(indicators.get((frame.name, frame.index)) for frame in patient.frames)
        others = indices_by_model(patient, given.compare, label_order)
        results.append(
            PatientResult(
                name, patient, judgement, of_frames, others, identifiers=who.get(name, {})
            )
        )
    write_atomic(folder / "measurements.csv", patients_csv(results))
    write_atomic(folder / "measurements.json", strict_json(patients_json(results)))
    write_atomic(folder / "frames.csv", frames_csv(results))
    if given.compare:
        write_atomic(folder / "by_model.csv", by_model_csv(results))
    if not report:
        return results
    results = [_seen(one, source, n < MAX_PICTURES) for n, one in enumerate(results)]
    write_atomic(folder / "segments.csv", segments_csv(results))
    write_atomic(folder / "report.html", cohort_html(results, about or {}))
    return results


def _seen(result: PatientResult, source: Results, pictured: bool) -> PatientResult:
    try:
        return _with_images(result, source, pictured)
    except Exception as error:  # one strange scan must not cost the report of all the others
        log.warning("%s: no pictures, unexpected %s: %s", result.name, type(error).__name__, error)
        log.debug("%s", result.name, exc_info=True)
        return result


def _with_images(result: PatientResult, source: Results, pictured: bool) -> PatientResult:
    """The result with what only the images and label maps of ED and ES can give."""
    m = result.measurements
    phases = {"ED": m.ed, "ES": m.es}
    shown = {name: m.frames[at] for name, at in phases.items() if at is not None}
    shown = shown or {"": m.frames[0]}
    frames = list(shown.values())
    found = dict(zip(shown, source.labels(frames), strict=True))
    walls = {
        name: wall_thickness_mm(one, study.spacing_mm, seen_from_apex(one, study.affine))
        for name, (study, (one,)) in found.items()
        if name
    }
    result = replace(result, ed_wall_mm=walls.get("ED", ()), es_wall_mm=walls.get("ES", ()))
    if not pictured:
        return result
    try:
        images = source.images(frames)
    except InputError:  # the scan was moved since its labels were written
        return result
    captions = [
        f"{name} {frame.name}" if frame.name != result.name else f"{name or 'frame'} {frame.index}"
        for name, frame in shown.items()
    ]
    own = (source.cases[name] for name in dict.fromkeys(frame.name for frame in frames))
    kept = (disagreement_path(source.folder, case) for case in own)
    return replace(
        result,
        picture=_picture(found.values(), images, captions),
        disagreement=tuple(path.read_bytes() for path in kept if path.exists()),
    )


def _picture(
    found: Iterable[tuple[Study, npt.NDArray[np.uint8]]],
    images: Sequence[npt.NDArray[np.float32]],
    captions: Sequence[str],
) -> bytes:
    """ED above ES, slices from base to apex; ED alone where the two differ in size."""
    studies, labels = zip(*found, strict=True)
    shape = images[0].shape
    same = [n for n, own in enumerate(labels) if own.shape == images[n].shape == shape]
    if not same:
        return b""
    voxels, drawn = (np.concatenate([stack[n] for n in same]) for stack in (images, labels))
    rows = {captions[n]: row for row, n in enumerate(same)}
    return montage_jpeg(replace(studies[0], voxels=voxels), drawn, rows)
