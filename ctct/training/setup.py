"""All parts of a run, fresh or as they were saved."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ctct.datasets.collection import Collection, Volume
from ctct.datasets.layouts import read_collection
from ctct.errors import ConfigError
from ctct.models.graph import SegmentationGraph
from ctct.models.networks import build_graph
from ctct.training.config import PatientSettings, TrainingConfig
from ctct.training.data.slices import Heart, SliceSet
from ctct.training.devices import should_compile
from ctct.training.methods import METHODS, Method
from ctct.training.resume import load_resume, save_resume
from ctct.training.run import (
    check_split,
    describe_origin,
    load_initial_weights,
    write_settings,
)
from ctct.training.split import TrainingData, split_patients, training_data

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


@dataclass
class TrainingRun:
    """All parts of a run, ready for its next step.

    Attributes:
        config: its settings.
        folder: its files.
        fabric: its devices and its precision.
        students: the pair in training.
        averaged: the moving averages of its weights, which are validated and kept.
        networks: both networks of ``students`` as Fabric runs them, on several devices.
        optimizer: of ``students``.
        generator: of every draw of the batches.
        method: of learning from unlabelled slices.
        labelled: slices with manual labels.
        unlabelled: slices without.
        partly_labelled: slices whose labels lack structures, if there are any.
        validation: volumes with manual labels that are not learned from.
        step: steps taken.
        seconds: time that they and the validations took.
        best: validation Dice of the weights that were kept.
        micro_batches: parts of a batch that go through the networks one after the other, because
            the memory does not suffice for more at once.
        origin: training data and license of the initial model, see
            :func:`~ctct.training.run.describe_origin`; empty for a run without one.
    """

    config: TrainingConfig
    folder: Path
    fabric: Fabric
    students: SegmentationGraph
    averaged: SegmentationGraph
    networks: list[nn.Module]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    method: Method
    labelled: SliceSet
    unlabelled: SliceSet
    validation: list[Volume]
    partly_labelled: SliceSet | None = None
    step: int = 0
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    micro_batches: int = 1
    origin: dict[str, str] = field(default_factory=dict)

    @property
    def slice_sets(self) -> tuple[SliceSet, ...]:
        """The sets that batches are drawn from, in the order of a batch."""
        partly = (self.partly_labelled,) if self.partly_labelled else ()
        return self.labelled, *partly, self.unlabelled

    def save(self) -> None:
        """Save all that is needed to continue from here."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "waiting": [slices.waiting.tolist() for slices in self.slice_sets],
            "hearts": self.unlabelled.found_hearts,
            "partly_labelled_hearts": self.partly_labelled and self.partly_labelled.found_hearts,
            "origin": self.origin,
        }
        save_resume(self.folder, *self._saved_parts(), state)

    def load(self) -> None:
        """Continue where the last :meth:`save` was.

        Raises:
            ConfigError: no step is left.
        """
        state = load_resume(self.folder, *self._saved_parts())
        self.step, self.best = state["step"], state["best"]
        self.origin, self.seconds = state.get("origin", {}), state.get("seconds", 0.0)
        waiting = state.get("waiting", [[], []])
        for slices, numbers in zip(self.slice_sets, waiting, strict=True):
            slices.waiting = slices.waiting.new_tensor(numbers)
        found = {"hearts": self.unlabelled, "partly_labelled_hearts": self.partly_labelled}
        for key, searched in found.items():
            if searched and (hearts := state.get(key)) is not None:
                searched.set_hearts({patient: Heart(*h) for patient, h in hearts.items()})
        if self.step >= self.config.optimization.steps:
            raise ConfigError(
                f"{self.folder}: this run has had its {self.step} steps; raise --steps to continue"
            )

    def _saved_parts(
        self,
    ) -> tuple[dict[str, nn.Module], torch.optim.Optimizer, dict[str, torch.Generator]]:
        modules: dict[str, nn.Module] = {
            "students": self.students,
            "averaged": self.averaged,
            "method": self.method,
        }
        return modules, self.optimizer, {"batches": self.generator}


