"""``ctct predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ctct.cli.options import BOTH, MEMBERS, TTA

if TYPE_CHECKING:
    from ctct.model_files.model_file import ModelFile
    from ctct.model_files.variant import Variant
    from ctct.predict.run_manifest import CaseStatus


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="NIfTI, MHA or NRRD files, DICOM in zips or folders, folders of all.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")],
    model: Annotated[
        str,
        typer.Option(
            help="'default', an .onnx or .engine file, or a folder that ctct train wrote."
        ),
    ] = "default",
    runtime: Annotated[
        str,
        typer.Option(help="auto, openvino, onnxruntime, onnxruntime-trt, tensorrt or torch."),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        str,
        typer.Option(metavar="N,N", help="GPUs that share the batches; 0,0: two at once on one."),
    ] = "",
    precision: Annotated[
        str, typer.Option(help="auto, fp32 or bf16. auto: bf16 where model and CPU have it.")
    ] = "auto",
    heart_crop: Annotated[
        bool,
        typer.Option(
            help="Run on a smaller grid around the heart once a few slices have shown where it "
            "is, where the model has a graph for that."
        ),
    ] = True,
    members: MEMBERS = BOTH,
    tta: TTA = False,
    batch: Annotated[
        str, typer.Option(help="Slices a step, or auto: the quickest, found once.")
    ] = "16",
    label_order: Annotated[
        str, typer.Option(help="Numbering of the labels written: acdc, mnms, ukbb or monai.")
    ] = "acdc",
    keep_all_components: Annotated[
        bool,
        typer.Option("--keep-all-components", help="Keep more than the largest of each structure."),
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Also write CASE.png, ED and ES with contours.")
    ] = False,
    subjects: Annotated[
        Path | None,
        typer.Option(help="CSV of id, sex, height_cm, weight_kg, heart_rate_bpm, a row a patient."),
    ] = None,
    ed: Annotated[
        int | None, typer.Option(min=0, help="ED frame, from 0; found from the LV's volume.")
    ] = None,
    es: Annotated[int | None, typer.Option(min=0, help="ES frame, likewise.")] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="Results of another model on these scans, for the range of each index."),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(help="SeriesInstanceUID to take, whatever the series looks like."),
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="nifti, or nifti,dicom-seg for DICOM segmentations too.")
    ] = "nifti",
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers",
            help="Patient's name, ID and study date of DICOM into tables and report.",
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option(help="Write segments.csv and report.html, a page a patient.")
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do again what an earlier run completed.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the case_status of each case.")
    ] = False,
) -> None:
    """Label RV, myocardium and LV in every scan, and measure them.

    Writes OUT/CASE_seg.nii.gz for each scan (0 background, 1 RV, 2 MYO, 3 LV), measurements.csv and
    .json (a row a patient), frames.csv (a row a frame), segments.csv (wall thickness), report.html
    and run.json. Run it again to go on where it stopped.
    """
    import json
    from dataclasses import asdict, replace

    from ctct.cli.messages import one_line
    from ctct.cli.progress import ProgressBar

    from ctct.errors import EXIT_SOME_FAILED, InputError
    from ctct.inference.segmenter import Segmenter
    from ctct.io.discover import discover
    from ctct.model_files.model_file import find_model
    from ctct.model_files.variant import Variant
    from ctct.predict.case_files import PredictOptions
    from ctct.predict.folder import predict_folder
    from ctct.predict.patients import read_overrides
    from ctct.predict.run_manifest import FAILED
    from ctct.runtimes.precision import in_precision

    gpus = _gpus(devices)
    cases, labels = discover(inputs, series or ())
    if labels:
        typer.echo(f"passing over {len(labels)} label maps (*_gt, *_seg)", err=True)
    overrides, problems = read_overrides(cases, subjects, ed, es, compare or ())
    for problem in problems:
        typer.echo(f"ctct: {one_line(problem)}", err=True)
    options = PredictOptions(
        clean_up=not keep_all_components,
        label_order=label_order,
        pictures=pictures,
        report=report,
        overwrite=overwrite,
        overrides=overrides,
        keep_identifiers=keep_identifiers,
        formats=tuple(formats.split(",")),
    )
    file = in_precision(itself := find_model(model), precision, runtime, device)
    if (variant := Variant(tuple(members.split(",")), tta)) != Variant():
        file = _in_variant(itself, variant, file.description.get("precision", "fp32"))
    if not heart_crop:
        file = replace(file, heart_crop=None)
    with ProgressBar(len(cases)) as observer:
        case_statuses = predict_folder(
            cases,
            out,
            file,
            lambda file: Segmenter.load(file, runtime, device, batch, gpus),
            options,
            observer,
        )
    failed = [case_status for case_status in case_statuses if case_status.status == FAILED]
    for case_status in failed:
        typer.echo(f"ctct: {one_line(case_status.reason)}", err=True)
    if as_json:
        typer.echo(json.dumps([asdict(case_status) for case_status in case_statuses], indent=2))
    else:
        typer.echo(one_line(_summary(case_statuses, out)))
    if failed:
        raise typer.Exit(
            EXIT_SOME_FAILED if len(failed) < len(case_statuses) else InputError.exit_code
        )


def _gpus(devices: str) -> tuple[int, ...]:
    from ctct.errors import ConfigError

    try:
        return tuple(map(int, filter(None, devices.split(","))))
    except ValueError as error:
        raise ConfigError(f"--devices {devices}: give numbers of GPUs, as in 0,1") from error


def _in_variant(model: ModelFile, variant: Variant, precision: str) -> ModelFile:
    from ctct.cli.progress import Spinner
    from ctct.exporters.variants import in_variant

    with Spinner() as spinner:
        return in_variant(model, variant, precision, spinner.say)


def _summary(case_statuses: list[CaseStatus], out: Path) -> str:
    counts = [
        f"{n} {status}"
        for status in ("done", "skipped", "failed")
        if (n := sum(case_status.status == status for case_status in case_statuses))
    ]
    return f"{', '.join(counts)}; results in {out}"
