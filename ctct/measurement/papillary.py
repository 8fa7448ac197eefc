"""Papillary muscles and trabeculae: counted with the cavity or with the myocardium.

Labels with a smooth endocardial contour, as those of ACDC, count them with the cavity, unless a
voxel between blood is labelled as myocardium. Both conventions are in use (Schulz-Menger et al., J
Cardiovasc Magn Reson 22:19, 2020), and volumes and mass by one cannot be compared with those by the
other.
"""

from __future__ import annotations

from typing import get_args

import cc3d
import numpy as np
import numpy.typing as npt

from ctct.choices import Papillary
from ctct.errors import ConfigError
from ctct.labels import LV, MYO, VALUE, bounding_box
from ctct.measurement.masks import Mask

#: As the labels are, or with one of both structures.
LABELS, CAVITY, MYOCARDIUM = CHOICES = get_args(Papillary)

#: The column of the remark.
PAPILLARY_COLUMN = "papillary muscles"
#: In a slice with less wall or cavity than this, in pixels, the brightness of neither is known.
_MIN_PIXELS = 20


def count_papillary(
    labels: npt.NDArray[np.uint8], voxels: npt.NDArray[np.float32], papillary: str = LABELS
) -> npt.NDArray[np.uint8]:
    """Labels with the papillary muscles in one of both structures, for measuring volumes.

    The endocardial contour of a slice is the outline of the LV without holes. "cavity" counts all
    within it as LV. "myocardium" counts the pixels within it that are darker than halfway between
    wall and blood, the medians of the slice's MYO and LV, as myocardium: papillary muscles and
    trabeculae. A slice with too few pixels of either, or whose blood is not brighter, stays as it
    is.

    Args:
        labels: (T, Z, H, W) label map; not changed.
        voxels: intensities, of the same shape; not used for "cavity".
        papillary: one of :data:`CHOICES`.

    Returns:
        The labels to count; of another array unless ``papillary`` is "labels".

    Raises:
        ConfigError: ``papillary`` is another word.
    """
    if papillary not in CHOICES:
        raise ConfigError(f"--papillary {papillary}: choose one of {', '.join(CHOICES)}")
    if papillary == LABELS:
        return labels
    counted = labels.copy()
    rows, columns = bounding_box(labels)
    shown = counted[..., rows, columns]
    images = voxels[..., rows, columns]
    for frame, image in zip(shown, images, strict=True):
        for slice_, intensities in zip(frame, image, strict=True):
            if (slice_ == VALUE[LV]).any():
                _count_in_slice(slice_, intensities, papillary)
    return counted


def _count_in_slice(
    slice_: npt.NDArray[np.uint8], image: npt.NDArray[np.float32], papillary: str
) -> None:
    """Relabel a slice (H, W), in place."""
    lv, muscle = slice_ == VALUE[LV], slice_ == VALUE[MYO]
    within = fill_holes(lv) & (lv | muscle)
    if papillary == CAVITY:
        slice_[within] = VALUE[LV]
        return
    wall = muscle & ~within
    if min(np.count_nonzero(wall), np.count_nonzero(lv)) < _MIN_PIXELS:
        return
    dark, bright = float(np.median(image[wall])), float(np.median(image[lv]))
    if bright > dark:
        slice_[within & (image < (dark + bright) / 2)] = VALUE[MYO]


def fill_holes(mask: Mask) -> Mask:
    """A mask (H, W) with its holes; a gap at a corner does not open one."""
    outside = np.pad(~mask, 1, constant_values=True)
    components = cc3d.connected_components(outside, connectivity=4)
    filled: Mask = components[1:-1, 1:-1] != components[0, 0]
    return filled


def papillary_remark(papillary: str) -> dict[str, str]:
    """What tables and report say of it, by column; nothing of labels as they are."""
    said = {
        CAVITY: "counted with the cavity",
        MYOCARDIUM: "counted with the myocardium, by brightness within the endocardial contour",
    }
    return {PAPILLARY_COLUMN: said[papillary]} if papillary in said else {}
