"""``ctct predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.choices import LabelOrder, NameFrom, Precision
from ctct.cli.options import (
    BOTH,
    DEVICE,
    INPUT,
    LABEL_MAPS,
    MEASUREMENT,
    MEMBERS,
    MODEL,
    OUTPUT,
    REPORT,
    RUNTIME,
    TTA,
)

if TYPE_CHECKING:
    from ctct.prediction.run_manifest import CaseStatus


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            help="NIfTI, MHA or NRRD files, DICOM in zips or folders, or folders of these.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the results.", rich_help_panel=OUTPUT)
    ],
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID",
            help="SeriesInstanceUID to segment, even if it does not look like a short-axis cine.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    name_from: Annotated[
        NameFrom,
        typer.Option(
            help="What a case is called after: its path below INPUT, its file or folder alone, or "
            "of DICOM a hash of the study's UID, or the PatientID.",
            rich_help_panel=INPUT,
        ),
    ] = "path",
    deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Longest time to read a scan; one that takes longer fails, and the others go on.",
            rich_help_panel=INPUT,
        ),
    ] = 120,
    model: Annotated[
        str,
        typer.Option(
            help="'default', an .onnx or .engine file, or a folder that ctct train wrote.",
            rich_help_panel=MODEL,
        ),
    ] = "default",
    runtime: RUNTIME = "auto",
    device: DEVICE = "auto",
    devices: Annotated[
        str,
        typer.Option(
            metavar="N,N",
            help="GPUs that share the batches; 0,0 runs two at once on the first.",
            rich_help_panel=MODEL,
        ),
    ] = "",
    precision: Annotated[
        Precision,
        typer.Option(
            help="auto: bf16 where the model has it and the CPU computes in it.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    heart_crop: Annotated[
        bool,
        typer.Option(
            help="Run on a smaller grid around the heart once a few slices have shown where it "
            "is, if the model has a graph for that.",
            rich_help_panel=MODEL,
        ),
    ] = True,
    members: MEMBERS = BOTH,
    tta: TTA = False,
    batch: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Slices per call, or auto: the fastest, measured once.",
            rich_help_panel=MODEL,
        ),
    ] = "16",
    subjects: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of id, sex, height_cm, weight_kg, heart_rate_bpm; one row per patient.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    ed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="ED frame, from 0. Default: found from the LV volume.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    es: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="ES frame, from 0. Default: found from the LV volume.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            help="Results of another model on these scans, for the range of each index.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    keep_all_components: Annotated[
        bool,
        typer.Option(
            "--keep-all-components",
            help="Keep the networks' labels as they are: parts that lie apart, holes in the heart.",
            rich_help_panel=LABEL_MAPS,
        ),
    ] = False,
    label_order: Annotated[
        LabelOrder,
        typer.Option(help="Numbering of the labels written.", rich_help_panel=LABEL_MAPS),
    ] = "acdc",
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="nifti, or nifti,dicom-seg for DICOM segmentations too.",
            autocompletion=lambda: ["nifti", "nifti,dicom-seg"],
            rich_help_panel=LABEL_MAPS,
        ),
    ] = "nifti",
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Also write CASE.png: ED and ES with contours.",
            rich_help_panel=REPORT,
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            help="Write segments.csv and report.html, one page per patient.",
            rich_help_panel=REPORT,
        ),
    ] = True,
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers",
            help="Write the patient's name, ID and study date of DICOM into tables and report.",
            rich_help_panel=REPORT,
        ),
    ] = False,
    de_identify: Annotated[
        bool,
        typer.Option(
            "--de-identify",
            help="Leave patient, study, hospital and staff out of DICOM segmentations; the UIDs of "
            "study and images stay.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Segment again what an earlier run completed.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the status of each case as JSON.", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Label RV, myocardium and LV in every scan, and measure them.

    Writes OUT/CASE_seg.nii.gz for each scan (0 background, 1 RV, 2 MYO, 3 LV), measurements.csv and
    .json (one row per patient), frames.csv (one row per frame), segments.csv (wall thickness),
    report.html and run.json. To continue an interrupted run, run the same command again.
    """
    import json
    from dataclasses import asdict

    from ctct.api.functions import predict as run
    from ctct.cli.case_progress import case_progress
    from ctct.cli.messages import one_line
    from ctct.errors import EXIT_SOME_FAILED, InputError
    from ctct.prediction.run_manifest import FAILED

    with case_progress() as observer:
        statuses = run(
            inputs,
            out,
            model=model,
            runtime=runtime,
            device=device,
            batch=batch,
            precision=precision,
            gpus=_gpus(devices),
            heart_crop=heart_crop,
            members=tuple(members.split(",")),
            tta=tta,
            series=series or (),
            name_from=name_from,
            label_order=label_order,
            clean_up=not keep_all_components,
            pictures=pictures,
            report=report,
            formats=tuple(formats.split(",")),
            subjects=subjects,
            ed=ed,
            es=es,
            compare=compare or (),
            keep_identifiers=keep_identifiers,
            de_identify=de_identify,
            overwrite=overwrite,
            deadline_s=deadline,
            observer=observer,
            on_export=observer.export_stage,
        )
    failed = [status for status in statuses if status.status == FAILED]
    for status in failed:
        typer.echo(f"ctct: {one_line(status.reason)}", err=True)
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        typer.echo(one_line(_summary(statuses, out)))
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED if len(failed) < len(statuses) else InputError.exit_code)


def _gpus(devices: str) -> tuple[int, ...]:
    from ctct.errors import ConfigError

    try:
        return tuple(map(int, filter(None, devices.split(","))))
    except ValueError as error:
        raise ConfigError(f"--devices {devices}: give numbers of GPUs, as in 0,1") from error


def _summary(statuses: list[CaseStatus], out: Path) -> str:
    counts = [
        f"{n} {name}"
        for name in ("done", "skipped", "failed")
        if (n := sum(status.status == name for status in statuses))
    ]
    return f"{', '.join(counts)}; results in {out}"
