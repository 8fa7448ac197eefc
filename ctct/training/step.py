"""What the pair learns from in one step: the batch, and its loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ctct.models.grid import NetworkGrid, normalize
from ctct.training.config import TrainingConfig
from ctct.training.cross_teaching import pseudo_labels, segmentation_loss
from ctct.training.data.augment import AUGMENTATIONS, rectangles
from ctct.training.data.slices import SliceSet


@dataclass(frozen=True)
class TrainingBatch:
    """Augmented slices, the labelled ones first.

    Attributes:
        weak: (N, 1, S, S) normalised slices without changes of intensity.
        strong: the same with them.
        labels: (L, S, S) manual labels of the first L slices.
        partner: (N,) which slice of the batch each gets its rectangle from.
        rectangle: (N, S, S) where it does.
    """

    weak: Tensor
    strong: Tensor
    labels: Tensor
    partner: Tensor
    rectangle: Tensor


def draw_batch(
    labelled: SliceSet,
    unlabelled: SliceSet | None,
    config: TrainingConfig,
    grid: NetworkGrid,
    generator: torch.Generator,
) -> tuple[TrainingBatch, list[Tensor]]:
    """A batch of ``config.batch`` slices, all of them labelled where ``unlabelled`` is None.

    With ``config.heart_crop_size``, half of the batches (at random) are drawn on that smaller grid,
    around the patients' hearts.

    Returns:
        The batch, and the numbers of its slices in each set.
    """
    augmentation = AUGMENTATIONS[config.augmentation]
    on_heart = config.heart_crop_size > 0 and _coin(generator)
    if on_heart:
        grid = NetworkGrid(config.heart_crop_size, grid.spacing_mm)
    raw, numbers = [], []
    labels = None
    known = config.batch if unlabelled is None else config.labelled_batch_size
    counts = ((labelled, known), (unlabelled, config.batch - known))
    for slices, count in counts:
        if slices is None or count == 0:
            continue
        numbers.append(slices.draw(count, generator))
        geometry = augmentation.geometry(count, generator)
        if on_heart:
            geometry[:, :, 2] += slices.center_mm[numbers[-1]]
        images, own = slices.on_grid(numbers[-1], grid, geometry)
        raw.append(images)
        labels = own if labels is None else labels
    images = torch.cat(raw)
    assert labels is not None
    n = len(images)
    batch = TrainingBatch(
        weak=normalize(images),
        strong=normalize(augmentation.intensity(images, generator)),
        labels=labels,
        partner=torch.randperm(n, generator=generator, device=generator.device),
        rectangle=rectangles(n, grid.size, config.cut_mix, generator),
    )
    return batch, numbers


def _coin(generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator, device=generator.device) < 0.5)


def part_of(batch: TrainingBatch, rank: int, processes: int) -> TrainingBatch:
    """Every ``processes``-th slice, from the ``rank``-th: the share of one process of a batch.

    All processes draw the same batch; a slice's partner is one of its own process's.
    """
    if processes == 1:
        return batch
    n, known = len(batch.weak), len(batch.labels)
    own = torch.cat(
        (torch.arange(rank, known, processes), torch.arange(known + rank, n, processes))
    )
    own = own.to(batch.partner.device)
    return TrainingBatch(
        weak=batch.weak[own],
        strong=batch.strong[own],
        labels=batch.labels[rank::processes],
        partner=batch.partner[own].argsort(),
        rectangle=batch.rectangle[own],
    )


def batch_loss(
    batch: TrainingBatch,
    students: tuple[nn.Module, nn.Module],
    teachers: tuple[nn.Module, nn.Module],
    config: TrainingConfig,
    cross_teaching_weight: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of both networks on one batch: supervised, and from each other's pseudo-labels.

    Args:
        batch: the slices.
        students: the two networks, training.
        teachers: their moving averages, not used where ``config.teacher`` is "student".
        config: of the run.
        cross_teaching_weight: weight of an unlabelled slice beside a labelled one at this step.

    Returns:
        The loss, and its parts, detached, by name.
    """
    known = len(batch.labels)
    unknown = slice(known, None)
    strong = _mix(batch, batch.strong)
    channels_last = strong.contiguous(memory_format=torch.channels_last)
    logits = [student(channels_last).float() for student in students]

    if known == len(strong):
        targets = [(batch.labels, torch.ones_like(batch.labels, dtype=torch.float32))] * 2
    else:
        if config.teacher == "student":
            taught = [each.detach()[unknown].softmax(1) for each in logits]
        else:
            with torch.no_grad():
                weak = batch.weak[unknown].contiguous(memory_format=torch.channels_last)
                taught = [teacher(weak).float().softmax(1) for teacher in teachers]
        targets = []
        for own, other in (taught, taught[::-1]):
            labels, counts = pseudo_labels(
                own, other, config.other_teacher_share, config.confidence
            )
            targets.append(
                (
                    torch.cat((batch.labels, labels)),
                    torch.cat((torch.ones_like(batch.labels, dtype=counts.dtype), counts)),
                )
            )
    manual = torch.zeros(strong.shape[0], *strong.shape[2:], device=strong.device)
    manual[:known] = 1
    manual = _mix(batch, manual)

    supervised = crossed = torch.zeros((), device=strong.device)
    for student_logits, (labels, counts) in zip(logits, targets, strict=True):
        labels, counts = _mix(batch, labels), _mix(batch, counts)
        supervised = supervised + segmentation_loss(student_logits, labels, manual)
        if known < len(strong):
            crossed = crossed + segmentation_loss(
                student_logits, labels, counts * (1 - manual), config.pseudo_loss
            )
    # Both are means, so that one unlabelled slice would weigh as much as seven labelled ones.
    share = (len(strong) - known) / known
    loss = supervised + cross_teaching_weight * share * crossed
    return loss, {"supervised": supervised.detach() / 2, "crossed": crossed.detach() / 2}


def _mix(batch: TrainingBatch, values: Tensor) -> Tensor:
    """CutMix: ``values`` (N, …, S, S) with each rectangle taken from the partner's."""
    where = batch.rectangle if values.ndim == 3 else batch.rectangle[:, None]
    return torch.where(where, values[batch.partner], values)
