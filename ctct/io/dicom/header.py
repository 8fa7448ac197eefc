"""The headers of DICOM images.

Attributes have the names of the standard (DICOM PS3.6). An enhanced multi-frame file gives one
image per frame, with attributes from the functional groups (PS3.3, C.7.6.16).
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, BinaryIO

import numpy as np

from ctct.errors import RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings
from ctct.io.files import MAX_BYTES
from ctct.io.patient_info import PatientInfo

log = logging.getLogger(__name__)

#: The attributes that are read.
_TAGS = [
    *("PatientID", "PatientName", "PatientSex", "PatientSize", "PatientWeight"),
    *("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "ImageType"),
    *("Modality", "SeriesDescription", "SeriesNumber", "ImagesInAcquisition", "AcquisitionNumber"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentTime", "TriggerTime"),
    *("CardiacNumberOfImages", "NumberOfTemporalPositions", "TemporalPositionIdentifier"),
    *("NominalInterval", "HeartRate", "SliceThickness", "PixelSpacing", "Rows", "Columns"),
    *("SpacingBetweenSlices", "ReconstructionDiameter"),
    *("ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames", "BitsAllocated"),
    *("SamplesPerPixel", "PhotometricInterpretation", "DimensionIndexSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]

_CARDIAC, _CONTENT = "CardiacSynchronizationSequence", "FrameContentSequence"
#: Attributes that give milliseconds after the R wave, the most reliable first, and their functional
#: groups.
TIMES: Mapping[str, str] = {
    "NominalCardiacTriggerDelayTime": _CARDIAC,
    "ActualCardiacTriggerDelayTime": _CARDIAC,
    "TriggerTime": "",
}
#: Attributes that number the phases.
PHASES: Mapping[str, str] = {
    "TemporalPositionIndex": _CONTENT,
    "TemporalPositionIdentifier": "",
    "NominalPercentageOfCardiacPhase": _CARDIAC,
    "DimensionIndexValues": _CONTENT,
}
#: Attributes that give the time of day, or the date too.
CLOCKS: Mapping[str, str] = {
    "FrameReferenceDateTime": _CONTENT,
    "FrameAcquisitionDateTime": _CONTENT,
    "AcquisitionDateTime": "",
    "AcquisitionTime": "",
    "ContentTime": "",
}
#: Attributes by which a dimension of an enhanced file is one of time.
_TIME_DIMENSIONS = {*TIMES, *PHASES, *CLOCKS, "TemporalPositionTimeOffset"}

#: Most items of sequences in a file, and the least size of one. A frame has about 20 items, a cine
#: some hundred frames, and flow in three directions some thousand.
_MAX_ITEMS, _ITEM_BYTES = 300_000, 8
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
#: Most frames of a file, and those that are read although they are more than the file can hold: a
#: file that was cut is refused when its pixels are read, with a message of its own.
_MAX_FRAMES, _CHECKED_FRAMES = 10_000, 1000
#: Size of the smallest compressed image.
_MIN_PACKED_BYTES = 64

#: How many times its size a deflated file may have unpacked; images of a heart reach 10.
_MAX_DEFLATION = 100

#: Values of ImageType or FrameType, and the kind of image that they mean.
_KINDS: Mapping[str, str] = {
    "LOCALIZER": "localizer",
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP"), "phase map (flow)"),
}
PLAIN = ""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a header says of the acquisition of an image.

    Attributes:
        patient: a digest of the patient's ID and name, which are not kept.
        number: AcquisitionNumber; None if missing.
        time: when it began, as text that sorts by time; "" if not given.
        thickness_mm: SliceThickness; None if missing.
        slice_spacing_mm: SpacingBetweenSlices; None if missing.
        diameter_mm: ReconstructionDiameter; None if missing.
        images: how many images it has; 0 if not given.
        phases: how many phases it has; 0 if not given.
    """

    patient: str
    number: float | None
    time: str
    thickness_mm: float | None
    slice_spacing_mm: float | None
    diameter_mm: float | None
    images: int
    phases: int


