"""Variants of a model's graph, exported on this machine when first needed and cached."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ctct.errors import OutputError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.variant import Variant
from ctct.storage import cache_folder, prepare_folder


def export_variant_once(
    model: ModelFile,
    variant: Variant,
    precision: str = "fp32",
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ModelFile:
    """The model with another variant of its graph; exported the first time, then cached.

    It is stored in the folder "variants" of :func:`~ctct.storage.cache_folder`, under the digest of
    ``model``. If ``precision`` fails the parity gate, the cached model is in a higher one.

    Args:
        model: a run, a checkpoint or an fp32 ``.onnx`` file.
        variant: variant of the graph.
        precision: precision of the networks, as for ``ctct export``.
        on_stage: called with a description of each step of an export.

    Raises:
        ModelError: the model does not hold the pair's weights in float32.
        ParityError: no precision passes the gate.
        OutputError: the cache folder cannot be written.
        ImportError: a package of the extra "train" is not installed.
    """
    flags = [flag for flag in ("tta", "probabilities") if getattr(variant, flag)]
    name = "-".join((*variant.members, *flags, precision))
    folder = cache_folder("variants") / model.sha256[:16] / name
    if not folder.exists():
        from ctct.exporters.export import export  # imports PyTorch
        from ctct.exporters.request import ExportRequest

        prepare_folder(folder.parent)
        request = ExportRequest(precision=precision, variant=variant)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            exported = Path(scratch) / "model"
            export(model.path, exported, request, on_stage)
            try:
                exported.rename(folder)
            except OSError as error:
                if not folder.exists():  # another run may have exported it meanwhile
                    raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    return find_model(folder / "model.onnx")
