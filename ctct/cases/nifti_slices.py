"""Stacks stored as one NIfTI file per slice."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.files import ENDINGS, ITK_ENDINGS, case_name
from ctct.io.geometry import SAME_SLICE_MM, measure_slice_step
from ctct.io.nifti import make_label_encoder, read_geometry, read_nifti
from ctct.io.nifti_geometry import ImageGeometry
from ctct.io.study import Study

log = logging.getLogger(__name__)

#: A patient in the name of a file, and a slice.
_PATIENT = re.compile(
    r"(?<![^_\-. ])(?:p|pt|pat|patient|sub|subj|subject|case|vol|volunteer)[_-]?\d+(?=$|[_\-. ])",
    re.IGNORECASE,
)
_SLICE = re.compile(
    r"(?<![^_\-. ])(?:(?:s|sl|slice|z|im|img|image|pos|loc)[_-]?\d+"
    r"|base|basal|mid|middle|mid[_-]?ventricular|apex|apical)(?=$|[_\-. ])",
    re.IGNORECASE,
)
#: Slices of one heart are not shifted further in their plane; between breaths it is a few mm.
_MAX_SHIFT_MM = 20.0
#: Fewer files are not read as the slices of a stack.
_MIN_SLICES = 3
#: Most slices of a stack; numbers that begin further on do not count slices.
_MAX_SLICES = 20
_DIGITS = re.compile(r"(\d+)")
_MAX_SHOWN = 5
_SEPARATELY = "name the files themselves to label each separately"


def find_stacks(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The stacks among ``paths``, each as its files in order along the normal of the slices.

    The files of a stack lie in one folder, hold one slice each, agree in size, spacing, phases
    and orientation, and do not name different patients. A file without a position in its header
    is in no stack; files that all have the same position make none.
    """
    folders: dict[tuple[Path, str], list[_Slice]] = defaultdict(list)
    for path in paths:
        geometry = read_geometry(path) if path.name.lower().endswith(ENDINGS) else None
        if geometry and geometry.has_position and all(n == 1 for n in geometry.shape[2:3]):
            folders[path.parent, _owner(case_name(path))].append(_Slice(path, geometry))
    stacks = []
    for slices in folders.values():
        groups: list[list[_Slice]] = []
        for file in slices:
            for group in groups:
                if file.is_parallel_to(group[0]):
                    group.append(file)
                    break
            else:
                groups.append([file])
        for group in groups:
            group.sort(key=lambda file: file.position_mm)
            extent_mm = group[-1].position_mm - group[0].position_mm
            if len(group) < _MIN_SLICES or extent_mm <= SAME_SLICE_MM:
                continue
            if (shift_mm := _largest_shift_mm(group)) > _MAX_SHIFT_MM:
                log.warning(
                    "%s: %d slices are no stack, they are shifted by up to %.0f mm in their plane; "
                    "each is taken for a scan",
                    group[0].path.parent,
                    len(group),
                    shift_mm,
                )
                continue
            stacks.append(tuple(file.path for file in group))
    return stacks


def _owner(name: str) -> str:
    """What the name of a file says of whose slice it is: all but the slice, or the patient."""
    if slices := list(_SLICE.finditer(name)):
        return name[: slices[-1].start()] + name[slices[-1].end() :]
    return " ".join(_PATIENT.findall(name))


def _largest_shift_mm(group: Sequence[_Slice]) -> float:
    """Largest in-plane distance of a slice from the line through the first and the last one."""
    origins = np.array([file.geometry.affine[:3, 3] for file in group])
    normal = _normal(group[0].geometry.affine)
    along = (origins - origins[0]) @ normal
    step = (origins[-1] - origins[0]) / along[-1]
    shifts = origins - origins[0] - np.outer(along, step)
    return float(np.linalg.norm(shifts, axis=1).max())


