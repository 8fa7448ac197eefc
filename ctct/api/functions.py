"""What the commands do, as functions."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ctct.api.inputs import as_path
from ctct.api.messages import naming_arguments
from ctct.cases.read import read_study as _read_study
from ctct.cases.read_apart import DEADLINE_S
from ctct.choices import (
    Device,
    ExportPrecision,
    LabelOrder,
    MethodName,
    NameFrom,
    Precision,
    Preset,
    RuntimeName,
)
from ctct.errors import ConfigError, InputError, missing_package
from ctct.evaluation.summary import Findings, compare_evaluations
from ctct.io.study import Study
from ctct.model_files.model_file import DEFAULT, ModelFile
from ctct.model_files.variant import Variant
from ctct.prediction.pipeline import Observer
from ctct.prediction.run_manifest import CaseStatus
from ctct.synthetic import synthetic_cine

if TYPE_CHECKING:  # it imports torch
    from ctct.exporters.export import Artifact

log = logging.getLogger(__name__)

OneOrMore = str | Path | Sequence[str | Path]


@contextmanager
def _needs(extra: str) -> Iterator[None]:
    """Name the extra where one of its packages is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := missing_package(error, extra):
            raise missing from error
        raise


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Several names, or one text with commas between them."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(value)


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
def predict(
    scans: OneOrMore,
    out: str | Path,
    *,
    model: str | Path = DEFAULT,
    runtime: RuntimeName = "auto",
    device: Device = "auto",
    batch: int | str = 16,
    precision: Precision = "auto",
    gpus: Sequence[int] = (),
    heart_crop: bool = True,
    members: str | Sequence[str] = ("cnn", "transformer"),
    tta: bool = False,
    series: str | Sequence[str] = (),
    name_from: NameFrom = "path",
    label_order: LabelOrder = "acdc",
    clean_up: bool = True,
    pictures: bool = False,
    report: bool = True,
    formats: str | Sequence[str] = ("nifti",),
    subjects: str | Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    compare: OneOrMore = (),
    keep_identifiers: bool = False,
    de_identify: bool = False,
    overwrite: bool = False,
    deadline_s: float = DEADLINE_S,
    observer: Observer | None = None,
    on_export: Callable[[str], None] = lambda stage: None,
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
        name_from: what a case is called after: "path" (below the folder in ``scans``), "file" (or
            folder, alone), or of DICOM "study" (a hash of the UID) or "patient" (the PatientID).
        label_order: numbering of the label maps.
        clean_up: keep only what belongs to the heart, and fill the ring of myocardium.
        pictures: write a picture of each case.
        report: write ``report.html`` and ``segments.csv``.
        formats: of the label maps: "nifti", and "dicom-seg" for scans from DICOM.
        subjects: CSV table of the patients: id, sex, height_cm, weight_kg, heart_rate_bpm.
        ed: number of the ED frame of every cine, from 0; found where left out.
        es: number of the ES frame, likewise.
        compare: folders of results of other models on the same scans.
        keep_identifiers: put name, ID and study date of DICOM headers into tables and report.
        de_identify: leave all that DICOM headers say of patient, study, hospital and staff out of
            the DICOM segmentations; the UIDs stay, for they refer to the images.
        overwrite: segment cases again that an earlier run completed.
        deadline_s: seconds that reading a scan may take; one that takes longer fails.
        observer: told about the progress.
        on_export: told about the export that ``members`` and ``tta`` may need.

    Returns:
        One status per case, in order: ``status`` is "done", "skipped" or "failed", ``reason`` says
        why it failed, ``output`` names the label map.

    Raises:
        InputError: there is no scan, two have the same name, or ``subjects`` is not a table.
        ConfigError: an argument has an unknown value, or ``out`` holds other results.
        OutputError: ``out`` cannot be written.
        RuntimeUnavailableError: the runtime, the device or a package is missing.

    >>> import ctct, pathlib, tempfile
    >>> from ctct.io.nifti import encode_study
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> study = ctct.sample_study(frames=2, slices=5)
    >>> for stem, content in encode_study(study, study.voxels.astype("uint8")).items():
    ...     _ = (folder / f"{stem}.nii.gz").write_bytes(content)
    >>> (case,) = ctct.predict(folder, folder / "out", report=False)
    >>> case.status, case.output
    ('done', 'synthetic_0_seg.nii.gz')
    """
    from ctct.cases.discover import discover
    from ctct.inference.segmenter import Segmenter
    from ctct.prediction.case_files import PredictOptions
    from ctct.prediction.folder import predict_folder
    from ctct.prediction.patients import read_overrides
    from ctct.runtimes.choose import resolve

    if de_identify and name_from == "patient":
        raise ConfigError("--de-identify and --name-from patient exclude each other")
    cases, label_maps = discover(
        _paths(scans, "scans"), _names(series), name_from, deadline_s=deadline_s
    )
    if label_maps:
        log.info("skipping %d label maps (*_gt, *_seg, *_label, *_mask)", len(label_maps))
    overrides, problems = read_overrides(
        cases, _optional_path(subjects), ed, es, _paths(compare, "compare") if compare else []
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
        de_identify=de_identify,
        formats=_names(formats),
        deadline_s=deadline_s,
    )
    variant = Variant(_names(members), tta)
    if variant == Variant():
        plan = resolve(model, runtime, device, precision, gpus, heart_crop)
    else:
        with _needs("export"):
            file = _export_variant(model, variant, runtime, device, precision, on_export)
        plan = resolve(file, runtime, device, gpus=gpus, heart_crop=heart_crop)
    return predict_folder(
        cases,
        as_path(out, "out"),
        plan.model,
        lambda _: Segmenter.load(plan, batch),
        options,
        observer,
    )


def _export_variant(
    model: str | Path,
    variant: Variant,
    runtime: str,
    device: str,
    precision: str,
    on_export: Callable[[str], None],
) -> ModelFile:
    """The model in a variant, at the precision in which it would run without."""
    from ctct.exporters.variants import export_variant_once
    from ctct.model_files.model_file import locate_model, read_model
    from ctct.runtimes.choose import resolve

    file = read_model(locate_model(model), heart_crop=False)
    plan = resolve(file, runtime, device, precision, heart_crop=False)
    return export_variant_once(
        file, variant, plan.model.description.get("precision", "fp32"), on_export
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
def train(
    data: str | Path | None = None,
    out: str | Path = "run",
    *,
    preset: Preset | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    device: Device = "auto",
    devices: int = 1,
    observe: Callable[[int, int], None] = lambda step, steps: None,
    **settings: Any,
) -> dict[str, float]:
    """Train a CNN and a Transformer that teach each other; what ``ctct train`` does.

    Args:
        data: folder of patients in the layout of ACDC or nnU-Net, or plain files, or a file of
            ``ctct pack``.
        out: folder of the run: checkpoints, ``config.json``, split, metrics and curves.
        preset: settings to start from; "best" on a GPU and "small" on a CPU where left out.
        config: JSON file with settings, as a run's ``config.json``; it changes the preset.
        resume: continue the run in ``out``, with its own settings.
        device: "auto", "cpu" or "cuda".
        devices: number of GPUs, or of processes.
        observe: told the step and the number of steps.
        settings: any setting of :class:`ctct.training.config.TrainingConfig` by name, for instance
            ``labelled=7, steps=3000``; they change the preset and ``config``.

    Returns:
        Mean validation Dice per case of ``cnn``, ``transformer`` and ``ensemble``.

    Raises:
        ConfigError: a setting is unknown or makes no sense, or there is no run to continue.
        InputError: the data cannot be used.
        RuntimeUnavailableError: PyTorch is not installed, or there is no such device.

    >>> import ctct
    >>> ctct.train("ACDC", "runs/seven", labelled=7, steps=3000)  # doctest: +SKIP
    {'cnn': …, 'transformer': …, 'ensemble': …}
    """
    from ctct.model_files.model_file import find_model
    from ctct.training.config import CONFIG_FILE, make_config

    if data is not None:
        settings["data"] = as_path(data, "data")
    if settings.get("init_from"):
        settings["init_from"] = find_model(as_path(settings["init_from"], "init_from")).path
    folder = as_path(out, "out")
    if resume:
        if preset or config:
            raise ConfigError("--resume continues with the run's own settings; leave out --preset")
        config = folder / CONFIG_FILE
        if not config.exists():
            raise ConfigError(f"{out}: there is no run to continue")
    elif data is None and config is None:
        raise ConfigError("DATA is missing: the folder of patients to train on")
    with _needs("train"):
        from ctct.training.devices import default_preset
        from ctct.training.trainer import train as run

        return run(
            make_config(preset or default_preset(device, announce=not resume), settings, config),
            folder,
            device=device,
            devices=devices,
            resume=resume,
            observe=observe,
        )


@naming_arguments
def compare_methods(
    data: str | Path,
    out: str | Path = "study",
    *,
    methods: Sequence[str] = (),
    labelled: Sequence[int] = (3, 7),
    seeds: Sequence[int] = (0,),
    test: str | Path | None = None,
    preset: Preset | None = None,
    config: str | Path | None = None,
    device: Device = "auto",
    devices: int = 1,
    observe: Callable[[int, int], None] = lambda step, steps: None,
    on_run: Callable[[str, int, int], None] = lambda name, number, runs: None,
    **settings: Any,
) -> tuple[str, dict[str, str]]:
    """Train and compare methods of learning from unlabelled scans; what ``ctct study`` does.

    Call it again to continue where it stopped, or to add methods, labelled patients and seeds.

    Args:
        data: as for :func:`train`, as are ``preset``, ``config`` and ``device`` to ``observe``.
        out: folder of the study: a folder per run, ``study.csv``, ``study.md``, ``curves.png``.
        methods: names of :data:`ctct.choices.MethodName`; all of them where left out.
        labelled: numbers of labelled patients.
        seeds: of the runs.
        test: folder of labelled patients on which each finished run is scored once.
        preset: see there.
        config: see there.
        device: see there.
        devices: see there.
        observe: see there.
        on_run: told the name of each run that begins, its number, from 1, and how many there are.
        settings: of all runs.

    Returns:
        The table as Markdown, and the reason of each run that failed, by name.

    Raises:
        ConfigError: a setting makes no sense, or ``out`` holds a study with other settings.
        InputError: the data cannot be used.
        RuntimeUnavailableError: PyTorch is not installed, or there is no such device.

    >>> import ctct
    >>> table, failed = ctct.compare_methods(  # doctest: +SKIP
    ...     "ACDC", "study", labelled=(3,), seeds=(0, 1, 2)
    ... )
    """
    from ctct.training.config import make_config

    settings["data"] = as_path(data, "data")
    with _needs("train"):
        from ctct.training.devices import default_preset
        from ctct.training.study import run_study
        from ctct.training.study_tables import study_markdown

        results, failed = run_study(
            make_config(preset or default_preset(device), settings, config),
            as_path(out, "out"),
            methods or get_args(MethodName),
            labelled,
            seeds,
            test=_optional_path(test),
            device=device,
            devices=devices,
            observe=observe,
            on_run=on_run,
        )
        return study_markdown(results), failed


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
        formats: of "onnx", "openvino", "engine" (TensorRT) and "triton".
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
        formats=_names(formats),
        precision=precision,
        variant=Variant(_names(members), tta, probabilities),
        verify=verify,
        verify_on=_optional_path(verify_on),
        calibration=_optional_path(calibration),
        metadata=dict(metadata or {}),
        profile=EngineProfile(batch, size),
        targets=_names(targets) if targets else (),
    )
    with _needs("export"):
        from ctct.exporters.export import export as run

        return run(as_path(source, "source"), as_path(out, "out"), request, on_stage)


def _optional_path(path: str | Path | None) -> Path | None:
    return None if path is None else as_path(path, "a path")


def _paths(paths: OneOrMore, what: str) -> list[Path]:
    if isinstance(paths, str | os.PathLike):
        return [as_path(paths, what)]
    if not isinstance(paths, Sequence):
        raise InputError(f"{what} is {paths!r}; give a path, or a list of paths")
    if not paths:
        raise InputError(f"{what} is an empty list; give files or folders")
    return [as_path(path, what) for path in paths]
