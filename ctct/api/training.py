"""Training, as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

from ctct.api.arguments import as_optional_path, as_path, needs
from ctct.api.messages import naming_arguments
from ctct.choices import Device, MethodName, Preset
from ctct.errors import ConfigError


@naming_arguments
def train(
    data: str | Path | None = None,
    out: str | Path = "run",
    *,
    preset: Preset | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    device: Device = "auto",
    devices: int = 1,
    observe: Callable[[int, int], None] = lambda step, steps: None,
    **settings: Any,
) -> dict[str, float]:
    """Train a CNN and a Transformer that teach each other; what ``ctct train`` does.

    Args:
        data: folder of patients in the layout of ACDC or nnU-Net, or plain files; a file of
            ``ctct pack``; or results of ``ctct predict`` with corrected label maps, as
            :func:`ctct.measure` takes them.
        out: folder of the run: checkpoints, ``config.json``, split, metrics and curves.
        preset: settings to start from; "best" on a GPU and "small" on a CPU where left out.
        config: JSON file with settings, as a run's ``config.json``; it changes the preset.
        resume: continue the run in ``out``, with its own settings.
        device: "auto", "cpu" or "cuda".
        devices: number of GPUs, or of processes.
        observe: told the step and the number of steps.
        settings: any setting of :class:`ctct.training.config.TrainingConfig` by name, for instance
            ``labelled=7, steps=3000``; they change the preset and ``config``.

    Returns:
        Mean validation Dice per case of ``cnn``, ``transformer`` and ``ensemble``.

    Raises:
        ConfigError: a setting is unknown or makes no sense, or there is no run to continue.
        InputError: the data cannot be used.
        RuntimeUnavailableError: PyTorch is not installed, or there is no such device.

    >>> import ctct
    >>> ctct.train("ACDC", "runs/seven", labelled=7, steps=3000)  # doctest: +SKIP
    {'cnn': …, 'transformer': …, 'ensemble': …}
    """
    from ctct.model_files.model_file import find_model
    from ctct.training.config import CONFIG_FILE, make_config

    if data is not None:
        settings["data"] = as_path(data, "data")
    if settings.get("init_from"):
        settings["init_from"] = find_model(as_path(settings["init_from"], "init_from")).path
    folder = as_path(out, "out")
    if resume:
        if preset or config:
            raise ConfigError("--resume continues with the run's own settings; leave out --preset")
        config = folder / CONFIG_FILE
        if not config.exists():
            raise ConfigError(f"{out}: there is no run to continue")
    elif data is None and config is None:
        raise ConfigError("DATA is missing: the folder of patients to train on")
    with needs("train"):
        from ctct.correction.training_set import pack_corrections
        from ctct.training.devices import default_preset
        from ctct.training.run import check_folder
        from ctct.training.trainer import train as run

        if data is not None:
            check_folder(folder, resume)
            settings["data"] = pack_corrections(settings["data"], folder / "corrections.npz")
        return run(
            make_config(preset or default_preset(device, announce=not resume), settings, config),
            folder,
            device=device,
            devices=devices,
            resume=resume,
            observe=observe,
        )


@naming_arguments
def compare_methods(
    data: str | Path,
    out: str | Path = "study",
    *,
    methods: Sequence[str] = (),
    labelled: Sequence[int] = (3, 7),
    seeds: Sequence[int] = (0,),
    test: str | Path | None = None,
    preset: Preset | None = None,
    config: str | Path | None = None,
    device: Device = "auto",
    devices: int = 1,
    observe: Callable[[int, int], None] = lambda step, steps: None,
    on_run: Callable[[str, int, int], None] = lambda name, number, runs: None,
    ray: str = "",
    ray_cpus: int = 1,
    **settings: Any,
) -> tuple[str, dict[str, str]]:
    """Train and compare methods of learning from unlabelled scans; what ``ctct study`` does.

    Call it again to continue where it stopped, or to add methods, labelled patients and seeds.

    Args:
        data: as for :func:`train`, as are ``preset``, ``config`` and ``device`` to ``observe``.
        out: folder of the study: a folder per run, ``study.csv``, ``study.md``, ``curves.png``.
        methods: names of :data:`ctct.choices.MethodName`; all of them where left out.
        labelled: numbers of labelled patients.
        seeds: of the runs.
        test: folder of labelled patients on which each finished run is scored once.
        preset: see there.
        config: see there.
        device: see there.
        devices: see there.
        observe: see there.
        on_run: told the name of each run that begins, its number, from 1, and how many there are.
        ray: address of a Ray cluster whose nodes train the runs: "auto", "ray://host:10001" or
            "host:6379". Scans and ``out`` lie on disks that all nodes share.
        ray_cpus: CPUs that each run takes there, and one GPU where there are any.
        settings: of all runs.

    Returns:
        The table as Markdown, and the reason of each run that failed, by name.

    Raises:
        ConfigError: a setting makes no sense, or ``out`` holds a study with other settings.
        InputError: the data cannot be used.
        RuntimeUnavailableError: PyTorch is not installed, or there is no such device or cluster.
        StoppedError: by Ctrl-C or SIGTERM, after saving.

    >>> import ctct
    >>> table, failed = ctct.compare_methods(  # doctest: +SKIP
    ...     "ACDC", "study", labelled=(3,), seeds=(0, 1, 2)
    ... )
    """
    from ctct.ray_cluster import join_cluster
    from ctct.training.config import make_config
    from ctct.training.processes import started_by_torchrun

    settings["data"] = as_path(data, "data")
    if started_by_torchrun():
        raise ConfigError("ctct study cannot run under torchrun; give --ray for several machines")
    if ray and devices != 1:
        raise ConfigError("--devices and --ray exclude each other; a run there has one GPU")
    with needs("train"), join_cluster(ray, ray_cpus) if ray else nullcontext() as cluster:
        from ctct.training.devices import default_preset
        from ctct.training.study import run_study
        from ctct.training.study_tables import study_markdown

        if cluster:  # this machine may have another device than the nodes
            device = cluster.choose_device(device)
            preset = preset or ("best" if device == "cuda" else "small")
        results, failed = run_study(
            make_config(preset or default_preset(device), settings, config),
            as_path(out, "out"),
            methods or get_args(MethodName),
            labelled,
            seeds,
            test=as_optional_path(test),
            device=device,
            devices=devices,
            observe=observe,
            on_run=on_run,
            cluster=cluster,
        )
        return study_markdown(results), failed
