"""Volumes, ejection fraction and mass from label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE

#: Density of myocardium, g/mL (Schulz-Menger et al., J Cardiovasc Magn Reson 22:19, 2020).
MYOCARDIAL_DENSITY_G_PER_ML = 1.05


@dataclass(frozen=True)
class FrameVolumes:
    """Volumes of one frame, in millilitres; NaN where the slice spacing is not known.

    Attributes:
        name: the case or file the frame belongs to.
        index: number of the frame in it, from 0.
        volume_ml: structure (RV, MYO, LV) to volume.
    """

    name: str
    index: int
    volume_ml: dict[str, float]


@dataclass(frozen=True)
class Measurements:
    """What one patient's frames give.

    Attributes:
        frames: in the order of the cycle as far as it is known.
        ed: number of the end-diastolic frame in ``frames``; None where there is only one frame.
        es: number of the end-systolic frame, likewise.
    """

    frames: tuple[FrameVolumes, ...]
    ed: int | None
    es: int | None

    @property
    def indices(self) -> dict[str, float]:
        """EDV, ESV, SV (mL) and EF (%) of both ventricles and LV mass at ED (g), by column name.

        Empty where ED and ES are not known.
        """
        if self.ed is None or self.es is None:
            return {}
        ed, es = self.frames[self.ed].volume_ml, self.frames[self.es].volume_ml
        values: dict[str, float] = {}
        for ventricle in (LV, RV):
            stroke = ed[ventricle] - es[ventricle]
            values[f"{ventricle}EDV (mL)"] = ed[ventricle]
            values[f"{ventricle}ESV (mL)"] = es[ventricle]
            values[f"{ventricle}SV (mL)"] = stroke
            values[f"{ventricle}EF (%)"] = (
                100 * stroke / ed[ventricle] if ed[ventricle] else float("nan")
            )
        values["LVM (g)"] = ed[MYO] * MYOCARDIAL_DENSITY_G_PER_ML
        return values


#: Columns of :attr:`Measurements.indices`, in order.
INDEX_COLUMNS = (
    *(f"{v}{index}" for v in (LV, RV) for index in ("EDV (mL)", "ESV (mL)", "SV (mL)", "EF (%)")),
    "LVM (g)",
)


def frame_volumes(
    labels: npt.NDArray[np.integer], voxel_ml: float, name: str = ""
) -> list[FrameVolumes]:
    """Volume of each structure in each frame: number of voxels times ``voxel_ml``.

    Args:
        labels: (T, Z, H, W) label map.
        voxel_ml: volume of a voxel, slice *spacing* included: a gap between slices counts.
        name: kept with the frames.
    """
    if labels.ndim != 4:
        raise InputError(f"labels must be (frames, slices, rows, columns), got {labels.shape}")
    return [
        FrameVolumes(
            name,
            t,
            {s: float(np.count_nonzero(frame == VALUE[s]) * voxel_ml) for s in STRUCTURES},
        )
        for t, frame in enumerate(labels)
    ]


def measure_frames(
    frames: Sequence[FrameVolumes], ed: int | None = None, es: int | None = None
) -> Measurements:
    """Find ED and ES among a patient's frames and keep them together.

    Args:
        frames: at least one.
        ed: number of the ED frame where it is known; otherwise the frame of the largest LV volume.
        es: likewise for ES, the frame of the smallest.
    """
    if not frames:
        raise InputError("no frame to measure")
    if len(frames) > 1:
        curve = [frame.volume_ml[LV] for frame in frames]
        ed = int(np.argmax(curve)) if ed is None else ed
        es = int(np.argmin(curve)) if es is None else es
        return Measurements(tuple(frames), ed, es)
    return Measurements(tuple(frames), None, None)
