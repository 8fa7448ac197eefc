"""``ctct predict``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctct.choices import LabelOrder, Layout, NameFrom, Precision
from ctct.cli.options import (
    AS_JSON,
    BOTH,
    DEVICE,
    ED,
    ES,
    FOLLOW_UP,
    INPUT,
    LABEL_MAPS,
    MEASUREMENT,
    MEMBERS,
    MODEL,
    OPERATIONS,
    OUTPUT,
    PAPILLARY,
    REPORT,
    RUNTIME,
    TTA,
    WITH_REPORT,
)

if TYPE_CHECKING:
    from ctct.prediction.results import Summary
    from ctct.prediction.run_manifest import CaseStatus


def predict(
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            help="Folder for the results, or its URL, as s3://bucket/folder.",
            rich_help_panel=OUTPUT,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="NIfTI, MHA or NRRD files, DICOM in zips or folders, or folders of these; or URLs "
            "of them, as s3://bucket/folder.",
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="List of the scans, in place of INPUT: a file of ctct index.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Share of the index, as in 3/64; ctct report then writes the tables of all.",
            rich_help_panel=INPUT,
        ),
    ] = "",
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster whose nodes share the scans: auto, ray://HEAD:10001 or HEAD:6379.",
            rich_help_panel=OPERATIONS,
        ),
    ] = "",
    ray_cpus: Annotated[
        int,
        typer.Option(
            metavar="N", help="CPUs of each worker of the cluster.", rich_help_panel=OPERATIONS
        ),
    ] = 1,
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
    case_deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Longest time to segment a scan; one that takes longer fails.",
            rich_help_panel=INPUT,
        ),
    ] = None,
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
            help="Table of id, sex, height_cm, weight_kg, heart_rate_bpm; one row per patient. Or "
            "participants.tsv, which is used by itself where INPUT is BIDS.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    ed: ED = None,
    es: ES = None,
    papillary: PAPILLARY = "labels",
    follow_up: FOLLOW_UP = None,
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
            help="Keep the networks' labels as they are: parts that lie apart, RV above the base, "
            "holes in the heart.",
            rich_help_panel=LABEL_MAPS,
        ),
    ] = False,
    label_order: Annotated[
        LabelOrder,
        typer.Option(help="Numbering of the labels written.", rich_help_panel=LABEL_MAPS),
    ] = "acdc",
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME,NAME",
            help="What to write beside the label maps: seg-nrrd, which 3D Slicer edits; for scans "
            "from DICOM: seg (segmentations, one per phase), seg-cine (one of all phases), sr "
            "(measurements), pdf (report), sc (picture with contours).",
            autocompletion=lambda: ["seg", "seg-cine", "sr", "pdf", "sc", "seg-nrrd", "nifti"],
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    layout: Annotated[
        Layout,
        typer.Option(
            help="bids: OUT becomes a data set of BIDS derivatives, with the results of ctct in "
            "OUT/ctct.",
            rich_help_panel=OUTPUT,
        ),
    ] = "ctct",
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Also write CASE.png: ED and ES with contours.",
            rich_help_panel=REPORT,
        ),
    ] = False,
    report: WITH_REPORT = True,
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
            help="Leave patient, study, hospital and staff out of DICOM objects; the UIDs of study "
            "and images stay.",
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
    max_failures: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Take no more scans after more failures than N.",
            rich_help_panel=OPERATIONS,
        ),
    ] = None,
    cache_gb: Annotated[
        float | None,
        typer.Option(
            metavar="GB",
            help="Fetch scans at URLs ahead up to that size; 4 by default.",
            rich_help_panel=OPERATIONS,
        ),
    ] = None,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="A line of JSON on standard error for each event, without names and paths.",
            rich_help_panel=OPERATIONS,
        ),
    ] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file for Prometheus, written every few seconds.",
            rich_help_panel=OPERATIONS,
        ),
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Label RV, myocardium and LV in every scan, and measure them.

    Writes OUT/CASE_seg.nii.gz for each scan (0 background, 1 RV, 2 MYO, 3 LV), measurements.csv and
    .json (one row per patient), frames.csv (one row per frame), segments.csv (wall thickness),
    report.html and run.json. To continue an interrupted run, run the same command again.
    """
    import json
    from dataclasses import asdict

    from ctct.api.prediction import predict as run
    from ctct.cli.case_progress import case_progress
    from ctct.cli.messages import one_line
    from ctct.cli.operations import JsonHandler, JsonLog, Metrics, Observers, stop_on_sigterm
    from ctct.errors import EXIT_SOME_FAILED, CtctError, InputError
    from ctct.prediction.run_manifest import FAILED

    events = JsonLog() if log_json else None
    if events:
        logging.getLogger("ctct").handlers = [JsonHandler()]
    measures = Metrics(metrics) if metrics else None
    try:
        with case_progress() as bar, stop_on_sigterm() as stop:
            observer = Observers([o for o in (bar, events, measures) if o])
            statuses = run(
                inputs or None,
                out,
                index=index,
                shard=shard,
                ray=ray,
                ray_cpus=ray_cpus,
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
                formats=",".join(formats or ["nifti"]),
                layout=layout,
                subjects=subjects,
                ed=ed,
                es=es,
                papillary=papillary,
                follow_up=follow_up or (),
                compare=compare or (),
                keep_identifiers=keep_identifiers,
                de_identify=de_identify,
                overwrite=overwrite,
                deadline_s=deadline,
                case_deadline_s=case_deadline,
                max_failures=max_failures,
                cache_gb=cache_gb,
                stop=stop,
                observer=observer,
                on_export=bar.export_stage,
            )
    except CtctError as error:
        if events:
            events.end(error.exit_code)
            raise typer.Exit(error.exit_code) from error
        raise
    finally:
        if measures:
            measures.end()
    failed = [status for status in statuses if status.status == FAILED]
    code = 0
    if failed:
        code = EXIT_SOME_FAILED if len(failed) < len(statuses) else InputError.exit_code
    if events:
        events.end(code)
    else:
        for status in failed:
            typer.echo(f"ctct: {one_line(status.reason)}", err=True)
        if max_failures is not None and len(failed) > max_failures:
            typer.echo(
                f"ctct: more than --max-failures {max_failures}; the same command continues",
                err=True,
            )
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in statuses], indent=2))
    elif not events:
        typer.echo(one_line(_summary(statuses, bar.summary, out)))
        if shard:
            typer.echo(one_line(f"ctct report {out} writes the tables of all shards"))
    if code:
        raise typer.Exit(code)