@dataclass(frozen=True, slots=True)
class Image:
    """The header of one two-dimensional image; values that it lacks are None.

    Attributes:
        file: the file of the image.
        frame: index in the file, from 0.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        number: SeriesNumber.
        description: SeriesDescription.
        modality: "MR" for magnetic resonance.
        kind: "" for a plain image, otherwise "localizer", "phase map (flow)", "color image".
        shape: rows and columns.
        spacing_mm: (row, column) distance between neighboring pixels.
        orientation: direction of increasing column, then of increasing row (LPS).
        position: center of the first pixel in millimeters (LPS).
        order: values of those attributes that may tell the phases apart and increase with time:
            :data:`TIMES`, :data:`PHASES`, InstanceNumber after SeriesNumber, :data:`CLOCKS`.
        instance: number within the series; the order of frames in a file is not that of phases.
        info: the patient's size, weight, sex and heart rate.
        acquisition: what the header says of the acquisition.
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
    order: Mapping[str, tuple[float, ...]]
    instance: int
    info: PatientInfo = field(compare=False)
    acquisition: Acquisition = field(compare=False)

    @property
    def time_ms(self) -> float | None:
        """Time after the R wave, if any."""
        return next((self.order[name][0] for name in TIMES if name in self.order), None)

    @property
    def phase(self) -> float | None:
        """Number of the phase, or percentage of the cycle, if any."""
        return next((self.order[name][0] for name in PHASES if name in self.order), None)

    @property
    def missing(self) -> str:
        """The first attribute of the image's geometry that the header lacks, or ""."""
        values = (self.spacing_mm, self.orientation, self.position)
        names = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
        return next((name for name, v in zip(names, values, strict=True) if v is None), "")


def read_headers(files: Iterable[DicomFile]) -> tuple[list[Image], list[DicomFile]]:
    """The headers of all images in ``files``, and the files that cannot be read.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
    """
    images: list[Image] = []
    unreadable: list[DicomFile] = []
    with Opener() as opener, suppress_pydicom_warnings:
        for file in files:
            try:
                header = read_dataset(opener, file, stop_before_pixels=True, specific_tags=_TAGS)
                images += _images(file, header)
            except RuntimeUnavailableError:
                raise
            except Exception as error:  # damage can make pydicom raise any exception
                unreadable.append(file)
                log.debug("%s %s: %s", file.path, file.member, error)
    return images, unreadable


def read_dataset(opener: Opener, file: DicomFile, **options: Any) -> Any:
    """The data set of a file, read with the options of ``pydicom.dcmread``.

    Old exports lack the preamble and the meta information, which names the transfer syntax. Then it
    is one of the two that are not compressed.

    Raises:
        RuntimeUnavailableError: pydicom is not installed.
        ValueError: the data set is deflated and damaged, or unpacks to too much. Damage can make
            pydicom raise other exceptions.
    """
    try:
        from pydicom import dcmread
        from pydicom.filereader import _read_file_meta_info, read_preamble
        from pydicom.uid import (
            DeflatedExplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            ImplicitVRLittleEndian,
        )
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{file.path}: reading DICOM needs pydicom; {how_to_install('dicom')}"
        ) from error
    with opener(file) as stream:
        read_preamble(stream, force=True)
        # The function that dcmread uses: both must find the same transfer syntax.
        meta = _read_file_meta_info(stream)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            stream = _inflate(stream, meta)
        size = _check_items(stream)
        dataset = dcmread(stream, force=True, **options)
    if "TransferSyntaxUID" not in dataset.file_meta:
        is_implicit, _ = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax
    _check_frames(dataset, size)
    return dataset


def _check_items(stream: BinaryIO) -> int:
    """The size of a file; raises ValueError if its sequences have so many items that it takes long.

    The pixels may hold the bytes of a tag too, by chance.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    count, tail = 0, b""
    while size > _ITEM_BYTES * _MAX_ITEMS and (chunk := stream.read(2**20)):
        part = tail + chunk
        count += max(part.count(tag) for tag in _ITEM_TAGS)
        tail = part[-3:]
    if count > _MAX_ITEMS:
        raise ValueError(f"{count} items of sequences, the limit is {_MAX_ITEMS}")
    stream.seek(0)
    return size


def _check_frames(header: Any, size: int) -> None:
    """Raise ValueError if a file describes more or fewer frames than it has, or can hold."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    described = len(header.get("PerFrameFunctionalGroupsSequence") or ())
    stated = parse_number(header.get("NumberOfFrames"))
    if described and stated and stated != described:
        raise ValueError(f"{stated:g} frames, of which {described} are described")
    pixels = (parse_number(header.get(name)) or 1 for name in ("Rows", "Columns", "BitsAllocated"))
    frame_bytes = math.prod(pixels) / 8
    if header.file_meta.TransferSyntaxUID not in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ):
        frame_bytes = _MIN_PACKED_BYTES
    limit = min(_MAX_FRAMES, max(size / frame_bytes, _CHECKED_FRAMES))
    if described > limit:
        raise ValueError(f"{described} frames, a file of {size} bytes can hold {limit:.0f}")


