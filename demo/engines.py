"""The models and runtimes that a visitor may choose from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import CtctError
from ctct.inference import runtimes
from ctct.inference.members import network_alone
from ctct.inference.model_file import DEFAULT, find_model
from ctct.inference.precision import in_precision
from ctct.inference.segmenter import Segmenter

#: Kept in memory: the one the page was started with, and the last of the others.
MOST_LOADED = 2


@dataclass(frozen=True)
class Engine:
    """A model in a runtime.

    Attributes:
        model: as it was given on the command line.
        runtime: a key of ``ctct.inference.runtimes.PACKAGES``.
        options: of ``ctct predict`` and ``ctct.load_model`` that are needed to get the same.
    """

    model: str
    runtime: str
    options: dict[str, str]


class Engines:
    """What was found, by name; loaded when first used. Not for several threads at a time.

    Args:
        models: as of ``ctct predict``; the first is taken unless a visitor chooses another.
        runtime: taken unless a visitor chooses another; "auto" or a key of
            ``ctct.inference.runtimes.PACKAGES``.
        device: "auto", "cpu" or "cuda".

    Attributes:
        found: engines by the name shown, the one to start with first.

    Raises:
        ModelError: a model is missing or is not one of ctct's.
        RuntimeUnavailableError: the runtime or device is not on this machine.
    """

    def __init__(
        self, models: Sequence[str] = (DEFAULT,), runtime: str = "auto", device: str = "auto"
    ) -> None:
        self.found: dict[str, Engine] = {}
        for model in models:
            file = find_model(model)
            asked = runtimes.choose(file, runtime, device)[0]
            # PyTorch only where it is asked for: it would take half of the memory.
            for name in dict.fromkeys([asked, *(r for r in runtimes.available() if r != "torch")]):
                try:
                    chosen, _, _ = runtimes.choose(file, name, device)
                except CtctError:
                    continue
                options = {"model": model, "runtime": name, "device": device}
                if name == runtimes.choose(file, "auto", device)[0]:
                    options["runtime"] = "auto"
                shown = chosen if len(models) == 1 else f"{_short(model, models)}, {chosen}"
                self.found[shown] = Engine(model, chosen, options)
        self._device = device
        self._loaded: dict[tuple[str, str], Segmenter] = {}
        self._networks = tempfile.TemporaryDirectory(prefix="ctct-networks-")
        self.segmenter(self.first)

    @property
    def first(self) -> str:
        """Name of the engine to start with."""
        return next(iter(self.found))

    def segmenter(self, name: str, network: str = "") -> Segmenter:
        """The segmenter of that name.

        Args:
            name: a key of ``found``.
            network: of a pair, the one that is to run; "" for both.

        Raises:
            ModelError: the runtime cannot load it, or it is no pair.
            RuntimeUnavailableError: networks cannot be told apart without the package onnx.
        """
        key = (name, network)
        if key not in self._loaded:
            while len(self._loaded) >= MOST_LOADED:
                del self._loaded[list(self._loaded)[1]]
            engine = self.found[name]
            runtime = engine.options["runtime"]
            file = in_precision(find_model(engine.model), "auto", runtime, self._device)
            if network:
                place = Path(self._networks.name) / f"{list(self.found).index(name)}"
                file = network_alone(file, network, place.with_suffix(f".{network}.onnx"))
            self._loaded[key] = Segmenter.load(file, runtime, self._device)
        return self._loaded[key]


def _short(model: str, models: Sequence[str]) -> str:
    """The end of a model's path that tells it from the others."""
    parts = Path(model).parts
    for n in range(1, len(parts)):
        short = Path(*parts[-n:])
        if sum(Path(*Path(other).parts[-n:]) == short for other in models) == 1:
            return str(short)
    return model
