"""Names in files written by version 0.1, and the current ones.

The bundled model is such a file: a new spelling is not worth another 17 MB in the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Entries of a model's metadata.
METADATA = {"licence": "license"}
#: Groups of settings of a training run.
GROUPS = {"cross_teaching": "unlabelled_slices"}
#: Settings of a training run.
SETTINGS = {
    "window": "heart_crop_size",
    "optimiser": "optimizer",
    "other_share": "other_teacher_share",
    "cross_weight": "unlabelled_weight",
    "cross_teaching_weight": "unlabelled_weight",
    "start_from": "init_from",
}


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training run under the current names."""
    current = {SETTINGS.get(name, name): value for name, value in settings.items()}
    if current.pop("labelled_only", False):
        current["method"] = "labelled_only"
    return current


def current_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """A model's description under the current names, with the settings in its ``config``."""
    values = {METADATA.get(name, name): value for name, value in description.items()}
    if isinstance(values.get("config"), Mapping):
        values["config"] = current_settings(values["config"])
    return values