def _inflate(stream: BinaryIO, meta: Any) -> BinaryIO:
    """The file without compression; ``stream`` is behind its meta information."""
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    packed, unpacker = stream.read(), zlib.decompressobj(-zlib.MAX_WBITS)
    limit = min(_MAX_DEFLATION * len(packed), MAX_BYTES)
    content = unpacker.decompress(packed, limit)
    if not unpacker.eof:
        raise ValueError(
            f"deflated, and damaged or more than {limit} bytes; export it uncompressed"
        )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain = io.BytesIO(bytes(128) + b"DICM")
    plain.seek(0, io.SEEK_END)
    write_file_meta_info(plain, meta, enforce_standard=False)
    plain.write(content)
    return plain


def _images(file: DicomFile, header: Any) -> Iterator[Image]:
    if "SOPClassUID" not in header and "MediaStorageSOPClassUID" not in header.file_meta:
        raise ValueError("ends within its header")
    if not header.get("SeriesInstanceUID") or not header.get("Rows") or not header.get("Columns"):
        if _is_mr_image(header):
            raise ValueError("ends within its header")
        return  # a report, a directory, a presentation state
    frames = header.get("PerFrameFunctionalGroupsSequence") or [None]
    info = _patient_info(header)
    is_gray = header.get("PhotometricInterpretation") in (None, "", "MONOCHROME1", "MONOCHROME2")
    is_color = not is_gray or (parse_number(header.get("SamplesPerPixel")) or 1) != 1
    for index in range(len(frames)):

        def value(name: str, group: str = "", index: int = index) -> Any:
            return frame_value(header, index, name, group)

        words = [str(w).upper() for w in _as_list(value("FrameType", "MRImageFrameTypeSequence"))]
        words += [str(w).upper() for w in _as_list(header.get("ImageType"))]
        kind = next((_KINDS[word] for word in words if word in _KINDS), PLAIN)
        spacing_mm = _parse_numbers(value("PixelSpacing", "PixelMeasuresSequence"), 2)
        orientation = value("ImageOrientationPatient", "PlaneOrientationSequence")
        yield Image(
            file,
            index,
            study=str(header.get("StudyInstanceUID", "")),
            series=str(header.SeriesInstanceUID),
            number=int(parse_number(header.get("SeriesNumber")) or 0),
            description=str(header.get("SeriesDescription") or ""),
            modality=str(header.get("Modality") or ""),
            kind="color image" if is_color else kind,
            shape=(int(header.Rows), int(header.Columns)),
            spacing_mm=spacing_mm if spacing_mm and min(spacing_mm) > 0 else None,
            orientation=_check_orientation(_parse_numbers(orientation, 6)),
            position=_parse_numbers(value("ImagePositionPatient", "PlanePositionSequence"), 3),
            order=_order(header, index),
            instance=int(parse_number(header.get("InstanceNumber")) or 0) + index,
            info=info,
            acquisition=_acquisition(header, index),
        )


def _is_mr_image(header: Any) -> bool:
    """Whether its class is one of images, and it is of MR as far as it says."""
    from pydicom.uid import UID

    name = UID(header.get("SOPClassUID") or header.file_meta.MediaStorageSOPClassUID).name
    return "Image Storage" in name and header.get("Modality", "MR") == "MR"


def frame_value(header: Any, index: int, name: str, group: str) -> Any:
    """Attribute ``name`` of a frame: of its functional group, the shared group, or the file.

    None where it is missing or has a value of another type.
    """
    try:
        if group:
            frames = _value(header, "PerFrameFunctionalGroupsSequence") or ()
            shared = _value(header, "SharedFunctionalGroupsSequence") or ()
            for part in (*frames[index : index + 1], *shared):
                items = _value(part, group)
                if items and _tag(name) in items[0]:
                    return _value(items[0], name)
        return _value(header, name)
    except (ValueError, TypeError, OverflowError):
        return None


def _value(dataset: Any, name: str) -> Any:
    """Like ``dataset.get(name)``, which looks the name up each time and takes twice as long."""
    tag = _tag(name)
    return dataset[tag].value if tag in dataset else None


@cache
def _tag(name: str) -> Any:
    from pydicom.tag import Tag

    return Tag(name)


