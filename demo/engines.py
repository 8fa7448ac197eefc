"""The models and runtimes that a visitor may choose from."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ctct.errors import ConfigError, CtctError
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import DEFAULT
from ctct.model_files.single_network import network_alone
from ctct.runtimes.choose import Plan, resolve
from ctct.runtimes.machine import Machine


class Engines:
    """Models on runtimes, by name; one at a time is in memory. Not for several threads at a time.

    Args:
        models: as of ``ctct predict``; the first is used unless a visitor chooses another.
        runtime: used unless a visitor chooses another; "auto" or a key of
            ``ctct.runtimes.machine.PACKAGES``.
        device: "auto", "cpu" or "cuda".

    Attributes:
        options: name shown to the options of ``ctct predict`` that give the same; the one to start
            with is the first.
        folder: where the networks of a pair go; None for a temporary folder.

    Raises:
        ModelError: a model is missing or is not one of ctct's.
        RuntimeUnavailableError: the runtime or device is not on this machine.
    """

    def __init__(
        self, models: Sequence[str] = (DEFAULT,), runtime: str = "auto", device: str = "auto"
    ) -> None:
        self.options: dict[str, dict[str, str]] = {}
        self._plans: dict[str, Plan] = {}
        machine = Machine()
        for model in models:
            requested = resolve(model, runtime, device, machine=machine)
            plans = {requested.runtime: requested}
            for name in machine.runtimes:
                if name not in ("torch", requested.runtime):  # PyTorch takes half of the memory
                    with contextlib.suppress(CtctError):
                        plans[name] = resolve(model, name, device, machine=machine)
            automatic = requested.runtime
            if runtime != "auto":
                automatic = resolve(requested.model, "auto", device, machine=machine).runtime
            for name, plan in plans.items():
                shown = name if len(models) == 1 else f"{_short(model, models)}, {name}"
                option = "auto" if name == automatic else name
                self.options[shown] = {"model": model, "runtime": option, "device": device}
                self._plans[shown] = plan
        self._loaded = ("", "")
        self._segmenter: Segmenter | None = None
        self.folder: Path | None = None
        self.segmenter(self.first)

    @property
    def first(self) -> str:
        """Name of the engine to start with."""
        return next(iter(self.options))

    def segmenter(self, name: str, network: str = "") -> Segmenter:
        """The segmenter of that name.

        Args:
            name: a key of ``options``.
            network: the network of a pair that is to run alone; "" for both.

        Raises:
            ConfigError: there is none of that name.
            ModelError: the runtime cannot load it, or it is no pair.
            RuntimeUnavailableError: networks cannot be told apart without the package onnx.
        """
        if name not in self.options:
            raise ConfigError(f"engine {name!r}: choose one of {', '.join(self.options)}")
        if self._segmenter is None or (name, network) != self._loaded:
            if self._segmenter:  # its memory is freed before the next one takes some
                self._segmenter.close()
            self._segmenter = None
            plan = self._plans[name]
            if network:
                number = list(self.options).index(name)
                if self.folder is None:
                    self._temporary = tempfile.TemporaryDirectory(prefix="ctct-networks-")
                    self.folder = Path(self._temporary.name)
                path = self.folder / f"{number}.{network}.onnx"
                plan = replace(plan, model=network_alone(plan.model, network, path))
            self._segmenter, self._loaded = Segmenter.load(plan), (name, network)
        return self._segmenter


def _short(model: str, models: Sequence[str]) -> str:
    """The end of a model's path that tells it from the others."""
    parts = Path(model).parts
    for n in range(1, len(parts)):
        short = Path(*parts[-n:])
        if sum(Path(*Path(other).parts[-n:]) == short for other in models) == 1:
            return str(short)
    return model
