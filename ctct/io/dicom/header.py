"""What the headers of DICOM files say of each image.

Names of attributes are those of the standard (DICOM PS3.6); an enhanced multi-frame file gives an
image a frame, its attributes looked up in the functional groups (PS3.3, C.7.6.16).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ctct.errors import RuntimeUnavailableError
from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.quiet import quiet
from ctct.io.patient_info import Info

log = logging.getLogger(__name__)

#: Transfer syntax of files whose data set is deflated, and bytes within which it is named.
_DEFLATED, _META_BYTES = b"1.2.840.10008.1.2.1.99", 2048

#: What is read of a header; a name or number of the patient is not.
_TAGS = [
    *("SOPClassUID", "ImageType", "Modality", "SeriesDescription", "SeriesNumber"),
    *("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "TemporalPositionIdentifier"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"),
    *("SamplesPerPixel", "TriggerTime", "NominalInterval", "HeartRate"),
    *("PatientSex", "PatientSize", "PatientWeight"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]

#: Words of ImageType, or FrameType, and the kind of image they stand for.
_KINDS: Mapping[str, str] = {
    "LOCALIZER": "localiser",
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP"), "phase map (flow)"),
}
PLAIN = ""


@dataclass(frozen=True, slots=True)
class Image:
    """What the header says of one two-dimensional image; None where it does not.

    Attributes:
        file: where it is.
        frame: its number in that file, from 0.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        number: SeriesNumber.
        description: SeriesDescription.
        modality: "MR" for magnetic resonance.
        kind: "" or what makes it no plain image: "localiser", "phase map (flow)", "color image".
        shape: rows and columns.
        spacing_mm: (row, column) distance between neighbouring pixels.
        orientation: direction of growing column, then of growing row (LPS).
        position: center of the first pixel in millimetres (LPS).
        time_ms: after the R wave.
        phase: its number, or percentage of the cycle; grows with time.
        instance: number within the series.
        info: the patient's body and heart rate.
    """

    file: DicomFile
    frame: int
    study: str
    series: str
    number: int
    description: str
    modality: str
    kind: str
    shape: tuple[int, int]
    spacing_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    time_ms: float | None
    phase: float | None
    instance: int
    info: Info = field(compare=False)

    @property
    def missing(self) -> str:
        """The attribute without which the image has no place, "" where all are there."""
        places = (self.spacing_mm, self.orientation, self.position)
        names = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
        return next((name for name, p in zip(names, places, strict=True) if p is None), "")


def read_headers(files: Iterable[DicomFile]) -> list[Image]:
    """What the headers say of every image in ``files``; what cannot be read is counted and logged.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
    """
    images: list[Image] = []
    damaged: Counter[Path] = Counter()
    with Opener() as opener, quiet:
        for file in files:
            try:
                header = read_dataset(opener, file, stop_before_pixels=True, specific_tags=_TAGS)
                images += _images(file, header)
            except RuntimeUnavailableError:
                raise
            except Exception as error:  # pydicom raises whatever a damaged file leads it to
                damaged[file.path if file.member else file.path.parent] += 1
                log.debug("%s %s: %s", file.path, file.member, error)
    for path, count in damaged.items():
        log.warning("%s: %d DICOM files cannot be read; passed over", path, count)
    return images


def read_dataset(opener: Opener, file: DicomFile, **options: Any) -> Any:
    """The data set of a file, with the options of ``pydicom.dcmread``.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
        ValueError: the whole file is deflated, to what size nobody knows beforehand; and whatever
            else a damaged file leads pydicom to.
    """
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{file.path}: reading DICOM needs pydicom; pip install 'ctct[dicom]'"
        ) from error
    with opener(file) as stream:
        if _DEFLATED in stream.read(_META_BYTES):
            raise ValueError("deflated; convert it to Explicit VR Little Endian")
        stream.seek(0)
        return dcmread(stream, **options)


def _images(file: DicomFile, header: Any) -> Iterator[Image]:
    if "SOPClassUID" not in header and "MediaStorageSOPClassUID" not in header.file_meta:
        raise ValueError("ends within its header")
    if not header.get("SeriesInstanceUID") or not header.get("Rows") or not header.get("Columns"):
        return  # a report, a directory, a presentation state
    frames = header.get("PerFrameFunctionalGroupsSequence") or [None]
    info = _info(header)
    color = (number(header.get("SamplesPerPixel")) or 1) != 1
    for index in range(len(frames)):

        def value(name: str, group: str = "", index: int = index) -> Any:
            return of_frame(header, index, name, group)

        words = [str(w).upper() for w in _many(value("FrameType", "MRImageFrameTypeSequence"))]
        words += [str(w).upper() for w in _many(header.get("ImageType"))]
        kind = next((_KINDS[word] for word in words if word in _KINDS), PLAIN)
        trigger = value("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence")
        time_ms = number(trigger if trigger is not None else value("TriggerTime"))
        phase_of = (
            ("TemporalPositionIndex", "FrameContentSequence"),
            ("TemporalPositionIdentifier", ""),
            ("NominalPercentageOfCardiacPhase", "CardiacSynchronizationSequence"),
        )
        phases = (number(value(*names)) for names in phase_of)
        spacing_mm = _numbers(value("PixelSpacing", "PixelMeasuresSequence"), 2)
        orientation = value("ImageOrientationPatient", "PlaneOrientationSequence")
        yield Image(
            file,
            index,
            study=str(header.get("StudyInstanceUID", "")),
            series=str(header.SeriesInstanceUID),
            number=int(number(header.get("SeriesNumber")) or 0),
            description=str(header.get("SeriesDescription") or ""),
            modality=str(header.get("Modality") or ""),
            kind="color image" if color else kind,
            shape=(int(header.Rows), int(header.Columns)),
            spacing_mm=spacing_mm if spacing_mm and min(spacing_mm) > 0 else None,
            orientation=_at_right_angles(_numbers(orientation, 6)),
            position=_numbers(value("ImagePositionPatient", "PlanePositionSequence"), 3),
            time_ms=time_ms,
            phase=next((one for one in phases if one is not None), None),
            instance=int(number(header.get("InstanceNumber")) or 0) + index,
            info=info,
        )


def of_frame(header: Any, index: int, name: str, group: str) -> Any:
    """Attribute ``name`` of a frame: of its functional group, the shared one, or the file itself.

    None where it is nowhere, or what stands there is not of its type.
    """
    try:
        frames = header.get("PerFrameFunctionalGroupsSequence") or ()
        for part in (
            *frames[index : index + 1],
            *(header.get("SharedFunctionalGroupsSequence") or ()),
        ):
            items = part.get(group) if group else None
            if items and name in items[0]:
                return items[0][name].value
        return header.get(name)
    except (ValueError, TypeError, OverflowError):
        return None


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _many(value: Any) -> Sequence[Any]:
    return () if value is None else [value] if isinstance(value, str) else list(value)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    found = [number(one) for one in _many(value)]
    known = tuple(one for one in found if one is not None)
    return known if len(known) == len(found) == count else None


def _at_right_angles(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """An orientation whose two directions are of length 1 and at right angles, otherwise None."""
    if orientation is None:
        return None
    axes = np.reshape(orientation, (2, 3))
    return orientation if np.allclose(axes @ axes.T, np.eye(2), atol=0.01) else None


def _info(header: Any) -> Info:
    """What is given of the body; 0, which many scanners write for "not known", is not."""

    def given(name: str, factor: float = 1.0) -> float | None:
        value = number(of_frame(header, 0, name, ""))
        return value * factor if value else None

    interval_ms = given("NominalInterval")
    sex = str(header.get("PatientSex") or "").upper()
    return Info(
        height_cm=given("PatientSize", 100.0),  # DICOM has metres
        weight_kg=given("PatientWeight"),
        sex=sex if sex in ("M", "F") else None,
        heart_rate_bpm=given("HeartRate") or (60_000 / interval_ms if interval_ms else None),
    )
