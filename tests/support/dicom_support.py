"""Small DICOM series, written file by file, and enhanced multi-frame ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

#: Directions (LPS) of growing column, of growing row and of growing slice, as of a short axis.
ROW, NORMAL = np.array([0.6, 0.8, 0.0]), np.array([-0.64, 0.48, 0.6])
COLUMN = np.cross(NORMAL, ROW)
ORIGIN = np.array([-20.0, -150.0, 90.0])
ROWS, COLUMNS = 40, 36
SPACING_MM = (1.25, 1.5)  # row, column
PHASE_MS = 40.0


def pixel(phase: int, place: int, row: int, column: int) -> int:
    """Stored value: says which phase, slice, row and column it is, up to 20 phases of 15 slices."""
    return 1500 * phase + 90 * place + 2 * row + column - 1000


def frame(phase: int, place: int) -> np.ndarray:
    """All of an image (H, W), int16."""
    rows, columns = np.indices((ROWS, COLUMNS))
    return (pixel(phase, place, 0, 0) + 2 * rows + columns).astype(np.int16)


def image(phase: int, place: int, series: str = "1.2.3", **changes: Any) -> Dataset:
    """A single-frame image, complete but for what ``changes`` set; None takes an attribute away."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.Modality = "MR"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "ID-4711"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200101", "120000", "S-1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", series
    dataset.SeriesNumber = 7
    dataset.InstanceNumber = place * 100 + phase + 1
    dataset.TriggerTime = 10 + PHASE_MS * phase
    dataset.ImagePositionPatient = [f"{v:.5f}" for v in ORIGIN + 8.0 * place * NORMAL]
    dataset.ImageOrientationPatient = [f"{v:.6f}" for v in (*ROW, *COLUMN)]
    dataset.PixelSpacing = list(SPACING_MM)
    dataset.SliceThickness = 6
    dataset.SliceLocation = 5 * place  # as some exports have it: wrong
    _pixels(dataset, frame(phase, place))
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def _pixels(dataset: Dataset, array: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = array.tobytes()


def save(dataset: Dataset, path: Path) -> Path:
    """Write a data set as a file of DICOM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_cine(
    folder: Path,
    phases: int = 8,
    places: int = 6,
    change: Callable[[int, int], dict[str, Any] | None] = lambda phase, place: {},
) -> Path:
    """A cine in files whose names are in no order.

    ``change`` gives what differs in an image, None where there is none.
    """
    names = np.random.default_rng(0).permutation(phases * places)
    for phase in range(phases):
        for place in range(places):
            if (changes := change(phase, place)) is not None:
                save(image(phase, place, **changes), folder / f"IM{names[phase * places + place]}")
    return folder


def coded(kind: str, rows: int = ROWS, columns: int = COLUMNS) -> bytes:
    """An image, left half dark, as a stream of Pillow's ``kind``."""
    pixels = np.zeros((rows, columns), np.uint8)
    pixels[:, columns // 2 :] = 200
    stream = io.BytesIO()
    options = {"no_jp2": True} if kind == "JPEG2000" else {"quality": 95}
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def packed(syntax: UID, *streams: bytes, phase: int = 0, place: int = 0) -> Dataset:
    """An image of 8 bits whose pixels are these streams, whatever they hold."""
    one = image(phase, place)
    one.file_meta.TransferSyntaxUID = syntax
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation = 7, 0
    one.PixelData = encapsulate(list(streams))
    one["PixelData"].VR = "OB"
    return one


def enhanced(phases: int = 8, places: int = 6) -> Dataset:
    """The same cine as one enhanced multi-frame file, its rescaling shared by all frames."""
    dataset = image(0, 0, TriggerTime=None, ImagePositionPatient=None, PixelSpacing=None)
    del dataset.ImageOrientationPatient
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"  # Enhanced MR Image Storage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    order = [(t, z) for t in range(phases) for z in range(places)]
    np.random.default_rng(1).shuffle(order)
    _pixels(dataset, np.stack([frame(t, z) for t, z in order]))
    dataset.NumberOfFrames = len(order)
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=list(SPACING_MM))
    directions = [f"{v:.6f}" for v in (*ROW, *COLUMN)]
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=directions)
    shared.PixelValueTransformationSequence = _item(RescaleSlope="2", RescaleIntercept="5")
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for t, z in order:
        one = Dataset()
        place = [f"{v:.5f}" for v in ORIGIN + 8.0 * z * NORMAL]
        one.PlanePositionSequence = _item(ImagePositionPatient=place)
        delay = 10 + PHASE_MS * t
        one.CardiacSynchronizationSequence = _item(NominalCardiacTriggerDelayTime=delay)
        frames.append(one)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return dataset


def _item(**attributes: Any) -> Sequence:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return Sequence([item])


def zip_folder(folder: Path, path: Path) -> Path:
    """Write ``folder``, with its own name, into a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path
