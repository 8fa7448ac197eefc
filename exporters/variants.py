"""Variants of a model's graph, made on this machine when first asked for and kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ctct.errors import OutputError
from ctct.model_files.model_file import ModelFile, find_model
from ctct.model_files.variant import Variant
from ctct.storage import cache_folder, prepare_folder


def in_variant(
    model: ModelFile,
    variant: Variant,
    precision: str = "fp32",
    observe: Callable[[str], None] = lambda stage: None,
) -> ModelFile:
    """``model`` with another variant of its graph, exported behind the gate once and kept.

    It lies in the folder "variants" of :func:`~ctct.storage.cache_folder`, named after the digest
    of ``model``. What the gate does not let through in ``precision`` is there in float32.

    Args:
        model: whose pair can be restored: a run, a checkpoint or an fp32 ``.onnx`` file.
        variant: of the graph.
        precision: of the networks, as for ``ctct export``.
        observe: told what is being done, where it has to be made.

    Raises:
        ModelError: the pair cannot be restored.
        ParityError: no precision passes the gate.
        OutputError: the cache folder cannot be written.
        ImportError: what the extra "export" brings is not installed.
    """
    name = "-".join((*variant.members, *(["tta"] if variant.tta else []), precision))
    folder = cache_folder("variants") / model.sha256[:16] / name
    if not folder.exists():
        from ctct.exporters.export import export  # these bring PyTorch
        from ctct.exporters.request import ExportRequest

        prepare_folder(folder.parent)
        request = ExportRequest(precision=precision, variant=variant)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            made = Path(scratch) / "made"
            export(model.path, made, request, observe)
            try:
                made.rename(folder)
            except OSError as error:
                if not folder.exists():  # or another run has made it meanwhile
                    raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    return find_model(folder / "model.onnx")
