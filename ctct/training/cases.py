"""Patients on disk, as slices for training and as volumes for validation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.labels import CLASSES, remap
from ctct.models.grid import NetworkGrid, sample


@dataclass(frozen=True)
class LabelledVolume:
    """One frame of one patient with its manual labels.

    Attributes:
        patient: folder name.
        name: file name without its ending.
        voxels: (Z, H, W) float32.
        labels: (Z, H, W) uint8.
        spacing_mm: (row, column) in-plane spacing.
    """

    patient: str
    name: str
    voxels: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float]


def read_splits(path: str | Path) -> tuple[list[str], list[str]]:
    """Training patients, in published order, and validation patients of a splits file."""
    try:
        content = json.loads(Path(path).read_text())
        return list(content["train_in_published_order"]), list(content["validation"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a splits file ({error}); expected JSON with the lists "
            "'train_in_published_order' and 'validation'"
        ) from error


def read_labelled(root: str | Path, patients: Sequence[str]) -> Iterator[LabelledVolume]:
    """Every frame with manual labels (``*_gt.nii.gz`` beside it) of the patients named."""
    for patient in patients:
        references = sorted((Path(root) / patient).glob("*_gt.nii.gz"))
        if not references:
            raise InputError(f"{Path(root) / patient}: no *_gt.nii.gz; expected the ACDC layout")
        for reference in references:
            name = reference.name.removesuffix("_gt.nii.gz")
            study = read_nifti(reference.with_name(f"{name}.nii.gz"))
            labels = remap(read_nifti(reference).voxels.astype(np.int16))
            if labels.shape != study.voxels.shape:
                raise InputError(
                    f"{reference}: labels are {labels.shape}, the image is {study.voxels.shape}"
                )
            yield LabelledVolume(patient, name, study.voxels[0], labels[0], study.spacing_mm)


class SliceSet:
    """Slices of many patients, drawn as augmented batches on the networks' grid.

    Args:
        volumes: the frames to cut up.
        labelled: names of the patients whose labels may be used.
    """

    def __init__(self, volumes: Sequence[LabelledVolume], labelled: Sequence[str]) -> None:
        known = set(labelled)
        self.images: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.spacing_mm: list[tuple[float, float]] = []
        self.labelled: list[int] = []
        self.unlabelled: list[int] = []
        for volume in volumes:
            for image, labels in zip(volume.voxels, volume.labels, strict=True):
                own = self.labelled if volume.patient in known else self.unlabelled
                own.append(len(self.images))
                self.images.append(torch.from_numpy(image.copy()))
                self.labels.append(torch.from_numpy(labels.copy()))
                self.spacing_mm.append(volume.spacing_mm)

    def draw(self, batch: int, generator: torch.Generator) -> list[int]:
        """Slice numbers of a batch: the first half labelled, or all where none is unlabelled."""
        pools = [self.labelled, self.unlabelled] if self.unlabelled else [self.labelled]
        return [
            pool[int(i)]
            for pool in pools
            for i in torch.randint(len(pool), (batch // len(pools),), generator=generator)
        ]

    def on_grid(
        self, numbers: Sequence[int], grid: NetworkGrid, transform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Images (N, 1, S, S), raw intensities, and labels (N, S, S) of slices, augmented.

        Labels are resampled class by class, linearly, and the largest wins.
        """
        images = _stack([self.images[i] for i in numbers])
        labels = _stack([self.labels[i] for i in numbers])
        one_hot = F.one_hot(labels[:, 0].long(), len(CLASSES)).movedim(-1, 1)[:, 1:]
        spacing = torch.tensor([self.spacing_mm[i] for i in numbers])
        sampled = sample(
            torch.cat((images, one_hot.to(images.dtype)), 1),
            spacing,
            (grid.size, grid.size),
            torch.full_like(spacing, grid.spacing_mm),
            transform,
        )
        foreground = sampled[:, 1:]
        background = 1 - foreground.sum(1, keepdim=True)
        return sampled[:, :1], torch.cat((background, foreground), 1).argmax(1)


def _stack(slices: Sequence[Tensor]) -> Tensor:
    """(N, 1, H, W) of slices of different size, padded with zeros about the centre."""
    height = max(s.shape[0] for s in slices)
    width = max(s.shape[1] for s in slices)
    padded = []
    for s in slices:
        rows, columns = height - s.shape[0], width - s.shape[1]
        margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        padded.append(F.pad(s, margins))
    return torch.stack(padded)[:, None]
