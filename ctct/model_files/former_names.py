"""Names that files written by version 0.1 use, and what they are called today.

The bundled model is such a file: writing 17 MB again for a new spelling is not worth it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Entries of a model's metadata.
METADATA = {"licence": "license"}
#: Settings of a training run.
SETTINGS = {
    "window": "heart_crop_size",
    "optimiser": "optimizer",
    "other_share": "other_teacher_share",
    "cross_weight": "cross_teaching_weight",
    "start_from": "init_from",
}


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training run under the names of today."""
    return {SETTINGS.get(name, name): value for name, value in settings.items()}


def current_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """A model's description under the names of today, the settings in its ``config`` too."""
    values = {METADATA.get(name, name): value for name, value in description.items()}
    if isinstance(values.get("config"), Mapping):
        values["config"] = current_settings(values["config"])
    return values