def read_slices(paths: Sequence[Path], name: str) -> Study:
    """Read the slices of a stack, in order along their normal, as one study named ``name``.

    Its notes tell what the names of the files say of missing slices.

    Raises:
        InputError: a file cannot be used, two have the same position, or some are missing.
    """
    folder = paths[0].parent
    studies = [read_nifti(path) for path in paths]
    first = studies[0]
    normal = _normal(first.affine)
    origins = np.array([study.affine[:3, 3] for study in studies])
    positions = zip(paths, origins @ normal, strict=True)
    for (path, position), (next_path, next_position) in pairwise(positions):
        if next_position - position < SAME_SLICE_MM:
            raise InputError(
                f"{folder}: {path.name} and {next_path.name} lie in the same place, so nothing "
                f"says which phase each is; join them to one file, or {_SEPARATELY}"
            )
    step, slice_mm, notes = measure_slice_step(
        origins, normal, max(first.spacing_mm), str(folder), f"add them, or {_SEPARATELY}"
    )
    affine = first.affine.copy()
    affine[:3, 2] = step
    voxels = np.concatenate([study.voxels for study in studies], axis=1)  # (T, Z, H, W)
    return Study(
        name=name,
        voxels=voxels,
        spacing_mm=first.spacing_mm,
        slice_spacing_mm=slice_mm,
        affine=affine,
        path=folder,
        label_encoder=make_label_encoder(
            affine, voxels.shape, (*first.spacing_mm[::-1], slice_mm, 0.0)
        ),
        notes=(
            *dict.fromkeys(note for study in studies for note in study.notes),
            *notes,
            *_note_names(paths, origins @ normal),
        ),
    )


def _note_names(paths: Sequence[Path], places_mm: npt.NDArray[np.float64]) -> list[str]:
    """What the names of the files of a stack say of slices that are not in it.

    Names that differ in more than their digits say nothing.

    Args:
        paths: the files, in order along the normal.
        places_mm: their positions along the normal.
    """
    names = [_DIGITS.split(case_name(path)) for path in paths]  # text and digits in turn
    if len({tuple(name[::2]) for name in names}) > 1:
        return []
    parts = range(len(names[0]))
    varying = [part for part in parts if len({name[part] for name in names}) > 1]
    pattern = re.compile(
        "".join(r"(\d+)" if part in varying else re.escape(names[0][part]) for part in parts)
    )
    alike = {
        path: match.groups()
        for path in sorted(paths[0].parent.iterdir())
        if path.name.lower().endswith(ENDINGS + ITK_ENDINGS)
        and not path.is_dir()
        and (match := pattern.fullmatch(case_name(path)))
    }
    notes = []
    if len(varying) == 1:
        numbers = np.array([int(name[varying[0]]) for name in names])
        if not _are_positions(numbers, places_mm):
            notes += _note_numbers({int(number) for (number,) in alike.values()})
    if others := [path.name for path in alike if path.name not in {path.name for path in paths}]:
        more = ", …" if len(others) > _MAX_SHOWN else ""
        files, fit = ("files", "do not fit") if len(others) > 1 else ("file", "does not fit")
        notes.append(
            f"{len(others)} {files} named like its slices cannot be read or {fit}: "
            f"{', '.join(others[:_MAX_SHOWN])}{more}"
        )
    return notes


def _are_positions(numbers: npt.NDArray[np.int64], places_mm: npt.NDArray[np.float64]) -> bool:
    """Whether the numbers are positions in mm, rounded, from an arbitrary origin."""
    return any(
        bool((np.abs((numbers - numbers[0]) - sign * (places_mm - places_mm[0])) <= 1).all())
        for sign in (1, -1)
    )


def _note_numbers(numbers: set[int]) -> list[str]:
    """Notes on numbers that count slices, by ones or by any step, if some are missing."""
    first, *_ = ordered = sorted(numbers)
    steps = [after - before for before, after in pairwise(ordered)]
    step = min(steps)
    if first > _MAX_SLICES * step:
        return []
    notes = []
    if first > step:
        notes.append(f"the file names begin with number {first}; slices before it may be missing")
    if max(steps) > step:
        before = ordered[steps.index(max(steps))]
        notes.append(
            f"the numbers in the file names have gaps, as after {before}; slices may be missing"
        )
    return notes


@dataclass(frozen=True)
class _Slice:
    """A file with one slice, and its geometry."""

    path: Path
    geometry: ImageGeometry

    @property
    def position_mm(self) -> float:
        """Position along the normal."""
        affine = self.geometry.affine
        return float(affine[:3, 3] @ _normal(affine))

    def is_parallel_to(self, other: _Slice) -> bool:
        """Whether both may belong to one stack: equal shape, spacing and orientation."""
        return self.geometry.shape == other.geometry.shape and np.allclose(
            self.geometry.affine[:3, :2], other.geometry.affine[:3, :2], atol=0.01
        )


def _normal(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit vector perpendicular to a slice; the third axis of its affine may have any direction."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9), np.float64)