def set_up(config: TrainingConfig, folder: Path, fabric: Fabric, resume: bool) -> TrainingRun:
    """A run that starts, or continues if ``resume``; writes its settings and its split.

    Raises:
        ConfigError: settings do not fit the data or each other, or no step is left.
        InputError: the data cannot be used.
        ModelError: a file of weights cannot be used.
    """
    collection = read_patients(config.patients)
    split = split_patients(collection, config)
    if resume:
        check_split(folder, split)
    data = training_data(collection, split)
    partly = data.partly_labelled
    check_method(config.unlabelled_slices.method, data, fabric.world_size)

    students, origin = build_students(config, fabric, resume)
    if not resume:
        config = _without_missing_weights(config, students)
    averaged = copy.deepcopy(students).eval()
    if should_compile(config, fabric.device):
        students.cnn.compile()
        students.transformer.compile()
    networks = (students.cnn, students.transformer)
    settings = config.unlabelled_slices
    method = METHODS[settings.method](networks, settings).to(fabric.device)
    run = TrainingRun(
        config=config,
        folder=folder,
        fabric=fabric,
        students=students,
        averaged=averaged,
        networks=[set_up_network(fabric, network) for network in networks],
        optimizer=build_optimizer(config, students, method),
        generator=torch.Generator(fabric.device).manual_seed(config.run.seed),
        method=method,
        labelled=SliceSet(data.labelled, fabric.device),
        unlabelled=SliceSet(data.unlabelled or data.labelled, fabric.device),
        validation=data.validation,
        partly_labelled=SliceSet(partly, fabric.device) if partly else None,
        origin=origin,
    )
    torch.manual_seed(config.run.seed + fabric.global_rank)  # dropout differs between processes
    if resume:
        run.load()
    if fabric.is_global_zero:
        write_settings(folder, config, split)
        log.info("%s", split.describe())
        log.info(
            "%d labelled and %d unlabelled patients (%d and %d slices), %d for validation, on %s",
            *(len(split.labelled), len(split.unlabelled)),
            *(len(run.labelled), len(run.unlabelled) if data.unlabelled else 0),
            *(len(split.validation), fabric.device),
        )
        if run.partly_labelled:
            log.info(
                "%d partly labelled patients (%d slices)",
                *(len(split.partly_labelled), len(run.partly_labelled)),
            )
    return run


def read_patients(settings: PatientSettings) -> Collection:
    """All scans that the settings name.

    Raises:
        InputError: the data cannot be used.
    """
    return read_collection(
        *(settings.data, settings.label_order, settings.unlabelled, settings.partly_labelled)
    )


def check_method(method: str, data: TrainingData, processes: int) -> None:
    """Refuse a method that needs unlabelled scans where there are none, or a single process.

    Cross teaching works on labelled slices too, though it gains less; a line says so.

    Raises:
        ConfigError: the method cannot train on these data, or in so many processes.
    """
    if processes > 1 and METHODS[method].has_weights:
        raise ConfigError(f"--method {method} trains on one device only")
    if data.unlabelled or method == "labelled_only":
        return
    if method != "cross_teaching":
        raise ConfigError(
            f"--method {method} learns from scans without labels, and every training patient has "
            "labels; keep those of a few with --labelled, or add scans with --unlabelled"
        )
    log.info("every training patient has labels: the networks teach each other on labelled slices")


def build_students(
    config: TrainingConfig, fabric: Fabric, resume: bool
) -> tuple[SegmentationGraph, dict[str, str]]:
    """The pair with the weights that a run starts from, and their origin; if ``resume``, any."""
    origin: dict[str, str] = {}
    starts_from_imagenet = config.pair.pretrained and not (resume or config.pair.init_from)
    torch.manual_seed(config.run.seed)
    students = build_graph({**config.to_dict(), "pretrained": starts_from_imagenet})
    if config.pair.init_from and not resume:
        origin = describe_origin(load_initial_weights(students, config))
    # Channels-last halves the time of the convolutions on a CPU, and suits those of a GPU.
    students.to(fabric.device).to(memory_format=torch.channels_last)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        students = nn.SyncBatchNorm.convert_sync_batchnorm(students)  # type: ignore[no-untyped-call]
    return students, origin


def _without_missing_weights(config: TrainingConfig, students: SegmentationGraph) -> TrainingConfig:
    """Settings that do not claim ImageNet weights where a network could not have them."""
    networks = (students.cnn, students.transformer)
    loaded = all(getattr(network, "from_imagenet", True) for network in networks)
    if loaded or not config.pair.pretrained:
        return config
    pair = config.pair.model_copy(update={"pretrained": False})
    return config.model_copy(update={"pair": pair})


def set_up_network(fabric: Fabric, network: nn.Module) -> nn.Module:
    """The network as Fabric runs it."""
    module: nn.Module = fabric.setup_module(network)
    module.mark_forward_method("encode")  # type: ignore[operator]
    return module


def build_optimizer(
    config: TrainingConfig, students: SegmentationGraph, method: Method
) -> torch.optim.Optimizer:
    """The optimizer of both networks and of the method, a group of parameters for each."""
    modules = (students.cnn, students.transformer, method)
    groups = [{"params": list(module.parameters())} for module in modules]
    groups = [group for group in groups if group["params"]]
    weight_decay = config.optimization.weight_decay
    if config.optimization.optimizer == "sgd":
        return torch.optim.SGD(groups, 0.01, 0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