def _order(header: Any, index: int) -> dict[str, tuple[float, ...]]:
    """The attributes that may put a frame in order, and their values."""
    order: dict[str, tuple[float, ...] | None] = {}
    for name, group in [*TIMES.items(), *PHASES.items()]:
        order[name] = _parse_numbers(frame_value(header, index, name, group), 1)
    order["DimensionIndexValues"] = _time_indices(header, index)
    numbers = [header.get("SeriesNumber") or 0, header.get("InstanceNumber")]
    order["InstanceNumber"] = _parse_numbers(numbers, 2)
    for name, group in CLOCKS.items():
        order[name] = _parse_clock(frame_value(header, index, name, group))
    return {name: values for name, values in order.items() if values}


def _time_indices(header: Any, index: int) -> tuple[float, ...] | None:
    """Indices of a frame along the dimensions of time; all if the file does not say what they are.

    An index along a dimension of space is the same for all frames of a slice.
    """
    from pydicom.datadict import keyword_for_tag

    values = _as_list(frame_value(header, index, "DimensionIndexValues", _CONTENT))
    dimensions = header.get("DimensionIndexSequence") or ()
    if dimensions:
        names = [keyword_for_tag(item.get("DimensionIndexPointer") or 0) for item in dimensions]
        values = [v for v, name in zip(values, names, strict=False) if name in _TIME_DIMENSIONS]
    return _parse_numbers(values, len(values))


def _parse_clock(value: Any) -> tuple[float] | None:
    """Seconds of a time ``HHMMSS.FF`` or of a date and time ``YYYYMMDDHHMMSS.FF``."""
    match = re.match(r"(\d{8})?(\d\d)(\d\d)(\d\d(?:\.\d+)?)", str(value or "").replace(":", ""))
    try:
        days = datetime.strptime(match[1], "%Y%m%d").toordinal() if match and match[1] else 0
    except ValueError:
        return None
    if not match:
        return None
    hours, minutes, seconds = map(float, match.groups()[1:])
    return (86_400 * days + 3600 * hours + 60 * minutes + seconds,)


def parse_number(value: Any) -> float | None:
    """``value`` as a finite number, or None."""
    try:
        parsed = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def _as_list(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return [value] if isinstance(value, str | float | int) else list(value)


def _parse_numbers(value: Any, count: int) -> tuple[float, ...] | None:
    parsed = [parse_number(item) for item in _as_list(value)]
    numbers = tuple(item for item in parsed if item is not None)
    return numbers if len(numbers) == len(parsed) == count else None


def _check_orientation(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """The orientation if its two directions are orthonormal, otherwise None."""
    if orientation is None:
        return None
    axes = np.reshape(orientation, (2, 3))
    return orientation if np.allclose(axes @ axes.T, np.eye(2), atol=0.01) else None


def _acquisition(header: Any, index: int) -> Acquisition:
    def number(name: str, group: str = "") -> float | None:
        return parse_number(frame_value(header, index, name, group))

    def text(name: str, group: str = "") -> str:
        return "".join(str(frame_value(header, index, name, group) or "").split())

    def count(name: str) -> int:
        return int(max(number(name) or 0, 0))

    content = "FrameContentSequence"
    patient = "^".join((text("PatientID"), text("PatientName"))).strip("^").casefold()
    frame_number = number("FrameAcquisitionNumber", content)
    return Acquisition(
        patient=hashlib.sha256(patient.encode(errors="replace")).hexdigest() if patient else "",
        number=number("AcquisitionNumber") if frame_number is None else frame_number,
        time=text("FrameAcquisitionDateTime", content)
        or text("AcquisitionDateTime")
        or text("AcquisitionDate") + text("AcquisitionTime"),
        thickness_mm=number("SliceThickness", "PixelMeasuresSequence"),
        slice_spacing_mm=number("SpacingBetweenSlices", "PixelMeasuresSequence"),
        diameter_mm=number("ReconstructionDiameter"),
        images=count("ImagesInAcquisition"),
        phases=max(count("CardiacNumberOfImages"), count("NumberOfTemporalPositions")),
    )


def _patient_info(header: Any) -> PatientInfo:
    """The patient's size, weight, sex and heart rate; many scanners write 0 for "unknown"."""

    def nonzero(name: str, factor: float = 1.0) -> float | None:
        value = parse_number(frame_value(header, 0, name, ""))
        return value * factor if value else None

    interval_ms = nonzero("NominalInterval")
    sex = str(header.get("PatientSex") or "").upper()
    return PatientInfo(
        height_cm=nonzero("PatientSize", 100.0),  # in DICOM in meters
        weight_kg=nonzero("PatientWeight"),
        sex=sex if sex in ("M", "F") else None,
        heart_rate_bpm=nonzero("HeartRate") or (60_000 / interval_ms if interval_ms else None),
    )
