"""Volumes, ejection fraction and mass from label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, STRUCTURES, VALUE
from ctct.measurement.phases import MIN_FRAMES, find_phases
from ctct.measurement.subject import Subject, indices_of_subject

#: Density of myocardium, g/mL (Schulz-Menger et al., J Cardiovasc Magn Reson 22:19, 2020).
MYOCARDIAL_DENSITY_G_PER_ML = 1.05


@dataclass(frozen=True)
class FrameVolumes:
    """Volumes of one frame, in milliliters; NaN where the slice spacing is not known.

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
    """Volumes, phases and indices of one patient.

    Attributes:
        frames: in the order of the cycle.
        ed: number of the end-diastolic frame in ``frames``; None where there is only one frame.
        es: number of the end-systolic frame, likewise.
        smooth_ml: smoothed LV volume of each frame; empty where there is only one.
        warnings: oddities of the LV volume over the cycle and of what is known of the patient, one
            sentence each.
        subject: the patient's body, as far as it is known.
    """

    frames: tuple[FrameVolumes, ...]
    ed: int | None
    es: int | None
    smooth_ml: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    subject: Subject = field(default_factory=Subject)

    @property
    def phases(self) -> dict[str, int]:
        """Frame number of "ED" and of "ES"; empty where there is only one frame."""
        named = {"ED": self.ed, "ES": self.es}
        return {name: number for name, number in named.items() if number is not None}

    @property
    def frame_ms(self) -> float | None:
        """Time from frame to frame of a cine of one cycle; None without the heart rate."""
        rate_bpm = self.subject.heart_rate_bpm
        if not rate_bpm or len(self.frames) < 3:
            return None
        return 60_000 / rate_bpm / len(self.frames)

    @property
    def indices(self) -> dict[str, float]:
        """The indices by column name, those of :data:`INDEX_COLUMNS`; empty without ED and ES.

        Volumes are sums over slices of area times slice *spacing* (Simpson's rule): a gap counts,
        half to each neighbor, and a slice without the structure adds nothing. The RV is measured
        at the LV's ED and ES. SV = EDV - ESV; EF = SV / EDV; mass = volume times
        :data:`MYOCARDIAL_DENSITY_G_PER_ML` (Schulz-Menger et al., J Cardiovasc Magn Reson 22:19,
        2020).
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
            values[f"{ventricle}EF (%)"] = _ratio(100 * stroke, ed[ventricle])
        values["LVM (g)"] = ed[MYO] * MYOCARDIAL_DENSITY_G_PER_ML
        values["LVM ES (g)"] = es[MYO] * MYOCARDIAL_DENSITY_G_PER_ML
        values["LVSV/RVSV"] = _ratio(values[f"{LV}SV (mL)"], values[f"{RV}SV (mL)"])
        return values

    @property
    def all_indices(self) -> dict[str, float]:
        """:attr:`indices`, and those per body surface area and heart rate where these are known."""
        return self.indices | indices_of_subject(self.indices, self.subject)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


#: Columns of :attr:`Measurements.indices`, in order.
INDEX_COLUMNS = (
    *(f"{v}{index}" for v in (LV, RV) for index in ("EDV (mL)", "ESV (mL)", "SV (mL)", "EF (%)")),
    *("LVM (g)", "LVM ES (g)", "LVSV/RVSV"),
)


#: How far the LV volume in a given ED or ES may lie from the largest or smallest, as a share of the
#: largest: manual phases differ by a frame or two.
_MAX_FROM_EXTREME = 0.15


def frame_volumes(
    labels: npt.NDArray[np.integer], voxel_ml: float, name: str = ""
) -> list[FrameVolumes]:
    """Volume of each structure in each frame: number of voxels times ``voxel_ml``.

    Args:
        labels: (T, Z, H, W) label map.
        voxel_ml: volume of a voxel, slice *spacing* included: a gap between slices counts.
        name: of the case, stored with every frame.
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
    frames: Sequence[FrameVolumes],
    ed: int | None = None,
    es: int | None = None,
    subject: Subject | None = None,
    warnings: Sequence[str] = (),
) -> Measurements:
    """Find ED and ES among a patient's frames.

    Args:
        frames: at least one, in the order of the cycle.
        ed: number of the ED frame where it is known; otherwise see
            :func:`ctct.measurement.phases.find_phases`.
        es: likewise for ES.
        subject: the patient's body.
        warnings: added to those about the volume curve.
    """
    if not frames:
        raise InputError("no frame to measure")
    subject = subject or Subject()
    if len(frames) == 1:
        return Measurements(tuple(frames), None, None, warnings=tuple(warnings), subject=subject)
    lv_ml = [frame.volume_ml[LV] for frame in frames]
    phases = find_phases(lv_ml)
    return Measurements(
        tuple(frames),
        phases.ed if ed is None else ed,
        phases.es if es is None else es,
        phases.smooth_ml,
        (*phases.warnings, *_check_count(lv_ml, ed, es), *_check_given(lv_ml, ed, es), *warnings),
        subject,
    )


def _check_count(lv_ml: Sequence[float], ed: int | None, es: int | None) -> list[str]:
    """A sentence for ED and ES that were found among more than two frames, too few for a cine."""
    if not 2 < len(lv_ml) < MIN_FRAMES or (ed is not None and es is not None):
        return []
    return [f"{len(lv_ml)} frames are too few to find ED and ES among them; name both where known"]


def _check_given(lv_ml: Sequence[float], ed: int | None, es: int | None) -> list[str]:
    """A sentence for ED, and one for ES, that were given and are far from the extreme volume."""
    largest, smallest = max(lv_ml), min(lv_ml)
    checks = (("ED", ed, largest, "largest"), ("ES", es, smallest, "smallest"))
    return [
        f"the LV has {lv_ml[given]:.0f} mL in frame {given}, the given {phase}, and "
        f"{extreme:.0f} mL in frame {lv_ml.index(extreme)}, the {word} volume"
        for phase, given, extreme, word in checks
        if given is not None and abs(lv_ml[given] - extreme) > _MAX_FROM_EXTREME * largest
    ]
