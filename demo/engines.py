"""The models and runtimes that a visitor may choose from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ctct.errors import ConfigError, CtctError
from ctct.inference.segmenter import Segmenter
from ctct.model_files.model_file import DEFAULT, ModelFile, find_model
from ctct.model_files.single_network import network_alone
from ctct.runtimes import choose as runtimes
from ctct.runtimes.precision import in_precision


class Engines:
    """What was found, by name; one at a time is in memory. Not for several threads at a time.

    Args:
        models: as of ``ctct predict``; the first is taken unless a visitor chooses another.
        runtime: taken unless a visitor chooses another; "auto" or a key of
            ``ctct.runtimes.choose.PACKAGES``.
        device: "auto", "cpu" or "cuda".

    Attributes:
        found: by the name shown, options of ``ctct predict`` that give the same; the one to start
            with is the first.

    Raises:
        ModelError: a model is missing or is not one of ctct's.
        RuntimeUnavailableError: the runtime or device is not on this machine.
    """

    def __init__(
        self, models: Sequence[str] = (DEFAULT,), runtime: str = "auto", device: str = "auto"
    ) -> None:
        self.found: dict[str, dict[str, str]] = {}
        for model in models:
            file = find_model(model)
            asked = runtimes.choose(file, runtime, device)[0]
            # PyTorch only where it is asked for: it would take half of the memory.
            for name in dict.fromkeys([asked, *(r for r in runtimes.available() if r != "torch")]):
                if name != asked and not _fits(file, name, device):
                    continue
                is_auto = name == runtimes.choose(file, "auto", device)[0]
                options = {"runtime": "auto" if is_auto else name, "device": device}
                shown = name if len(models) == 1 else f"{_short(model, models)}, {name}"
                self.found[shown] = {"model": model, **options}
        self._loaded = ("", "")
        self._segmenter: Segmenter | None = None
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
            ConfigError: there is none of that name.
            ModelError: the runtime cannot load it, or it is no pair.
            RuntimeUnavailableError: networks cannot be told apart without the package onnx.
        """
        if name not in self.found:
            raise ConfigError(f"engine {name!r}: choose one of {', '.join(self.found)}")
        if (name, network) != self._loaded:
            # Its memory is given back before the next one takes some.
            self._segmenter, self._loaded = None, ("", "")
            options = self.found[name]
            runtime, device = options["runtime"], options["device"]
            file = in_precision(find_model(options["model"]), "auto", runtime, device)
            if network:
                path = Path(self._networks.name) / f"{list(self.found).index(name)}.{network}.onnx"
                file = network_alone(file, network, path)
            self._segmenter = Segmenter.load(file, runtime, device)
            self._loaded = (name, network)
        assert self._segmenter is not None
        return self._segmenter


def _fits(model: ModelFile, runtime: str, device: str) -> bool:
    """Whether a runtime can run a model here; one for GPUs alone needs a GPU."""
    try:
        _, place, _ = runtimes.choose(model, runtime, device)
    except CtctError:
        return False
    return place != "cpu" or runtime not in runtimes.GPU_ONLY


def _short(model: str, models: Sequence[str]) -> str:
    """The end of a model's path that tells it from the others."""
    parts = Path(model).parts
    for n in range(1, len(parts)):
        short = Path(*parts[-n:])
        if sum(Path(*Path(other).parts[-n:]) == short for other in models) == 1:
            return str(short)
    return model
