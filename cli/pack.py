"""``ctct pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctct.choices import LabelOrder


def pack(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of patients, or of results with corrections."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, ending in .npz.")],
    label_order: Annotated[LabelOrder, typer.Option(help="Numbering of the labels.")] = "acdc",
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="Further folder of scans, used without labels; repeatable."),
    ] = None,
    partly_labelled: Annotated[
        list[Path] | None,
        typer.Option(
            help="Further folder of training patients whose labels lack structures; repeatable."
        ),
    ] = None,
) -> None:
    """Put a training set into one file.

    ctct train takes it on machines that have neither the scans nor nibabel.
    """
    from ctct.correction.training_set import pack_corrections
    from ctct.datasets.layouts import PACK, read_collection
    from ctct.datasets.pack import write_pack
    from ctct.errors import ConfigError

    if out.suffix != PACK:
        raise ConfigError(f"--out {out}: must end in {PACK}")
    data = pack_corrections(data, out)
    collection = read_collection(data, label_order, unlabelled or (), partly_labelled or ())
    write_pack(collection, out)
    partly = collection.partly_labelled
    volumes = (*collection.volumes, *partly)
    labelled = sum(v.labels is not None for v in collection.volumes)
    typer.echo(
        f"{out}: {len({v.patient for v in volumes})} patients, {len(volumes)} volumes, "
        f"{labelled} labelled, {f'{len(partly)} partly labelled, ' if partly else ''}"
        f"{out.stat().st_size / 1e6:.1f} MB"
    )
