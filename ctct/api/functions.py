"""Functions that do what the shorter commands do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctct.api.arguments import as_names, as_optional_path, as_path, as_tuple, needs
from ctct.api.messages import naming_arguments
from ctct.cases.read import read_study as _read_study
from ctct.choices import ExportPrecision, LabelOrder, Papillary
from ctct.errors import InputError
from ctct.evaluation.summary import Findings, compare_evaluations
from ctct.io.study import Study
from ctct.measurement.patient import PatientResult
from ctct.model_files.model_file import DEFAULT
from ctct.model_files.variant import Variant
from ctct.prediction.run_manifest import CaseStatus
from ctct.synthetic import synthetic_cine

if TYPE_CHECKING:  # it imports torch
    from ctct.exporters.export import Artifact

log = logging.getLogger(__name__)


@naming_arguments
def read_study(path: str | Path, series: str | None = None) -> Study:
    """Read a short-axis scan without segmenting it.

    Args:
        path: a NIfTI, MHA or NRRD file; a DICOM folder or zip; or a folder with one NIfTI file per
            slice.
        series: SeriesInstanceUID to read instead of the series that looks like a short-axis cine.

    Returns:
        A study whose ``voxels`` are (frames, slices, rows, columns).

    Raises:
        InputError: the scan is missing, damaged or not one that ctct can use, or there are several.
        RuntimeUnavailableError: a library that reads this kind of file is not installed.

    >>> import ctct, nibabel, numpy, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "scan.nii"
    >>> affine = numpy.diag([1.4, 1.4, 8.0, 1.0])  # column, row and slice spacing in mm
    >>> nibabel.save(nibabel.Nifti1Image(numpy.ones((64, 60, 10)), affine), path)
    >>> ctct.read_study(path).voxels.shape  # frames, slices, rows, columns
    (1, 10, 60, 64)
    """
    return _read_study(as_path(path, "path"), series)


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
    (2, 5, 256, 216)
    """
    return synthetic_cine(seed, frames, slices)[0]


@naming_arguments
def measure(
    results: str | Path,
    edited: str | Path | None = None,
    out: str | Path | None = None,
    *,
    subjects: str | Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    papillary: Papillary = "labels",
    follow_up: str | Sequence[str] = (),
    report: bool = True,
    on_case: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[CaseStatus], list[PatientResult]]:
    """Measure results again with label maps corrected elsewhere; what ``ctct measure`` does.

    The automatic results stay. Call it again to continue, or after further corrections.

    Args:
        results: folder that :func:`predict` wrote.
        edited: folder of corrected label maps, called as the automatic ones: NIfTI, ``.seg.nrrd``,
            ``.seq.nrrd``, DICOM-SEG; ``results/edited`` where left out, if there is one.
        out: folder of tables, report and corrected label maps in the geometry of the automatic
            ones; ``results/measured`` where left out.
        subjects: CSV table of the patients, as for :func:`predict`; where left out, what the
            results say of them.
        ed: number of the ED frame of every cine, from 0; found where left out.
        es: number of the ES frame, likewise.
        papillary: what papillary muscles count with: "labels", "cavity" or "myocardium".
        follow_up: studies of one patient to compare, as for :func:`predict`.
        report: write ``report.html`` and ``segments.csv``.
        on_case: told the number of cases done and their total.

    Returns:
        One status per case, and per corrected file that belongs to no case; and the patients, whose
        ``remarks`` say what was edited.

    Raises:
        InputError: ``results`` or ``edited`` cannot be used.
        ConfigError: an argument has an unknown value, or ``out`` holds other files.
        OutputError: ``out`` cannot be written.

    >>> import ctct
    >>> statuses, patients = ctct.measure("results", "corrected")  # doctest: +SKIP
    """
    from ctct.correction.measure import MeasureOptions, measure_folder
    from ctct.prediction.patients import read_overrides

    overrides, problems = read_overrides([], as_optional_path(subjects), ed, es)
    for problem in problems:
        if not problem.endswith("is none of the patients"):
            log.warning("%s", problem)
    return measure_folder(
        as_path(results, "results"),
        as_optional_path(edited),
        as_optional_path(out),
        MeasureOptions(
            overrides, papillary, as_tuple(follow_up), as_optional_path(subjects), report
        ),
        on_case,
    )


