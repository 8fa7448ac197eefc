"""Steps per second of ``ctct train``, compared with research code as it is usually written.

Both train the same two networks by cross teaching as published, on the same slices and batch size.
The reference follows the published code of several such papers: a data set that rotates, flips and
resizes one slice at a time with SciPy in the workers of a ``DataLoader``, and plain float32 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ctct.benchmark.timing import Timing, time_in_turns
from ctct.datasets.collection import Volume
from ctct.errors import RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.models.networks import build_graph
from ctct.training.config import PRESETS, TrainingConfig
from ctct.training.data.batch import draw_batch
from ctct.training.data.slices import SliceSet
from ctct.training.devices import make_fabric, should_compile
from ctct.training.losses import segmentation_loss
from ctct.training.methods.cross_teaching import CrossTeaching
from ctct.training.setup import read_patients
from ctct.training.split import TrainingData, split_patients, training_data
from ctct.training.step import batch_losses

#: Settings of the published method; networks, grid and batch stay as they are.
PUBLISHED = {
    name: PRESETS["paper"][name]
    for name in (
        *("optimizer", "augmentation", "cut_mix", "teacher", "other_teacher_share"),
        *("confidence", "pseudo_loss", "clip"),
    )
}
#: Weight of unlabelled slices and learning rate, which cost nothing to change.
UNLABELLED_WEIGHT = PRESETS["paper"]["unlabelled_weight"]
RATE = PRESETS["paper"]["cnn_rate"]


def training_speed(
    config: TrainingConfig,
    device: str = "auto",
    steps: int = 4,
    rounds: int = 5,
    workers: int = 2,
    observe: Callable[[str], None] = lambda name: None,
) -> tuple[Timing, Timing, str]:
    """Time both in turns.

    Args:
        config: with the settings of :data:`PUBLISHED`.
        device: "cpu", "cuda" or "auto".
        steps: steps of each per round.
        rounds: rounds that count.
        workers: processes that prepare the reference's batches.
        observe: called with the name of the one whose turn it is.

    Returns:
        The timings of ctct and of the reference, and the precision that ctct chose.

    Raises:
        RuntimeUnavailableError: SciPy is missing.
    """
    fabric = make_fabric(device, 1, config)
    collection = read_patients(config.patients)
    data = training_data(collection, split_patients(collection, config))
    step_losses = {
        "ctct": _ctct_steps(config, data, fabric.device, fabric.autocast),
        "reference": _reference_steps(config, data, fabric.device, workers),
    }

    def run(losses: Iterator[Tensor]) -> int:
        *_, last = islice(losses, steps)
        last.item()  # waits for a GPU
        return steps

    contestants = {name: lambda losses=losses: run(losses) for name, losses in step_losses.items()}
    ctct, reference = time_in_turns(contestants, rounds, on_stage=observe)
    return ctct, reference, str(fabric._precision.precision)


def _ctct_steps(
    config: TrainingConfig,
    data: TrainingData,
    device: torch.device,
    autocast: Callable[[], object],
) -> Iterator[Tensor]:
    """The loss of step after step, as :func:`ctct.training.step.take_step` computes it."""
    torch.manual_seed(config.run.seed)
    graph = build_graph(config.to_dict()).to(device).train()
    graph.to(memory_format=torch.channels_last)
    if should_compile(config, device):
        graph.cnn.compile()
        graph.transformer.compile()
    networks = (graph.cnn, graph.transformer)
    method = CrossTeaching(networks, config.unlabelled_slices)
    labelled, unlabelled = SliceSet(data.labelled, device), SliceSet(data.unlabelled, device)
    partly = SliceSet(data.partly_labelled, device) if data.partly_labelled else None
    optimizer = torch.optim.SGD(
        graph.parameters(), RATE, 0.9, weight_decay=config.optimization.weight_decay
    )
    generator = torch.Generator(device).manual_seed(config.run.seed)
    while True:
        optimizer.zero_grad(set_to_none=True)
        batch = draw_batch(
            *(labelled, unlabelled, config.batches, graph.grid, generator),
            partly_labelled=partly,
        )
        with autocast():  # type: ignore[attr-defined]
            losses = batch_losses(batch, networks, networks, method, UNLABELLED_WEIGHT, generator)
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield losses.total.detach()


def _reference_steps(
    config: TrainingConfig, data: TrainingData, device: torch.device, workers: int
) -> Iterator[Tensor]:
    torch.manual_seed(config.run.seed)
    graph = build_graph(config.to_dict()).to(device).train()
    networks: tuple[nn.Module, nn.Module] = (graph.cnn, graph.transformer)
    optimizers = [
        torch.optim.SGD(n.parameters(), RATE, 0.9, weight_decay=config.optimization.weight_decay)
        for n in networks
    ]
    size, labelled = config.batches.batch, config.batches.labelled_batch_size
    loaders = [
        _endless(_Slices(volumes, config.pair.grid_size), count, workers)
        for volumes, count in (
            ([*data.labelled, *data.partly_labelled], labelled),
            (data.unlabelled, size - labelled),
        )
    ]
    while True:
        parts = [next(loader) for loader in loaders]
        images = torch.cat([part[0] for part in parts]).to(device)
        labels = parts[0][1].to(device)
        logits = [network(images) for network in networks]
        loss = torch.zeros((), device=device)
        for student, teacher in (logits, logits[::-1]):
            supervised = segmentation_loss(student[:labelled], labels)
            taught = teacher[labelled:].detach().softmax(1).argmax(1)
            loss = (
                loss
                + supervised
                + UNLABELLED_WEIGHT * segmentation_loss(student[labelled:], taught, kind="dice")
            )
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        yield loss.detach()


class _Slices(Dataset[tuple[Tensor, Tensor]]):
    """Slices in memory, augmented and resized one at a time with SciPy."""

    def __init__(self, volumes: Sequence[Volume], size: int) -> None:
        try:
            from scipy import ndimage
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"the reference needs SciPy; {how_to_install('evaluate')}"
            ) from error
        self.ndimage, self.size = ndimage, size
        self.slices: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]] = []
        for volume in volumes:
            voxels = volume.voxels.astype(np.float32) / 255
            labels = (
                np.zeros(volume.voxels.shape, np.uint8) if volume.labels is None else volume.labels
            )
            self.slices += zip(voxels, labels, strict=True)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair: Sequence[npt.NDArray[Any]] = self.slices[index]
        chance, choice = torch.rand(()).item(), int(torch.randint(0, 4, ()))
        if chance > 0.5:
            pair = [np.flip(np.rot90(array, choice), choice % 2) for array in pair]
        else:
            angle = float(torch.empty(()).uniform_(-25, 25))
            pair = [self.ndimage.rotate(a, angle, order=0, reshape=False) for a in pair]
        factors = [self.size / n for n in pair[0].shape]
        image, label = (self.ndimage.zoom(array, factors, order=0) for array in pair)
        return torch.from_numpy(image)[None], torch.from_numpy(label.astype(np.int64))


def _endless(slices: _Slices, count: int, workers: int) -> Iterator[list[Tensor]]:
    while True:
        yield from DataLoader(slices, count, shuffle=True, num_workers=workers, drop_last=True)
