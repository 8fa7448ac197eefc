"""The short-axis cine among the series of a study: its shape, name and direction tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ctct.io.dicom.header import PLAIN
from ctct.io.dicom.phase_order import MIN_PHASES
from ctct.io.dicom.series import MIN_SLICES, Series, study_key
from ctct.io.orientation import LONG_AXIS, MAX_DEGREES

#: In dextrocardia.
_MIRRORED_LONG_AXIS = LONG_AXIS * [-1, 1, 1]
#: Slices farther away from both are doubtful even if their name says short axis.
_MAX_NAMED_DEGREES = 60.0
#: Dextrocardia is rare: its short axis must be met better than the usual one by this angle.
_MIRRORED_PENALTY = 15.0
#: Series of a study whose directions differ by less show one view.
_PARALLEL_DEGREES = 15.0

#: Words in the description of a series, in which all but letters and digits is replaced by spaces.
_SHORT_AXIS = re.compile(
    r"(?<![a-z])(sax?|sh(ort)? ?ax(is|e)?|kurz(e )?achse|petit axe|eje corto|asse corto|"
    r"eixo curto|korte as)(?![a-z])|短[轴軸]"
)
_LONG_AXIS_VIEW = re.compile(
    r"(?<![a-z])(lax|long ?ax(is|e)?|lang(e )?achse|grand axe|eje largo|asse lungo|eixo longo|"
    r"lange as|[vh]la|lvot|([234]|two|three|four) ?(ch|chambers?|kammer|cv|cav\w*|cam\w*))"
    r"(?![a-z])|长轴|長軸"
)
_OTHER_VIEW = re.compile(
    r"(?<![a-z])(rvot|rvla|aorta|ax|axial|tra|trans|transvers\w*|cor|coronal\w*|sag|sagittal\w*)"
    r"(?![a-z])"
)
_SHORT, _LONG, _OTHER = "a short-axis view", "a long-axis view", "no short-axis view"
#: How the reason begins why a short-axis cine is not taken.
RIVAL = "a short-axis cine"
#: Likelihoods of short-axis slices by their name and by their direction.
_NAMED, _USUAL, _MIRRORED = 5, 4, 3


@dataclass(frozen=True)
class _View:
    """How the slices of a series lie, and what their name says.

    Attributes:
        name: what the description of the series, or of a parallel one, says; "" if nothing.
        degrees: angle to the usual short axis.
        mirrored_degrees: angle to the short axis in dextrocardia.
    """

    name: str
    degrees: float
    mirrored_degrees: float

    @property
    def likelihood(self) -> int:
        """The higher, the more likely they are short-axis slices; 0 if they are not."""
        fits = self.degrees <= MAX_DEGREES
        if self.name == _SHORT:
            return _NAMED
        if self.name:
            return int(fits)
        return _USUAL if fits else _MIRRORED if self.mirrored_degrees <= MAX_DEGREES else 2

    @property
    def doubt(self) -> str:
        """Why they may be no short-axis slices, or ""."""
        angle = f"lies {self.degrees:.0f}° from where the short axis of a heart is expected"
        if self.name in (_LONG, _OTHER):
            by_name = f"is {self.name} by its name or that of a parallel series"
            return by_name if self.likelihood else f"{by_name} and {angle}"
        if self.name == _SHORT:
            nearest = min(self.degrees, self.mirrored_degrees)
            return angle if nearest > _MAX_NAMED_DEGREES else ""
        return "" if self.likelihood == _USUAL else angle


def explain_rejections(all_series: Sequence[Series]) -> list[str]:
    """Why each series is not segmented, "" for the short-axis cine of each study.

    The name of a series counts more than its direction. A series whose direction is unusual is
    taken if no other is more likely and none as likely has another direction.
    """
    reasons = [_why_no_cine(series) for series in all_series]
    for study in _studies(all_series):
        views = dict(zip(study, _views([all_series[n] for n in study]), strict=True))
        candidates = [n for n in study if not reasons[n]]
        likelihood = _largest_likelihood([views[n] for n in candidates])
        likely = [n for n in candidates if views[n].likelihood == likelihood > 0]
        for n in candidates:
            if n not in likely:
                reasons[n] = views[n].doubt or "another cine is more likely the short axis"
        if likelihood < _USUAL and not _are_parallel([all_series[n] for n in likely]):
            for n in likely:
                reasons[n] = f"{views[n].doubt}, and another series in another direction may be it"
        elif likely:
            best = max(likely, key=lambda n: (*all_series[n].rank, n))
            for n in likely:
                if n != best:
                    reasons[n] = (
                        f"{RIVAL}, but {all_series[best].label} is taken, which has more slices or "
                        "phases or is the later one"
                    )
    return reasons


def note_doubts(all_series: Sequence[Series]) -> list[Series]:
    """The series, with a note on each whose slices may be no short-axis slices."""
    result = list(all_series)
    for study in _studies(all_series):
        views = _views([all_series[n] for n in study])
        may_be_mirrored = any(
            view.likelihood == _MIRRORED and not _why_no_cine(all_series[n])
            for n, view in zip(study, views, strict=True)
        )
        for n, view in zip(study, views, strict=True):
            doubt = view.doubt
            if view.likelihood == _USUAL and may_be_mirrored:
                doubt = "is one of two cines in different directions, and no name says which is it"
            if doubt and not all_series[n].first.missing:
                note = f"the series {doubt}; check that it is a short-axis cine"
                result[n] = replace(all_series[n], notes=(*all_series[n].notes, note))
    return result


def _largest_likelihood(views: Sequence[_View]) -> int:
    """The likelihood of the cine to take, 0 without one.

    A long-axis cine in dextrocardia may lie as the usual short axis does, and the other way round.
    """
    likelihood = max((view.likelihood for view in views), default=0)
    mirrored = [view.mirrored_degrees for view in views if view.likelihood == _MIRRORED]
    if likelihood == _USUAL and mirrored:
        usual = min(view.degrees for view in views if view.likelihood == _USUAL)
        return _MIRRORED if min(mirrored) + _MIRRORED_PENALTY < usual else _USUAL
    return likelihood


def _why_no_cine(series: Series) -> str:
    first = series.first
    if first.modality != "MR":
        return f"modality is {first.modality or 'not given'}, expected MR"
    if first.kind != PLAIN:
        return first.kind
    if first.missing:
        return f"lacks {first.missing}"
    slices, phases = len(series.slices), series.phases
    if slices < MIN_SLICES:
        return f"slices: {slices}, a short-axis cine has at least {MIN_SLICES}"
    if phases < MIN_PHASES:
        return f"phases: {phases}, a cine has at least {MIN_PHASES}"
    return ""


def _studies(all_series: Sequence[Series]) -> Iterable[list[int]]:
    """The indices of the series of each study."""
    studies: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for n, series in enumerate(all_series):
        studies[study_key(series.first)].append(n)
    return studies.values()


def _views(study: Sequence[Series]) -> list[_View]:
    """The view of each series; one without a name of a view has that of a parallel series."""
    normals = np.array([series.normal for series in study])  # (series, 3)
    names = np.array([_view_in_name(series) for series in study])
    is_image = np.array([s.first.kind == PLAIN and not s.first.missing for s in study])
    views = []
    for series, name in zip(study, names, strict=True):
        if not name:
            is_parallel = is_image & (_degrees(normals, series.normal) <= _PARALLEL_DEGREES)
            name = next((n for n in (_SHORT, _LONG) if n in names[is_parallel]), "")
        degrees = (
            float(_degrees(series.normal, axis)) for axis in (LONG_AXIS, _MIRRORED_LONG_AXIS)
        )
        views.append(_View(str(name), *degrees))
    return views


def _view_in_name(series: Series) -> str:
    """What the description of a series says of its view; "" if nothing, or several things."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", series.first.description).lower()
    rest = _SHORT_AXIS.sub(" ", spaced)
    is_short, is_long = rest != spaced, bool(_LONG_AXIS_VIEW.search(rest))
    if is_short:
        return "" if is_long else _SHORT
    return _LONG if is_long else _OTHER if _OTHER_VIEW.search(rest) else ""


def _are_parallel(group: Sequence[Series]) -> bool:
    return all(_degrees(group[0].normal, s.normal) <= _PARALLEL_DEGREES for s in group)


def _degrees(
    normals: npt.NDArray[np.float64], axis: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The angle between normals and an axis, whichever way they point."""
    return np.degrees(np.arccos(np.minimum(np.abs(normals @ axis), 1.0)))
