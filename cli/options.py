"""Choices, help panels and options that several commands share.

The choices stand here a second time, because help and completion import none of the modules that
define them; a test compares both.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ctct.choices import Device, Papillary, Precision, RuntimeName

# Panels of the help, in the order in which they are shown.
INPUT = "Input"
MODEL = "Model and device"
OUTPUT = "Output"
LABEL_MAPS = "Label maps"
MEASUREMENT = "Measurement"
REPORT = "Report"
OPERATIONS = "Operations"
VERIFICATION = "Verification"
METADATA = "Metadata"


RUNTIME = Annotated[RuntimeName, typer.Option(help="What runs the model.", rich_help_panel=MODEL)]
DEVICE = Annotated[Device, typer.Option(help="Where it runs.", rich_help_panel=MODEL)]

PAIR = Annotated[
    str, typer.Argument(metavar="RUN_OR_MODEL", help="Folder of ctct train, a file, or 'default'.")
]
PAPILLARY = Annotated[
    Papillary,
    typer.Option(
        help="What papillary muscles count with, in volumes and mass: as labelled; cavity: all "
        "within the endocardial contour is; myocardium: what is dark there is.",
        rich_help_panel=MEASUREMENT,
    ),
]
FOLLOW_UP = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STUDY,STUDY",
        help="Studies of one patient to compare, earliest first; or dicom: those of one PatientID. "
        "A column follow_up_of in --subjects does the same.",
        rich_help_panel=MEASUREMENT,
    ),
]
ED = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="ED frame, from 0. Default: found from the LV volume.",
        rich_help_panel=MEASUREMENT,
    ),
]
ES = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="ES frame, from 0. Default: found from the LV volume.",
        rich_help_panel=MEASUREMENT,
    ),
]
WITH_REPORT = Annotated[
    bool,
    typer.Option(
        help="Write segments.csv and report.html, one page per patient.", rich_help_panel=REPORT
    ),
]
AS_JSON = Annotated[
    bool,
    typer.Option("--json", help="Print the status of each case as JSON.", rich_help_panel=OUTPUT),
]
# Of the services, which run what ctct predict runs.
SERVICE_MODEL = Annotated[
    str, typer.Option(help="'default', or any model of ctct predict.", rich_help_panel=MODEL)
]
SERVICE_STATUS_PORT = Annotated[
    int,
    typer.Option(
        min=0,
        max=65535,
        help="Port of /health and /metrics on this machine; 0: none.",
        rich_help_panel=OUTPUT,
    ),
]
SERVICE_PRECISION = Annotated[
    Precision, typer.Option(help="As of ctct predict.", rich_help_panel=MODEL)
]
BOTH = "cnn,transformer"
MEMBERS = Annotated[
    str,
    typer.Option(
        help="Networks of the pair to use: cnn, transformer or both, separated by a comma.",
        autocompletion=lambda: ["cnn", "transformer", BOTH],
        rich_help_panel=MODEL,
    ),
]
TTA = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Test-time augmentation: the mean over 8 orientations.",
        rich_help_panel=MODEL,
    ),
]
