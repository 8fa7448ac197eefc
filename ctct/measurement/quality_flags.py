"""From quality indicators to plain reasons and one verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ctct.labels import LV, MYO, RV, STRUCTURES
from ctct.measurement.predicted_dice import explain_dice
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.measurement.volumes import Measurements

OK, REVIEW, REJECT = VERDICTS = ("ok", "review", "reject")

#: A frame above the first score should be looked at; above the second, its labels are of no use.
#: Of the frames of 8 training patients and their damaged copies with Dice ≥ 0.80, 16 and 4 in 100
#: lie above.
SCORE_REVIEW, SCORE_REJECT = 0.4, 1.0

#: A structure whose predicted Dice is lower should be looked at, or is of no use.
DICE_REVIEW, DICE_REJECT = 0.8, 0.5

#: A value outside cannot be that of an adult's heart.
_PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "LVEDV (mL)": (30, 500),
    "RVEDV (mL)": (30, 500),
    "LVM (g)": (25, 450),
    "LVEF (%)": (5, 90),
    "RVEF (%)": (5, 90),
    # Without shunt or regurgitation both ventricles put out the same volume; with wrong labels of
    # one of them they do not.
    "LVSV/RVSV": (0.6, 1.7),
}

#: Larger ratios of stroke volumes, of which one is hardly more than 0, are not shown.
_MAX_RATIO = 10.0

#: Volumes of a single frame, of a child or an adult; and the largest that any heart can have.
_PLAUSIBLE_ML: Mapping[str, tuple[float, float]] = {LV: (2, 500), RV: (2, 500), MYO: (5, 430)}
_MAX_ML = 1000.0

#: In-plane spacing, slice spacing and field of view (mm) of the scans that the bundled model was
#: trained on, a little widened.
_SPACING_MM, _SLICE_MM, _MIN_FOV_MM = (0.65, 2.0), (4.5, 11.0), 200.0


@dataclass(frozen=True)
class Flag:
    """A reason not to trust a result, or what it does not hold.

    Attributes:
        level: "review" or "reject"; "ok" for what the reader should know without a doubt.
        reason: a sentence for the reader.
    """

    level: str
    reason: str


@dataclass(frozen=True)
class Judgement:
    """The verdict on a patient.

    Attributes:
        verdict: "ok", "review" or "reject": the gravest level of the flags.
        score: how doubtful the labels of ED and ES are, the worse of the two; NaN where it is not
            known.
        flags: the reasons, gravest first.
        predicted_dice: structure to the Dice that it probably has at ED and ES, the lower of the
            two; without what is not known.
    """

    verdict: str
    score: float
    flags: tuple[Flag, ...]
    predicted_dice: Mapping[str, float] = field(default_factory=dict)


def judge(
    measurements: Measurements,
    indicators: Sequence[FrameIndicators | None],
    image: Iterable[Flag] = (),
) -> Judgement:
    """Judge a patient by the frames that its numbers come from: ED and ES, or the only frame.

    Args:
        measurements: the patient's.
        indicators: of each frame of ``measurements``; None where they are not known.
        image: flags of the patient's images.
    """
    used = measurements.phases or {"": 0}
    flags = [*image, *index_flags(measurements)]
    scores = []
    dice: dict[str, float] = {}
    for phase, number in used.items():
        if frame := indicators[number]:
            if math.isfinite(frame.score):
                scores.append(frame.score)
            for structure, value in frame.predicted_dice.items():
                if math.isfinite(value):
                    dice[structure] = min(value, dice.get(structure, 1.0))
            flags += [
                Flag(flag.level, f"{phase}: {flag.reason}" if phase else flag.reason)
                for flag in frame_flags(frame)
            ]
    if len(scores) < len(used):
        flags.append(Flag(REVIEW, "how far the networks agree is not known"))
    flags.sort(key=lambda flag: -VERDICTS.index(flag.level))
    verdict = flags[0].level if flags else OK
    return Judgement(verdict, max(scores, default=math.nan), tuple(flags), dice)


def frame_flags(indicators: FrameIndicators) -> list[Flag]:
    """Flags of one frame."""
    missing = [s for s in indicators.missing if s != RV]
    checks: list[tuple[bool, str, str]] = [
        (bool(missing), REJECT, f"no {' and no '.join(missing)} was found"),
        (RV in indicators.missing, REVIEW, "no RV was found"),
        (indicators.swapped, REJECT, "RV and LV look exchanged; is the label order right?"),
        (
            indicators.score > SCORE_REJECT,
            REJECT,
            f"the labels are in dispute (score {show_apart(indicators.score, SCORE_REJECT, 1)})",
        ),
        (
            SCORE_REVIEW < indicators.score <= SCORE_REJECT,
            REVIEW,
            "the networks disagree more than usual "
            f"(score {show_apart(indicators.score, SCORE_REVIEW, 1)})",
        ),
        (
            indicators.open_ring > 0.1,
            REVIEW,
            f"the myocardial ring is open: {_percent(indicators.open_ring, 0.1)} of the LV's "
            "outline has no muscle beside it",
        ),
        (
            indicators.gaps > 0,
            REVIEW,
            f"slices within the LV that hold none of it: {indicators.gaps}",
        ),
        (
            indicators.scattered > 0.05,
            REVIEW,
            f"{_percent(indicators.scattered, 0.05)} of the labels lay apart or left holes, and "
            "were removed or filled",
        ),
        (
            indicators.hollow > 0.05,
            REVIEW,
            "the ring of myocardium holds space that is not LV, "
            f"{_percent(indicators.hollow, 0.05)} of the LV's volume",
        ),
        (
            indicators.ringless > 0.03,
            REVIEW,
            f"{_percent(indicators.ringless, 0.03)} of the LV lies in slices without a ring of "
            "myocardium",
        ),
        (indicators.cut_off > 0.02, REVIEW, "the heart reaches the edge of the image"),
        (
            indicators.contrast < 1.2,
            REVIEW,
            "blood is hardly brighter than muscle, unlike the training scans",
        ),
    ]
    flags = [Flag(level, reason) for present, level, reason in checks if present]
    return flags + _dice_flags(indicators)


def _dice_flags(indicators: FrameIndicators) -> list[Flag]:
    """Flags of structures whose predicted Dice is low; one without a voxel has another flag."""
    flags = []
    for structure in STRUCTURES:
        dice = indicators.predicted_dice.get(structure, math.nan)
        if dice < DICE_REVIEW and structure not in indicators.missing:
            level, limit = (REJECT, DICE_REJECT) if dice < DICE_REJECT else (REVIEW, DICE_REVIEW)
            shown = show_apart(dice, limit, 2)
            why = explain_dice(structure, indicators.by_structure[structure])
            flags.append(Flag(level, f"{structure} Dice of about {shown} expected: {why}"))
    return flags


def image_flags(
    spacing_mm: Sequence[float], slice_spacing_mm: float, size: Sequence[int]
) -> list[Flag]:
    """How an image differs from the training images.

    Args:
        spacing_mm: row and column spacing.
        slice_spacing_mm: NaN where it is not known.
        size: rows and columns.
    """
    reasons = []
    if not all(_SPACING_MM[0] <= s <= _SPACING_MM[1] for s in spacing_mm):
        shown = " x ".join(f"{s:.2f}" for s in spacing_mm)
        reasons.append(f"pixels of {shown} mm, unlike the training scans")
    if slice_spacing_mm < _SLICE_MM[0] or slice_spacing_mm > _SLICE_MM[1]:
        reasons.append(f"slices {slice_spacing_mm:.1f} mm apart, unlike the training scans")
    field_mm = min(n * mm for n, mm in zip(size, spacing_mm, strict=True))
    if field_mm < _MIN_FOV_MM:
        reasons.append(f"a field of view of {field_mm:.0f} mm, less than in any training scan")
    return [Flag(REVIEW, reason) for reason in reasons]


def index_flags(measurements: Measurements) -> list[Flag]:
    """Implausible or missing indices and volumes, and warnings of the measurements."""
    indices = measurements.indices
    flags = [
        Flag(REVIEW, _explain_index(name, indices[name], low, high))
        for name, (low, high) in _PLAUSIBLE.items()
        if name in indices and (indices[name] < low or indices[name] > high)
    ]
    flags += _missing_value_flags(measurements)
    flags += _volume_flags(measurements)
    if len(measurements.frames) == 1:
        flags.append(Flag(OK, "a single frame and no cine, so there is no ejection fraction"))
    return flags + [Flag(REVIEW, warning) for warning in measurements.warnings]


def _explain_index(name: str, value: float, low: float, high: float) -> str:
    """What an implausible index is, and where to look."""
    expected = f"expected {low:g} to {high:g}"
    if name == "LVSV/RVSV":
        shown = show_apart(value, low if value < low else high, 2)
        if not 0 <= value <= _MAX_RATIO:
            shown = "below 0" if value < 0 else f"above {_MAX_RATIO:g}"
        return (
            f"{name} is {shown}, {expected}: unless valves leak or there is a shunt, one ventricle "
            "is too large or too small at ED or ES; look at the base of both"
        )
    if name.endswith("EF (%)") and value < 0:
        ventricle = name[:2]
        return (
            f"{name} is below 0, {expected}: the {ventricle} is larger at ES than at ED; look at "
            "its base in both"
        )
    return f"{name} is {value:.4g}, {expected}"


def show_apart(value: float, limit: float, decimals: int) -> str:
    """A number with so many decimals, or more where it would be shown like the limit it passed."""
    shown = f"{value:.{decimals}f}"
    for more in range(1, 4):
        if float(shown) != limit:
            break
        shown = f"{value:.{decimals + more}f}"
    return shown


def name_slices(numbers: Iterable[int]) -> str:
    """The slices with these numbers, in a sentence."""
    shown = [str(number) for number in numbers]
    return f"slice{'s' if len(shown) > 1 else ''} {', '.join(shown)} (from 0)"


def _percent(share: float, limit: float) -> str:
    return f"{show_apart(100 * share, 100 * limit, 0)} %"


def _missing_value_flags(measurements: Measurements) -> list[Flag]:
    """Why there is no volume, or no index."""
    if any(math.isnan(ml) for frame in measurements.frames for ml in frame.volume_ml.values()):
        return [Flag(REVIEW, "the slice spacing is not known, so no volume is, and no index")]
    missing = [name for name, value in measurements.indices.items() if math.isnan(value)]
    if not missing:
        return []
    return [Flag(REVIEW, f"no {' and no '.join(missing)}, because the volume to divide by is 0")]


def _volume_flags(measurements: Measurements) -> list[Flag]:
    """Volumes that no heart has; those of a single frame also where hardly a heart has them."""
    impossible, unusual = [], []
    for structure, (low, high) in _PLAUSIBLE_ML.items():
        largest = max(frame.volume_ml[structure] for frame in measurements.frames)
        shown = f"{structure} is {largest:.4g} mL"
        if largest > _MAX_ML:
            impossible.append(shown)
        elif len(measurements.frames) == 1 and (0 < largest < low or largest > high):
            unusual.append(Flag(REVIEW, f"{shown}, expected {low:g} to {high:g}"))
    if impossible:
        reason = f"{' and '.join(impossible)}, which no heart has; check spacing and axes"
        unusual.append(Flag(REJECT, reason))
    return unusual
