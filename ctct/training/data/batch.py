"""The batch of one step: drawn, augmented, and shared out to the processes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ctct.models.grid import HeartCrop, NetworkGrid, sample
from ctct.training.config import BatchSettings
from ctct.training.data.augment import AUGMENTATIONS, WIDE_SCALE, rectangles
from ctct.training.data.slices import SliceSet


@dataclass(frozen=True)
class TrainingBatch:
    """Augmented slices, the labelled ones first, and the unlabelled ones as they are.

    Attributes:
        images: (N, 1, S, S) normalized slices, changed in geometry and intensity.
        labels: (L, S, S) manual labels of the first L slices.
        partner: (N,) index of the slice from which each takes its rectangle.
        rectangle: (N, S, S) true within that rectangle.
        plain: (N - L, 1, S, S) the unlabelled slices without any change, for teachers.
        geometry: (N - L, 2, 3) affines from a position in ``images`` to that in ``plain``, in
            pixels about the center, (row, column) order.
        numbers: numbers of the slices in each of the sets that they are drawn from.
        unknown: (L, C) true for classes that the labels of a slice do not tell from the background;
            None if no slice is from partly labelled patients.
    """

    images: Tensor
    labels: Tensor
    partner: Tensor
    rectangle: Tensor
    plain: Tensor
    geometry: Tensor
    numbers: tuple[Tensor, ...] = ()
    unknown: Tensor | None = None

    def mix(self, values: Tensor) -> Tensor:
        """CutMix: ``values`` (N, …, S, S), within each slice's rectangle those of its partner."""
        inside = self.rectangle if values.ndim == 3 else self.rectangle[:, None]
        return torch.where(inside, values[self.partner], values)

    def labelled_pixels(self) -> Tensor:
        """(N, S, S) 1 where a mixed slice shows a labelled one, else 0."""
        labelled = torch.zeros(self.rectangle.shape, device=self.images.device)
        labelled[: len(self.labels)] = 1
        return self.mix(labelled)

    def unknown_pixels(self) -> Tensor | None:
        """(N, C, S, S) true where a mixed slice shows one without that class known, or None."""
        if self.unknown is None:
            return None
        unknown = F.pad(self.unknown, (0, 0, 0, len(self.images) - len(self.unknown)))
        return self.mix(unknown[:, :, None, None].expand(-1, -1, *self.rectangle.shape[1:]))

    def align(self, maps: Tensor) -> Tensor:
        """Maps (N - L, C, S, S) of the plain slices, moved as the images are; zero beyond them."""
        pixels = torch.ones_like(self.geometry[:, :, 0])
        size = (maps.shape[-2], maps.shape[-1])
        return sample(maps, pixels, size, pixels, self.geometry)

    def align_and_mix(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N - L, C, S, S) of the plain slices where the mixed slices show them.

        Returns:
            The maps (N, C, S, S), and weights (N, S, S): 1 where they are known, else 0, as on
            labelled slices and beyond the plain ones.
        """
        known = self.align(torch.ones_like(maps[:, :1]))
        aligned = torch.cat((self.align(maps), known), 1)
        aligned = self.mix(F.pad(aligned, (0, 0) * 3 + (len(self.labels), 0)))
        return aligned[:, :-1], (aligned[:, -1] > 0.99).to(maps.dtype)


def draw_batch(
    labelled: SliceSet,
    unlabelled: SliceSet | None,
    settings: BatchSettings,
    grid: NetworkGrid,
    generator: torch.Generator,
    heart_crop: HeartCrop | None = None,
    partly_labelled: SliceSet | None = None,
) -> TrainingBatch:
    """A batch of ``settings.batch`` slices, all labelled if ``unlabelled`` is None.

    With ``partly_labelled``, ``settings.partly_labelled_share`` of the labelled slices are of that
    set, in the mean over the batches.

    With ``heart_crop``, ``settings.heart_crop_share`` of the batches, at random, are drawn on it,
    around the patients' hearts. If it scales hearts to one size, they vary more in size on the
    whole grid.
    """
    augmentation = AUGMENTATIONS[settings.augmentation]
    crop = None
    if heart_crop is not None:
        at_random = torch.rand((), generator=generator, device=generator.device)
        crop = heart_crop if at_random < settings.heart_crop_share else None
    if crop is not None:
        grid = replace(grid, size=crop.size)
    elif heart_crop is not None and heart_crop.extent_mm:
        augmentation = replace(augmentation, scale=WIDE_SCALE)
    labelled_count = settings.batch if unlabelled is None else settings.labelled_batch_size

    def draw(slices: SliceSet, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of slices, the change of each one's geometry, and the view that it changes."""
        numbers, geometry = slices.draw(count, generator), augmentation.geometry(count, generator)
        view = torch.eye(2, 3, device=geometry.device).repeat(count, 1, 1)
        if crop is not None:
            view[:, :, 2] = slices.center_mm[numbers]
            if extent_mm := crop.extent_mm:
                true_mm = slices.extent_mm[numbers].nan_to_num(extent_mm)
                view[:, :, :2] *= true_mm[:, None, None] / extent_mm
        elif augmentation.crop:
            room = (slices.field_mm(numbers, grid) - grid.size * grid.spacing_mm).clamp_min(0)
            at = torch.rand(room.shape, generator=generator, device=room.device)
            view[:, :, 2] = room * (at - 0.5)
        return numbers, geometry, view

    sources = [(labelled, labelled_count)]
    if partly_labelled is not None:
        at_random = torch.rand((), generator=generator, device=generator.device)
        count = int(settings.partly_labelled_share * labelled_count + at_random)
        sources = [(labelled, labelled_count - count), (partly_labelled, count)]
    nearest = augmentation.nearest
    drawn, parts = list[Tensor](), list[tuple[Tensor, ...]]()
    for slices, count in sources:
        numbers, geometry, view = draw(slices, count)
        part, part_labels = slices.sample(numbers, grid, compose(view, geometry), nearest)
        assert part_labels is not None
        drawn.append(numbers)
        parts.append((part, part_labels, slices.unknown[numbers]))
    images, labels, unknown = map(torch.cat, zip(*parts, strict=True))
    plain, geometry = images[:0], geometry[:0]
    if unlabelled is not None and labelled_count < settings.batch:
        numbers, geometry, view = draw(unlabelled, settings.batch - labelled_count)
        moved, _ = unlabelled.sample(numbers, grid, compose(view, geometry), nearest)
        plain, _ = unlabelled.sample(numbers, grid, view, nearest)
        images = torch.cat((images, moved))
        drawn.append(numbers)
    n = len(images)
    return TrainingBatch(
        images=grid.normalize(augmentation.intensity(images, generator)),
        labels=labels,
        partner=torch.randperm(n, generator=generator, device=generator.device),
        rectangle=rectangles(n, grid.size, settings.cut_mix, generator),
        plain=grid.normalize(plain),
        geometry=torch.cat((geometry[:, :, :2], geometry[:, :, 2:] / grid.spacing_mm), 2),
        numbers=tuple(drawn),
        unknown=None if partly_labelled is None else unknown,
    )


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Affines (N, 2, 3) that do ``inner``, then ``outer``."""
    linear = outer[:, :, :2]
    return torch.cat((linear @ inner[:, :, :2], linear @ inner[:, :, 2:] + outer[:, :, 2:]), 2)


def shard(batch: TrainingBatch, rank: int, processes: int) -> TrainingBatch:
    """The share of process ``rank``: every ``processes``-th slice, labelled and unlabelled.

    All processes draw the same batch. A slice's partner is one of its own process.
    """
    if processes == 1:
        return batch
    n, labelled = len(batch.images), len(batch.labels)
    numbers = torch.arange(n, device=batch.partner.device)
    selected = torch.cat((numbers[rank:labelled:processes], numbers[labelled + rank :: processes]))
    return TrainingBatch(
        images=batch.images[selected],
        labels=batch.labels[rank::processes],
        partner=batch.partner[selected].argsort(),
        rectangle=batch.rectangle[selected],
        plain=batch.plain[rank::processes],
        geometry=batch.geometry[rank::processes],
        numbers=batch.numbers,
        unknown=None if batch.unknown is None else batch.unknown[rank::processes],
    )
