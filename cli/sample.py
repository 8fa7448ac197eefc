"""``ctct sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the two files.")],
    seed: Annotated[int, typer.Option(min=0, help="Each seed gives another patient.")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="Number of cardiac phases.")] = 20,
) -> None:
    """Write a synthetic short-axis cine and, as *_gt.nii.gz, its true labels."""
    from ctct.io.nifti import encode_study
    from ctct.storage import prepare_folder, write_atomic
    from ctct.synthetic import synthetic_cine

    prepare_folder(out)
    study, labels = synthetic_cine(seed, frames)
    for stem, content in encode_study(study, labels).items():
        write_atomic(out / f"{stem}.nii.gz", content)
        typer.echo(out / f"{stem}.nii.gz")
