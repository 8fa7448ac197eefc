"""Labels that lack structures: which ones they show, and what their numbers stand for."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from ctct.datasets.collection import Volume
from ctct.datasets.dataset_json import DATASET_FILE
from ctct.errors import InputError
from ctct.labels import BACKGROUND, LV, MYO, RV, STRUCTURES, VALUE

log = logging.getLogger(__name__)

#: A slice shows a structure from this area on. Less is a slip of the pen, or the very tip.
_MIN_AREA_MM2 = 25.0
#: A structure was labelled if at least this share of the slices with labels shows it. In ACDC it
#: is 0.3 and more.
_MIN_SHARE = 0.25
_MAX_NAMES = 5


def keep_known(volume: Volume) -> Volume:
    """The volume with the structures that were labelled as known, and without other labels.

    A few pixels of a structure, or a few slices that show it among many that do not, do not make it
    known. Where they are, the labels say nothing then. Without any known structure, the volume has
    no labels.
    """
    if volume.labels is None:
        return volume
    row_mm, column_mm = volume.spacing_mm
    shown = {
        s: (volume.labels == VALUE[s]).sum((1, 2)) * row_mm * column_mm >= _MIN_AREA_MM2
        for s in STRUCTURES
    }  # (Z,) each
    slices = sum(map(any, zip(*shown.values(), strict=True)))
    known = tuple(s for s in STRUCTURES if shown[s].sum() >= max(1, _MIN_SHARE * slices))
    labels = volume.labels.copy()
    for structure in [s for s in STRUCTURES if s not in known]:
        pixels = labels == VALUE[structure]
        if pixels.any():
            log.warning(
                "%s: %d pixels of %s in %d of %d slices with labels are too few to count; %s is "
                "taken for unknown there",
                *(volume.name, pixels.sum(), structure, pixels.any((1, 2)).sum()),
                *(volume.labels.any((1, 2)).sum(), structure),
            )
            labels[pixels] = VALUE[BACKGROUND]
    return replace(volume, labels=labels if known else None, known=known)


def check_numbers(volumes: Sequence[Volume], source: str) -> None:
    """Refuse labels of which nothing tells what their numbers stand for.

    A cavity looks like the other one where it is labelled alone. Its number is sure where a label
    map of the same source shows the wall around the LV, see
    :func:`~ctct.datasets.label_checks.check_label_order`, or where the names of the scans say LV or
    RV too, as in ``P1_LVED`` and ``P1_rv``.

    Args:
        volumes: with known structures, of a source without ``dataset.json``.
        source: the folder, for the message.

    Raises:
        InputError: neither is so; the message names scans.
    """
    if any({LV, MYO} <= set(volume.known) for volume in volumes):
        return
    doubtful = [volume for volume in volumes if volume.known != _named_structures(volume.name)]
    if doubtful:
        first = doubtful[0]
        names = ", ".join(volume.name for volume in doubtful[:_MAX_NAMES])
        more = len(doubtful) - _MAX_NAMES
        raise InputError(
            f"{source}: nothing tells what the numbers of the labels stand for. Those of "
            f"{first.name} are read as {' and '.join(first.known)}, but no label map shows the "
            f"wall around the LV, and the file names do not say so. Write {DATASET_FILE} into the "
            'folder, such as {"labels": {"background": 0, "LV": 1}}, with the right numbers; '
            f"needed for {names}" + (f" and {more} more" if more > 0 else "")
        )


def _named_structures(name: str) -> tuple[str, ...]:
    """The cavities that the name of a scan names, alone or before ED or ES."""
    found = {re.sub("E[DS]$", "", word) for word in re.split("[^A-Z]+", name.upper())}
    return tuple(s for s in (RV, LV) if s in found)
