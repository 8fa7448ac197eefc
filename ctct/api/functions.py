"""What the commands do, as functions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctct.api.model import Device, Precision, RuntimeName
from ctct.api.result import LabelOrder
from ctct.errors import InputError
from ctct.io.read import read_study as read_study  # public
from ctct.io.study import Study
from ctct.model_files.model_file import DEFAULT
from ctct.synthetic import synthetic_cine

if TYPE_CHECKING:
    from ctct.evaluation.summary import Findings
    from ctct.prediction.pipeline import Observer
    from ctct.prediction.run_manifest import CaseStatus

log = logging.getLogger(__name__)

OneOrMore = str | Path | Sequence[str | Path]


def sample_study(seed: int = 0, frames: int = 20, slices: int = 10) -> Study:
    """A synthetic short-axis cine, to try things with; the one that ``ctct sample`` writes.

    Args:
        seed: chooses the person and the noise; the same seed gives the same voxels.
        frames: phases of the cycle, 1 to 500; frame 0 is ED.
        slices: from base to apex, 2 to 100.

    Raises:
        ConfigError: a number is out of range.

    >>> import ctct
    >>> ctct.sample_study(frames=2, slices=5).voxels.shape  # frames, slices, rows, columns
    (2, 5, 216, 256)
    """
    return synthetic_cine(seed, frames, slices)[0]


def predict(
    scans: OneOrMore,
    out: str | Path,
    *,
    model: str | Path = DEFAULT,
    runtime: RuntimeName = "auto",
    device: Device = "auto",
    batch: int | Literal["auto"] = 16,
    precision: Precision = "auto",
    gpus: Sequence[int] = (),
    heart_crop: bool = True,
    members: tuple[str, ...] = ("cnn", "transformer"),
    tta: bool = False,
    series: Sequence[str] = (),
    label_order: LabelOrder = "acdc",
    clean_up: bool = True,
    pictures: bool = False,
    report: bool = True,
    formats: tuple[str, ...] = ("nifti",),
    subjects: str | Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    compare: Sequence[str | Path] = (),
    keep_identifiers: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> list[CaseStatus]:
    """Segment and measure all scans in files and folders; what ``ctct predict`` does.

    Run it again to continue where it stopped. A scan that fails does not stop the others.

    Args:
        scans: a file or folder, or several; folders are searched recursively.
        out: folder of the results: label maps, tables, report and ``run.json``.
        model: see :func:`ctct.load_model`, as are ``runtime`` to ``heart_crop``.
        runtime: see there.
        device: see there.
        batch: see there.
        precision: see there.
        gpus: see there.
        heart_crop: see there.
        members: the networks that run; one alone needs the extra ``export``.
        tta: mean over eight orientations; needs the extra ``export``.
        series: SeriesInstanceUIDs to take in place of what looks like a short-axis cine.
        label_order: numbering of the label maps.
        clean_up: keep only the largest 3-D component of each structure.
        pictures: write a picture of each case.
        report: write ``report.html`` and ``segments.csv``.
        formats: of the label maps: "nifti", and "dicom-seg" for scans from DICOM.
        subjects: CSV table of the patients: id, sex, height_cm, weight_kg, heart_rate_bpm.
        ed: number of the ED frame of every cine, from 0; found where left out.
        es: number of the ES frame, likewise.
        compare: folders of results of other models on the same scans.
        keep_identifiers: put name, ID and study date of DICOM headers into tables and report.
        overwrite: segment cases again that an earlier run completed.
        observer: told about progress.

    Returns:
        One status per case, in order: ``status`` is "done", "skipped" or "failed", ``reason`` says
        why it failed, ``output`` names the label map.

    Raises:
        InputError: there is no scan, or ``subjects`` is not a table.
        ConfigError: an argument has an unknown value, or ``out`` holds other results.
        OutputError: ``out`` cannot be written.
        RuntimeUnavailableError: the runtime, the device or a package is missing.

    >>> import ctct, tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> with ctct.load_model() as model:
    ...     _ = model.segment(ctct.sample_study(frames=2, slices=5)).save(folder / "x_seg.nii.gz")
    >>> ctct.predict(folder, folder / "out")
    Traceback (most recent call last):
    ...
    ctct.errors.InputError: ...
    """
    from ctct.io.discover import discover
    from ctct.prediction.case_files import PredictOptions
    from ctct.prediction.patients import read_overrides

    cases, label_maps = discover(_paths(scans), series)
    if label_maps:
        log.info("skipping %d label maps (*_gt, *_seg)", len(label_maps))
    overrides, problems = read_overrides(
        cases, subjects and Path(subjects), ed, es, [Path(folder) for folder in compare]
    )
    for problem in problems:
        log.warning("%s", problem)
    options = PredictOptions(
        clean_up=clean_up,
        label_order=label_order,
        pictures=pictures,
        report=report,
        overwrite=overwrite,
        overrides=overrides,
        keep_identifiers=keep_identifiers,
        formats=formats,
    )
    raise NotImplementedError


def evaluate(
    predictions: str | Path,
    references: str | Path,
    out: str | Path | None = None,
    *,
    compare: str | Path | None = None,
    distances: bool = True,
    voxel_units: bool = False,
    label_order: LabelOrder = "acdc",
    reference_order: LabelOrder = "acdc",
    on_case: Callable[[int, int], object] = lambda done, total: None,
) -> Findings:
    """Score a folder of label maps against manual ones; what ``ctct evaluate`` does.

    Args:
        predictions: folder of ``CASE_seg.nii.gz``.
        references: folder of ``CASE_gt.nii.gz``, searched recursively.
        out: folder for ``scores.csv``, ``indices.csv``, ``evaluation.json`` and ``.html``.
        compare: other predictions of the same scans, for paired differences.
        distances: compute HD95 and ASSD too.
        voxel_units: ignore spacing, as some papers do.
        label_order: numbering of the predictions.
        reference_order: numbering of the references.
        on_case: told the number of cases done and their total.

    Returns:
        ``evaluation`` (scores per frame, indices per patient), ``averages``, ``agreements`` and
        ``comparisons``.

    Raises:
        InputError: a folder is missing, or no pair of files can be compared.
        ConfigError: a label order is unknown.
        OutputError: ``out`` cannot be written.
    """
    from ctct.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from ctct.evaluation.files import evaluation_files
    from ctct.evaluation.summary import Findings, comparisons
    from ctct.storage import prepare_folder, write_atomic

    for folder in filter(None, (predictions, references, compare)):
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder")
    if out is not None:
        prepare_folder(Path(out))
    options = EvaluationOptions(distances, voxel_units, label_order, reference_order)
    found = evaluate_folder(Path(predictions), Path(references), options, on_case)
    paired = {}
    if compare is not None:
        other = evaluate_folder(Path(compare), Path(references), options, on_case)
        paired = comparisons(found, other)
    findings = Findings.of(found, str(compare or ""), paired)
    if out is not None:
        for name, content in evaluation_files(findings).items():
            write_atomic(Path(out) / name, content)
    return findings


def _paths(scans: OneOrMore) -> list[Path]:
    if isinstance(scans, str | Path):
        return [Path(scans)]
    if not isinstance(scans, Sequence) or not all(isinstance(s, str | Path) for s in scans):
        raise InputError(f"predict takes paths of files or folders, got {type(scans).__name__}")
    if not scans:
        raise InputError("predict got an empty list; give files or folders")
    return [Path(scan) for scan in scans]