def _gpus(devices: str) -> tuple[int, ...]:
    from ctct.errors import ConfigError

    try:
        return tuple(map(int, filter(None, devices.split(","))))
    except ValueError as error:
        raise ConfigError(f"--devices {devices}: give numbers of GPUs, as in 0,1") from error


def _summary(statuses: list[CaseStatus], summary: Summary, out: str) -> str:
    """How the cases ended, the verdicts on the patients and the range of their LVEF."""
    ended = Counter(status.status for status in statuses)
    counts = _counts({name: ended[name] for name in ("done", "skipped", "failed")})
    return "; ".join((counts, *describe_patients(summary), f"results in {out}"))


def describe_patients(summary: Summary) -> list[str]:
    """The verdicts on the patients and the range of their LVEF."""
    from ctct.cli.messages import count_of
    from ctct.measurement.quality_flags import REJECT

    parts = []
    if summary.patients:
        parts.append(f"{count_of(summary.patients, 'patient')}: {_counts(summary.verdicts)}")
    if summary.lvef_percent:
        low, high = (f"{percent:.0f}" for percent in summary.lvef_percent)
        whose = " of those not rejected" if summary.verdicts[REJECT] else ""
        parts.append(f"LVEF{whose} {low if low == high else f'{low} to {high}'} %")
    return parts


def _counts(numbers: Mapping[str, int]) -> str:
    """How often each name is there, as in "3 ok, 1 review"."""
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
