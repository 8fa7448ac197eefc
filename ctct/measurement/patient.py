"""Everything known of one patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ctct.measurement.papillary import PAPILLARY_COLUMN
from ctct.measurement.quality_flags import Judgement
from ctct.measurement.quality_indicators import FrameIndicators
from ctct.measurement.volumes import Measurements


@dataclass(frozen=True)
class PatientResult:
    """Everything known of a patient.

    Attributes:
        name: the patient.
        measurements: phases, volumes, indices.
        judgement: verdict and reasons.
        indicators: indicators of each frame of ``measurements``; None where they are not known.
        by_model: name of every other model to the indices of its labels; see
            :mod:`ctct.prediction.comparison`.
        ed_wall_mm: wall thickness at ED of the 16 segments; empty where it is not known.
        es_wall_mm: the same at ES.
        picture: JPEG of ED and ES, slices from base to apex; empty without one.
        disagreement: JPEG of the disagreement in each of the patient's files.
        identifiers: of the patient and the study in the DICOM header; empty unless requested.
        remarks: name of a column to what a reader must know of these numbers, for instance that the
            labels were edited; "" where there is nothing to know.
    """

    name: str
    measurements: Measurements
    judgement: Judgement
    indicators: tuple[FrameIndicators | None, ...]
    by_model: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ed_wall_mm: tuple[float, ...] = ()
    es_wall_mm: tuple[float, ...] = ()
    picture: bytes = b""
    disagreement: tuple[bytes, ...] = ()
    identifiers: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def range_sex(self) -> str | None:
        """The sex whose reference ranges apply; None where it is not known, or none apply.

        They count papillary muscles with the cavity.
        """
        is_counted_otherwise = "myocardium" in self.remarks.get(PAPILLARY_COLUMN, "")
        return None if is_counted_otherwise else self.measurements.subject.sex
