"""Options that more than one command has."""

from __future__ import annotations

from typing import Annotated

import typer

BOTH = "cnn,transformer"
MEMBERS = Annotated[
    str, typer.Option(help="Networks that count: cnn, transformer, or both with a comma between.")
]
TTA = Annotated[
    bool, typer.Option("--tta", help="Test-time augmentation: the mean over 8 orientations.")
]
