"""Folders in which each slice is a NIfTI file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.io.files import ENDINGS
from ctct.io.geometry import SAME_SLICE_MM, stack_step
from ctct.io.nifti import Geometry, read_geometry, read_nifti, source_of
from ctct.io.study import Study

#: Fewer files of one slice are not taken for parts of a stack.
_MIN_SLICES = 3
_ALONE = "name the files themselves to label each alone"


def find_stacks(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Files of one slice each, whose headers say that they lie side by side, by folder.

    Of equal size, pixels, phases and orientation, and not all in the same place; a header that
    gives no place, or files that share theirs, leave every file a scan of its own.
    """
    folders: dict[Path, list[_Slice]] = defaultdict(list)
    for path in paths:
        geometry = read_geometry(path) if path.name.lower().endswith(ENDINGS) else None
        if geometry and geometry.placed and all(n == 1 for n in geometry.shape[2:3]):
            folders[path.parent].append(_Slice(path, geometry))
    stacks = []
    for slices in folders.values():
        groups: list[list[_Slice]] = []
        for one in slices:
            for group in groups:
                if one.is_beside(group[0]):
                    group.append(one)
                    break
            else:
                groups.append([one])
        for group in groups:
            places = [one.place_mm for one in group]
            if len(group) >= _MIN_SLICES and max(places) - min(places) > SAME_SLICE_MM:
                stacks.append(tuple(one.path for one in sorted(group, key=lambda s: s.place_mm)))
    return stacks


def read_slices(paths: Sequence[Path], name: str) -> Study:
    """Read the slices of a stack, in order along their normal, as one study of that name.

    Raises:
        InputError: a file cannot be used, two lie in the same place, or some are missing.
    """
    folder = paths[0].parent
    studies = [read_nifti(path) for path in paths]
    first = studies[0]
    normal = _normal(first.affine)
    origins = np.array([study.affine[:3, 3] for study in studies])
    for (one, at), (other, then) in pairwise(zip(paths, origins @ normal, strict=True)):
        if then - at < SAME_SLICE_MM:
            raise InputError(
                f"{folder}: {one.name} and {other.name} lie in the same place, so nothing says "
                f"which phase each is; join them to one file, or {_ALONE}"
            )
    step, slice_mm, notes = stack_step(
        origins, normal, max(first.spacing_mm), str(folder), f"add them, or {_ALONE}"
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
        source=source_of(affine, voxels.shape, (*first.spacing_mm[::-1], slice_mm, 0.0)),
        notes=notes,
    )


@dataclass(frozen=True)
class _Slice:
    """A file of one slice, and what its header says."""

    path: Path
    geometry: Geometry

    @property
    def place_mm(self) -> float:
        """Where it lies along its normal."""
        affine = self.geometry.affine
        return float(affine[:3, 3] @ _normal(affine))

    def is_beside(self, other: _Slice) -> bool:
        """Whether both may be of one stack: equal shape, pixels and orientation."""
        own, its = self.geometry, other.geometry
        return own.shape == its.shape and np.allclose(
            own.affine[:3, :2], its.affine[:3, :2], atol=0.01
        )


def _normal(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit vector at right angles to a slice; the third axis of its header may be anything."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9), np.float64)