@naming_arguments
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
        ``evaluation`` (scores per frame, indices per patient), ``averages``, ``slices`` (missed and
        false), ``unlabelled`` (structures that references lack), ``agreements`` and
        ``comparisons``.

    Raises:
        InputError: a folder is missing, a label order is unknown, or no pair can be compared.
        OutputError: ``out`` cannot be written.

    >>> import ctct, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with ctct.load_model() as model:
    ...     result = model.segment(ctct.sample_study(frames=1, slices=5))
    >>> _ = result.save(folder / "automatic" / "cine_seg.nii.gz")
    >>> _ = result.save(folder / "manual" / "cine_gt.nii.gz")
    >>> findings = ctct.evaluate(folder / "automatic", folder / "manual")
    >>> findings.evaluation.scores[0].mean_dice
    1.0
    """
    from ctct.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from ctct.evaluation.files import evaluation_files
    from ctct.storage import prepare_folder, write_atomic

    folders = (predictions, references) if compare is None else (predictions, references, compare)
    for folder in folders:
        if not as_path(folder, "the folder").is_dir():
            raise InputError(f"{folder}: no such folder")
    if out is not None:
        prepare_folder(Path(out))
    options = EvaluationOptions(distances, voxel_units, label_order, reference_order)
    evaluation = evaluate_folder(Path(predictions), Path(references), options, on_case)
    paired = {}
    if compare is not None:
        other = evaluate_folder(Path(compare), Path(references), options, on_case)
        paired = compare_evaluations(evaluation, other)
    findings = Findings.from_evaluation(evaluation, str(compare or ""), paired)
    if out is not None:
        for name, content in evaluation_files(findings).items():
            write_atomic(Path(out) / name, content)
    return findings


@naming_arguments
def export(
    source: str | Path = DEFAULT,
    out: str | Path = "exported",
    *,
    formats: str | Sequence[str] = ("onnx",),
    precision: ExportPrecision = "fp32",
    members: str | Sequence[str] = ("cnn", "transformer"),
    tta: bool = False,
    probabilities: bool = False,
    verify: bool = True,
    verify_on: str | Path | None = None,
    calibration: str | Path | None = None,
    batch: tuple[int, int, int] = (1, 16, 32),
    size: tuple[int, int, int] = (32, 256, 512),
    targets: str | Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[Artifact]:
    """Write a trained pair as files for other runtimes, behind the gate; what ``ctct export`` does.

    Args:
        source: the folder of a training run, a file the pair can be restored from, or "default".
        out: folder of the files; made where it is missing.
        formats: of "onnx", "openvino", "engine" (TensorRT), "triton" and "monai-bundle".
        precision: of the networks; where it fails the gate, a fallback is taken.
        members: the networks that run.
        tta: mean over eight orientations.
        probabilities: return class probabilities too.
        verify: compare each file with the pair in PyTorch and float32.
        verify_on: folder of scans for that; synthetic cines where left out.
        calibration: folder of scans for int8, likewise.
        batch: smallest, usual and largest number of slices per call, for engines and Triton.
        size: the same of the pixels per side.
        targets: GPUs to build engines for, as in ("sm80", "sm89").
        metadata: entries that replace the source's: "training_data", "license".
        on_stage: told what is being done.

    Returns:
        One artifact per file: ``format``, ``path`` and the ``attempts``, with their verification.

    Raises:
        ParityError: not even float32 passes the gate.
        ConfigError: an argument has an unknown value.
        ModelError: the source is not a pair.
        OutputError: ``out`` cannot be written.
        RuntimeUnavailableError: a package of the extra ``export`` is missing.

    >>> import ctct
    >>> ctct.export("runs/seven", "exported", formats=("onnx",), precision="bf16")  # doctest: +SKIP
    [Artifact(format='onnx', path=…, attempts=…)]
    """
    from ctct.exporters.request import ExportRequest
    from ctct.model_files.engine_profile import EngineProfile

    request = ExportRequest(
        formats=as_names(formats),
        precision=precision,
        variant=Variant(as_names(members), tta, probabilities),
        verify=verify,
        verify_on=as_optional_path(verify_on),
        calibration=as_optional_path(calibration),
        metadata=dict(metadata or {}),
        profile=EngineProfile(batch, size),
        targets=as_names(targets) if targets else (),
    )
    with needs("export"):
        from ctct.exporters.export import export as run

        return run(as_path(source, "source"), as_path(out, "out"), request, on_stage)
