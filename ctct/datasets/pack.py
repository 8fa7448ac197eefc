"""A training set as one compressed file, for machines that have neither the scans nor nibabel."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.datasets.collection import Collection, Volume
from ctct.errors import InputError
from ctct.labels import STRUCTURES
from ctct.storage import write_atomic

#: Of files with complete labels alone, which older versions read, and of files with partial ones.
FORMAT, PARTIAL_FORMAT = 1, 2

#: Larger fields of view are cropped about their center; 1.2 times the largest grid of a preset.
FIELD_OF_VIEW_MM = 340.0


def write_pack(
    collection: Collection, path: str | Path, field_of_view_mm: float = FIELD_OF_VIEW_MM
) -> None:
    """Write a ``.npz`` that :func:`read_pack` reads, at native resolution.

    Slices are cropped symmetrically to ``field_of_view_mm``, so that their center, and with it the
    networks' input, stays the same; a volume with labels beyond that field is not cropped.

    Raises:
        OutputError: the file cannot be written; nothing is left of it.
    """
    partly = collection.partly_labelled
    volumes = [_crop(volume, field_of_view_mm) for volume in (*collection.volumes, *partly)]
    arrays = {
        "format": np.array(PARTIAL_FORMAT if partly else FORMAT),
        "layout": np.array(collection.layout),
        "patient": np.array([v.patient for v in volumes]),
        "name": np.array([v.name for v in volumes]),
        "shape": np.array([v.voxels.shape for v in volumes], np.int32),
        "spacing_mm": np.array([v.spacing_mm for v in volumes], np.float64),
        "labelled": np.array([v.labels is not None for v in volumes]),
        "known": np.array([[s in v.known for s in STRUCTURES] for v in volumes]),
        "partly_labelled": np.array(len(partly)),
        "voxels": _concatenate([v.voxels for v in volumes]),
        "labels": _concatenate([v.labels for v in volumes if v.labels is not None]),
    }
    file = io.BytesIO()
    # bzip2 makes these bytes a quarter smaller than the deflate of np.savez_compressed.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
    write_atomic(Path(path), file.getvalue())


def read_pack(path: str | Path) -> Collection:
    """The collection of a file of :func:`write_pack`.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) not in (FORMAT, PARTIAL_FORMAT):
                raise InputError(f"{path}: packed by another version of ctct; pack it again")
            content = dict(file.items())
        volumes = []
        known = content.get("known", np.ones((len(content["shape"]), len(STRUCTURES)), bool))
        partly = int(content.get("partly_labelled", 0))
        voxel = label = 0
        for i, shape in enumerate(content["shape"]):
            size = int(np.prod(shape))
            voxels = content["voxels"][voxel : voxel + size].reshape(shape)
            voxel += size
            labels = None
            if content["labelled"][i]:
                labels = content["labels"][label : label + size].reshape(shape)
                label += size
            row_mm, column_mm = content["spacing_mm"][i].tolist()
            patient, name = str(content["patient"][i]), str(content["name"][i])
            shown = tuple(compress(STRUCTURES, known[i]))
            volumes.append(Volume(patient, name, voxels, labels, (row_mm, column_mm), shown))
        complete = len(volumes) - partly
        return Collection(
            tuple(volumes[:complete]), str(content["layout"]), tuple(volumes[complete:])
        )
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises errors of many kinds
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{path}: not a file of ctct pack ({reason})") from error


def _crop(volume: Volume, field_of_view_mm: float) -> Volume:
    rows, columns = (
        _center(n, round(field_of_view_mm / mm))
        for n, mm in zip(volume.voxels.shape[1:], volume.spacing_mm, strict=True)
    )
    labels = volume.labels
    if (
        labels is not None
        and labels[:, rows, columns].astype(bool).sum() < labels.astype(bool).sum()
    ):
        return volume
    return replace(
        volume,
        voxels=volume.voxels[:, rows, columns],
        labels=None if labels is None else labels[:, rows, columns],
    )


def _center(n: int, length: int) -> slice:
    """The middle ``length`` of ``n`` pixels, or one more so that both margins are equal."""
    margin = max(n - length, 0) // 2
    return slice(margin, n - margin)


def _concatenate(stacks: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    return np.concatenate([s.reshape(-1) for s in stacks]) if stacks else np.zeros(0, np.uint8)
