"""The batch of one step: drawn, augmented, and shared out to the processes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ctct.models.grid import NetworkGrid, normalize
from ctct.training.config import BatchSettings
from ctct.training.data.augment import AUGMENTATIONS, rectangles
from ctct.training.data.slices import SliceSet


@dataclass(frozen=True)
class TrainingBatch:
    """Augmented slices, the labelled ones first.

    Attributes:
        weak: (N, 1, S, S) normalized slices without changes of intensity.
        strong: the same slices with them.
        labels: (L, S, S) manual labels of the first L slices.
        partner: (N,) index of the slice from which each takes its rectangle.
        rectangle: (N, S, S) true within that rectangle.
        numbers: numbers of the slices in the labelled and, if there are any, in the unlabelled set.
    """

    weak: Tensor
    strong: Tensor
    labels: Tensor
    partner: Tensor
    rectangle: Tensor
    numbers: tuple[Tensor, ...] = ()

    def mix(self, values: Tensor) -> Tensor:
        """CutMix: ``values`` (N, …, S, S), within each slice's rectangle those of its partner."""
        inside = self.rectangle if values.ndim == 3 else self.rectangle[:, None]
        return torch.where(inside, values[self.partner], values)

    def labelled_pixels(self) -> Tensor:
        """(N, S, S) 1 where a mixed slice shows a labelled one, else 0."""
        labelled = torch.zeros(self.rectangle.shape, device=self.weak.device)
        labelled[: len(self.labels)] = 1
        return self.mix(labelled)


def draw_batch(
    labelled: SliceSet,
    unlabelled: SliceSet | None,
    settings: BatchSettings,
    grid: NetworkGrid,
    generator: torch.Generator,
    heart_crop_size: int = 0,
) -> TrainingBatch:
    """A batch of ``settings.batch`` slices, all labelled if ``unlabelled`` is None.

    With ``heart_crop_size``, half of the batches (at random) are drawn on a grid of that size and
    of the same spacing, around the patients' hearts.
    """
    augmentation = AUGMENTATIONS[settings.augmentation]
    is_heart_crop = heart_crop_size > 0 and bool(
        torch.rand((), generator=generator, device=generator.device) < 0.5
    )
    if is_heart_crop:
        grid = NetworkGrid(heart_crop_size, grid.spacing_mm)
    labelled_count = settings.batch if unlabelled is None else settings.labelled_batch_size
    counts = ((labelled, labelled_count), (unlabelled, settings.batch - labelled_count))
    raw: list[Tensor] = []
    numbers: list[Tensor] = []
    labels: list[Tensor] = []
    for slices, count in counts:
        if slices is None or count == 0:
            continue
        drawn = slices.draw(count, generator)
        geometry = augmentation.geometry(count, generator)
        if is_heart_crop:
            geometry[:, :, 2] += slices.center_mm[drawn]
        slice_images, slice_labels = slices.sample(drawn, grid, geometry)
        numbers.append(drawn)
        raw.append(slice_images)
        if slices is labelled:
            assert slice_labels is not None
            labels.append(slice_labels)
    images = torch.cat(raw)
    n = len(images)
    return TrainingBatch(
        weak=normalize(images),
        strong=normalize(augmentation.intensity(images, generator)),
        labels=torch.cat(labels),
        partner=torch.randperm(n, generator=generator, device=generator.device),
        rectangle=rectangles(n, grid.size, settings.cut_mix, generator),
        numbers=tuple(numbers),
    )


def shard(batch: TrainingBatch, rank: int, processes: int) -> TrainingBatch:
    """The share of process ``rank``: every ``processes``-th slice, labelled and unlabelled.

    All processes draw the same batch. A slice's partner is one of its own process.
    """
    if processes == 1:
        return batch
    n, labelled = len(batch.weak), len(batch.labels)
    numbers = torch.arange(n, device=batch.partner.device)
    selected = torch.cat((numbers[rank:labelled:processes], numbers[labelled + rank :: processes]))
    return TrainingBatch(
        weak=batch.weak[selected],
        strong=batch.strong[selected],
        labels=batch.labels[rank::processes],
        partner=batch.partner[selected].argsort(),
        rectangle=batch.rectangle[selected],
        numbers=batch.numbers,
    )
