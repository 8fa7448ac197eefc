"""Choices, help panels and options that several commands share.

The choices stand here a second time, because help and completion import none of the modules that
define them; a test compares both.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ctct.choices import Device, RuntimeName

# Panels of the help, in the order in which they are shown.
INPUT = "Input"
MODEL = "Model and device"
OUTPUT = "Output"
LABEL_MAPS = "Label maps"
MEASUREMENT = "Measurement"
REPORT = "Report"
VERIFICATION = "Verification"
METADATA = "Metadata"


RUNTIME = Annotated[RuntimeName, typer.Option(help="What runs the model.", rich_help_panel=MODEL)]
DEVICE = Annotated[Device, typer.Option(help="Where it runs.", rich_help_panel=MODEL)]

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
