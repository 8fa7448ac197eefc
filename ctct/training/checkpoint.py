"""Everything a run needs to go on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ctct.errors import ModelError

RESUME_FILE = "resume.pt"


def save_resume(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` as ``folder/resume.pt``, whole or not at all."""
    partial = folder / f".{RESUME_FILE}.partial"
    torch.save(state, partial)
    partial.replace(folder / RESUME_FILE)


def load_resume(folder: Path) -> dict[str, Any] | None:
    """What :func:`save_resume` wrote, or None where there is nothing yet.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / RESUME_FILE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:  # unpickling damaged bytes raises errors of many kinds
        raise ModelError(f"{path}: damaged; delete it to start the run afresh") from error
    return state
