"""Checks of manual labels: nothing absent, nothing exchanged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from ctct.datasets.collection import Volume
from ctct.errors import InputError
from ctct.labels import LV, MYO, ORDERS, RV, STRUCTURES, VALUE

Labels = npt.NDArray[np.uint8]

#: Share of the outline of the LV that must lie in the wall. It is 0.98 and more in each frame of
#: ACDC, and 0.46 at most where the numbers of two or three structures are exchanged.
_MIN_LV_IN_WALL = 0.6
#: From so many slices on, a stack must show every structure.
_STACK = 3
_REMEDY = "correct its label files, or remove them to use its scans without labels"
_PARTLY = (
    "if only some structures were labelled, give a folder of these scans with --partly-labelled"
)


def check_structures(volumes: Iterable[Volume], use: str) -> None:
    """Refuse labels without one of the structures, which the networks would learn as background.

    Every stack of labels must show all structures; volumes of fewer slices need to together, for
    each patient.

    Args:
        volumes: with labels.
        use: what they are used for, as in "validation".

    Raises:
        InputError: a structure is absent everywhere, or in a patient; the message names it.
    """
    units = _units(volumes)
    if absent := _absent([stack for stacks in units.values() for stack in stacks]):
        raise InputError(
            f"no {use} slice shows {', '.join(absent)}; it would be taken for background. Check "
            f"the label files and --label-order, or add patients with these labels; {_PARTLY}"
        )
    for name, stacks in units.items():
        if absent := _absent(stacks):
            raise InputError(
                f"{name}: its labels lack {', '.join(absent)}, which would be taken for "
                f"background in {use}; {_REMEDY}; {_PARTLY}"
            )


def _units(volumes: Iterable[Volume]) -> dict[str, list[Labels]]:
    """Labels that are checked together, by the name of the volume.

    A stack by itself; a volume of fewer slices with all of its patient.
    """
    labels: dict[str, dict[str, Labels]] = defaultdict(dict)
    for volume in volumes:
        if volume.labels is not None:
            labels[volume.patient][volume.name] = volume.labels
    return {
        name: [stack] if len(stack) >= _STACK else list(stacks.values())
        for stacks in labels.values()
        for name, stack in stacks.items()
    }


def _absent(stacks: Collection[Labels]) -> list[str]:
    """Structures that none of the labels show."""
    return [s for s in STRUCTURES if not any((stack == VALUE[s]).any() for stack in stacks)]


def check_label_order(volumes: Iterable[Volume], source: str) -> None:
    """Refuse labels whose numbers look exchanged: the wall lies around the LV, not around the RV.

    Args:
        volumes: of all patients; those without labels are ignored.
        source: the folder or file, for the message.

    Raises:
        InputError: somewhere a larger part of the outline of the RV than of the LV touches the
            wall, or little of that of the LV; the message names the scans.
    """
    shares = {
        name: {structure: _share_in_wall(stacks, VALUE[structure]) for structure in (LV, RV)}
        for name, stacks in _units(volumes).items()
        if not {LV, MYO} & set(_absent(stacks))
    }
    wrong = [n for n, share in shares.items() if share[LV] < max(share[RV], _MIN_LV_IN_WALL)]
    if not wrong:
        return
    share = shares[wrong[0]]
    numbers = f"RV {share[RV]:.0%}, LV {share[LV]:.0%} of its outline"
    if len(wrong) < len(shares):
        raise InputError(
            f"{source}: labels of {', '.join(wrong)} look exchanged: the wall must surround the LV "
            f"({numbers}), as it does elsewhere; {_REMEDY}"
        )
    others = [name for name in ORDERS if name != "acdc"]
    raise InputError(
        f"{source}: labels look exchanged: the wall must surround the LV ({numbers}); try "
        f"--label-order {others[0]}, or a dataset.json, as nnU-Net has it, with the right numbers"
    )


def _share_in_wall(labels: Iterable[Labels], value: int) -> float:
    """Share of the steps out of a structure, between neighbors of a slice, that end in MYO."""
    out = wall = 0
    for stack in labels:
        for near, far in (
            (stack[:, 1:], stack[:, :-1]),
            (stack[:, :-1], stack[:, 1:]),
            (stack[..., 1:], stack[..., :-1]),
            (stack[..., :-1], stack[..., 1:]),
        ):
            leaving = (near == value) & (far != value)
            out += int(leaving.sum())
            wall += int((leaving & (far == VALUE[MYO])).sum())
    return wall / out if out else 0.0
