"""A patient's measurements as a structured report (PS3.16, TID 1500), made by highdicom.

Values have the two decimals of the tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from ctct.dicom_results import codes
from ctct.dicom_results.codes import Code, Concept
from ctct.dicom_results.source_images import SourceImages
from ctct.io.dicom.instances import MAKER, derive_uid, encode
from ctct.io.dicom.segmentation import CODES, SEGMENT_NUMBER
from ctct.io.dicom.sources import make_item
from ctct.labels import LV, MYO, RV
from ctct.measurement.patient import PatientResult
from ctct.measurement.wall import thickening_percent

DISCLAIMER = "Research use only: not a medical device. Not verified by a physician."
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_TITLES = {LV: "left ventricle", RV: "right ventricle", "": "heart and body"}


@dataclass(frozen=True)
class Segments:
    """The segmentation objects that a report refers to.

    Attributes:
        series: SeriesInstanceUID.
        instances: number of a frame, from 0, to SOPInstanceUID; the same one for all frames of a
            segmentation of the cine.
    """

    series: str
    instances: Mapping[int, str]


@dataclass(frozen=True)
class ReportWriter:
    """Makes a report.

    Attributes:
        result: the measurements, with the wall thickness.
        source: images of ED and ES, or of the only frame.
        uid: SOPInstanceUID.
        segments: of the source; None without a segmentation object.
        model: which networks made the labels.
    """

    result: PatientResult
    source: SourceImages
    uid: str
    segments: Segments | None = None
    model: str = ""

    def encode(self) -> bytes:
        """The file.

        Raises:
            Exception: highdicom refuses values that the standard forbids.
        """
        from highdicom import sr
        from highdicom.coding_schemes import CodingSchemeIdentificationItem

        device = sr.DeviceObserverIdentifyingAttributes(
            uid=derive_uid("device", MAKER, version("ctct")),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=f"{MAKER} {version('ctct')}",
        )
        observer = sr.ObserverContext(
            observer_type=_coded(("121007", "DCM", "Device")),
            observer_identifying_attributes=device,
        )
        evidence = list(self._evidence())
        report = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=_coded(codes.CARDIAC_MRI),
            imaging_measurements=list(self._groups()),
            referenced_images=[item for item in evidence if "Rows" in item],
        )
        document = sr.ComprehensiveSR(
            evidence=evidence,
            content=report[0],
            series_instance_uid=derive_uid("series", self.uid),
            series_number=3000 + self.source.series_number,
            series_description="ctct measurements",
            sop_instance_uid=self.uid,
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MAKER,
            software_versions=version("ctct"),
            device_serial_number="0",
            is_complete=True,
            coding_schemes=[
                CodingSchemeIdentificationItem(
                    codes.OWN_SCHEME, name="ctct", responsible_organization="ctct contributors"
                )
            ],
        )
        return encode(document, self.source.study)

    def _evidence(self) -> Iterator[Any]:
        """The files of images, with their size, and of segmentations that a report names."""
        rows, columns = self.source.size
        files = {image.instance: image for image in self.source.all}
        frame_of_reference = self.source.frame_of_reference
        for image in files.values():
            item = make_item(
                SOPClassUID=image.sop_class,
                SOPInstanceUID=image.instance,
                SeriesInstanceUID=image.series,
                Rows=rows,
                Columns=columns,
                Modality="",  # of others, highdicom wants the place too, which images may lack
            )
            if frame_of_reference:
                item.FrameOfReferenceUID = frame_of_reference
            item.update(self.source.study)
            yield item
        if self.segments:
            for uid in {self.segments.instances[number]: "" for number in self.source.frames}:
                item = make_item(
                    SOPClassUID=_SEGMENTATION,
                    SOPInstanceUID=uid,
                    SeriesInstanceUID=self.segments.series,
                )
                item.update(self.source.study)
                yield item

    def _groups(self) -> Iterator[Any]:
        """Quality first, so that no reader overlooks it; then indices, wall and volumes."""
        yield self._quality()
        for ventricle, concepts in codes.INDICES.items():
            measured = list(self._indices(concepts))
            if ventricle == "" and (rate := self.result.measurements.subject.heart_rate_bpm):
                measured.append(_measure(codes.HEART_RATE, rate, codes.PER_MINUTE))
            if measured:
                frames = self.source.frames if ventricle else ()
                yield self._group(_TITLES[ventricle], measured, ventricle, frames=frames)
        yield from self._wall()
        for phase, number in (self.result.measurements.phases or {"": 0}).items():
            volumes_ml = self.result.measurements.frames[number].volume_ml
            for structure in CODES:
                if math.isfinite(volumes_ml[structure]):
                    yield self._volume(structure, phase, number, volumes_ml[structure])

    def _quality(self) -> Any:
        from highdicom import sr

        judgement = self.result.judgement
        verdict = sr.QualitativeEvaluation(
            _coded(codes.VERDICT), _coded(codes.VERDICTS[judgement.verdict])
        )
        measured = []
        if math.isfinite(judgement.score):
            measured.append(_measure(codes.SCORE, judgement.score, codes.NO_UNITS))
        measured += [
            _measure(codes.PREDICTED_DICE, dice, codes.NO_UNITS, sites=[_structure(structure)])
            for structure, dice in judgement.predicted_dice.items()
        ]
        group = self._group("quality", measured, evaluations=[verdict])
        remarks = (f"{name}: {text}" for name, text in self.result.remarks.items())
        flags = (f"{flag.level}: {flag.reason}" for flag in judgement.flags)
        for reason in (DISCLAIMER, *remarks, *flags):
            group[0].ContentSequence.append(
                sr.TextContentItem(
                    _coded(codes.COMMENT), reason, sr.RelationshipTypeValues.CONTAINS
                )
            )
        return group

    def _indices(self, concepts: Mapping[str, Concept]) -> Iterator[Any]:
        values = self.result.measurements.all_indices
        for column, concept in concepts.items():
            value = values.get(column, math.nan)
            if not math.isfinite(value):
                continue
            measured = _measure(concept.name, value, concept.unit, method=concept.method)
            if concept.phase:
                _modify(measured[0], codes.CYCLE_POINT, codes.PHASES[concept.phase])
            if concept.is_indexed:
                _modify(measured[0], codes.INDEX, codes.BSA)
            yield measured

    def _wall(self) -> Iterator[Any]:
        result = self.result
        walls = {"ED": result.ed_wall_mm, "ES": result.es_wall_mm}
        for phase, thickness_mm in walls.items():
            measured = list(_by_segment(codes.WALL_THICKNESS, thickness_mm, codes.MM))
            if measured:
                frames = [result.measurements.phases[phase]]
                title = f"wall thickness at {phase}"
                yield self._group(title, measured, MYO, phase=phase, frames=frames)
        if result.ed_wall_mm and result.es_wall_mm:
            percent = thickening_percent(result.ed_wall_mm, result.es_wall_mm)
            if measured := list(_by_segment(codes.THICKENING, percent, codes.PERCENT)):
                frames = list(result.measurements.phases.values())
                yield self._group("wall thickening", measured, MYO, frames=frames)

    def _volume(self, structure: str, phase: str, number: int, volume_ml: float) -> Any:
        """The volume of a structure in a frame, of its segment where there is one."""
        from highdicom import sr

        title = f"{structure} at {phase}" if phase else structure
        measured = [_measure(codes.VOLUME, volume_ml, codes.ML)]
        if self.segments is None:
            return self._group(title, measured, structure, phase=phase, frames=[number])
        group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._track(title),
            referenced_segment=sr.ReferencedSegment(
                _SEGMENTATION,
                self.segments.instances[number],
                SEGMENT_NUMBER[structure],
                source_images=[
                    sr.SourceImageForSegmentation(*_reference(image))
                    for image in self.source.frames[number]
                ],
            ),
            finding_type=_structure(structure),
            algorithm_id=self._algorithm,
            finding_sites=[sr.FindingSite(_structure(structure))],
            measurements=measured,
        )
        if phase:
            _modify(group[0], codes.CYCLE_POINT, codes.PHASES[phase])
        return group

    def _group(
        self,
        title: str,
        measurements: Sequence[Any],
        structure: str = "",
        phase: str = "",
        frames: Iterable[int] = (),
        evaluations: Sequence[Any] | None = None,
    ) -> Any:
        """Measurements of a structure, in a phase, from the images of ``frames``."""
        from highdicom import sr

        images = [image for number in frames for image in self.source.frames[number]]
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._track(title),
            algorithm_id=self._algorithm,
            finding_sites=[sr.FindingSite(_structure(structure))] if structure else None,
            measurements=measurements,
            qualitative_evaluations=evaluations,
            source_images=[
                sr.SourceImageForMeasurementGroup(*_reference(image)) for image in images
            ],
        )
        if phase:
            _modify(group[0], codes.CYCLE_POINT, codes.PHASES[phase])
        return group

    def _track(self, title: str) -> Any:
        from highdicom import sr

        return sr.TrackingIdentifier(derive_uid("tracking", self.uid, title), title)

    @cached_property
    def _algorithm(self) -> Any:
        from highdicom import sr

        return sr.AlgorithmIdentification(
            name=MAKER,
            version=version("ctct"),
            parameters=[f"model {self.model}"] if self.model else None,
            family=_coded(codes.ARTIFICIAL_INTELLIGENCE),
        )


def _by_segment(name: Code, values: Sequence[float], unit: Code) -> Iterator[Any]:
    for site, value in zip(codes.WALL_SEGMENTS, values, strict=False):
        if math.isfinite(value):
            yield _measure(name, value, unit, sites=[_coded(site)])


def _measure(
    name: Code, value: float, unit: Code, sites: Sequence[Any] = (), method: Code | None = None
) -> Any:
    from highdicom import sr

    return sr.Measurement(
        name=_coded(name),
        value=round(value, 2),
        unit=_coded(unit),
        finding_sites=[sr.FindingSite(site) for site in sites] or None,
        method=_coded(method) if method else None,
    )


def _modify(item: Any, name: Code, value: Code) -> None:
    """Say more of a measurement, or of a group of them."""
    from highdicom import sr

    kind = sr.RelationshipTypeValues.HAS_CONCEPT_MOD
    modifier = sr.CodeContentItem(_coded(name), _coded(value), kind)
    if "ContentSequence" not in item:
        item.ContentSequence = sr.ContentSequence()
    item.ContentSequence.append(modifier)


def _reference(image: Any) -> tuple[str, str, list[int] | None]:
    return image.sop_class, image.instance, [image.frame] if image.frame else None


def _structure(structure: str) -> Any:
    value, meaning = CODES[structure]
    return _coded((value, "SCT", meaning))


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)
