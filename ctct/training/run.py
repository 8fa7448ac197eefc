"""The folder of a run: its settings, its split, and the weights that it results in.

``config.json``, ``split.json`` and ``model.safetensors``; :mod:`ctct.training.resume` adds the
state to continue from, :mod:`ctct.training.monitor` the metrics and pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ctct.errors import ConfigError, OutputError
from ctct.model_files.variant import MEMBERS
from ctct.models.checkpoint import MODEL_FILE, ModelDescription, load_checkpoint, save_checkpoint
from ctct.models.graph import SegmentationGraph
from ctct.models.networks import architecture
from ctct.storage import lock_folder, prepare_folder, write_atomic
from ctct.training.config import CONFIG_FILE, TrainingConfig
from ctct.training.resume import RESUME_FILE
from ctct.training.split import Split

SPLIT_FILE = "split.json"


def check_folder(folder: Path, resume: bool) -> None:
    """Check that a folder holds a run to continue if ``resume``, else none.

    Raises:
        ConfigError: it does not, or does.
    """
    can_continue = (folder / RESUME_FILE).exists()
    if resume and not can_continue:
        raise ConfigError(f"{folder}: there is no run to continue")
    if not resume and can_continue:
        raise ConfigError(
            f"{folder}: holds a run already; continue it with --resume, or choose another folder"
        )
    if not resume and (folder / MODEL_FILE).exists():
        raise ConfigError(
            f"{folder}: holds {MODEL_FILE} of a run that cannot be continued; choose another "
            "folder, or remove it"
        )


@contextmanager
def open_run(folder: Path, resume: bool, is_first_process: bool = True) -> Iterator[None]:
    """Make the folder of a run; the first of its processes keeps other runs out until the end.

    Raises:
        ConfigError: as :func:`check_folder`.
        OutputError: nothing can be written there, at the start or later, or another run does.
    """
    prepare_folder(folder)
    try:
        with lock_folder(folder) if is_first_process else nullcontext():
            check_folder(folder, resume)  # again, since another run may have ended just now
            yield
    except ConnectionError:  # of another process
        raise
    except OSError as error:  # of TensorBoard's files, for one; scans have errors of their own
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); make room, then continue "
            "with --resume"
        ) from error


def write_settings(folder: Path, config: TrainingConfig, split: Split) -> None:
    """Write ``config.json`` and ``split.json``."""
    write_atomic(folder / CONFIG_FILE, (config.model_dump_json(indent=2) + "\n").encode())
    write_atomic(folder / SPLIT_FILE, (json.dumps(split.to_dict(), indent=2) + "\n").encode())


def check_split(folder: Path, split: Split) -> None:
    """Refuse to continue a run with other validation patients: it would have learned from them.

    Raises:
        ConfigError: ``split.json`` of the run names others; the message names who changed sides.
    """
    try:
        former = set(json.loads((folder / SPLIT_FILE).read_text("utf-8"))["validation"])
    except (OSError, ValueError, LookupError, TypeError):
        return  # lost; it is written again
    if changed := sorted(former ^ set(split.validation)):
        raise ConfigError(
            f"{folder}: the patients have changed since the run began: {', '.join(changed)} would "
            "change between training and validation; put the data back, or start another run"
        )


def save_result(
    folder: Path,
    graph: SegmentationGraph,
    config: TrainingConfig,
    step: int,
    member_weights: tuple[float, float],
    dice: dict[str, float],
    origin: Mapping[str, str],
) -> None:
    """Write ``model.safetensors``: the weights of ``graph``, and how they came about.

    Args:
        folder: of the run.
        graph: the pair.
        config: settings of the run.
        step: steps taken.
        member_weights: share of the CNN and of the Transformer in the mean.
        dice: validation Dice.
        origin: as of :func:`describe_origin`.

    Raises:
        OutputError: it cannot be written.
    """
    description = ModelDescription(config.to_dict(), step, member_weights, dice, **origin)
    save_checkpoint(folder, graph, description)


def load_initial_weights(students: SegmentationGraph, config: TrainingConfig) -> ModelDescription:
    """Give ``students`` the weights of the model that ``--init-from`` names; its description.

    Raises:
        ConfigError: that model has other networks or another grid.
        ModelError: there is no such model.
    """
    path = str(config.pair.init_from)
    graph, description = load_checkpoint(path)
    theirs, ours = architecture(description.config), architecture(config.to_dict())
    members = graph.variant.members
    if theirs != ours or members != MEMBERS:
        only = "" if members == MEMBERS else f", {members[0]} alone"
        raise ConfigError(
            f"{path}: holds {', '.join(f'{k} {v}' for k, v in theirs.items())}{only}; the run has "
            f"{', '.join(f'{k} {v}' for k, v in ours.items())}; leave out what differs, or "
            "--init-from"
        )
    students.load_weights(graph.state_dict())
    return description


#: Without the name of the folder, which may say more than the owner of the data wants.
FINE_TUNED = "fine-tuned on other data"


def describe_origin(initial: ModelDescription) -> dict[str, str]:
    """What the weights of a run that starts from ``initial`` are trained on, and their license."""
    sentences = dict.fromkeys((*initial.training_data.split("; "), FINE_TUNED))
    return {"training_data": "; ".join(filter(None, sentences)), "license": initial.license}
