"""The PDF of a patient, and a picture, as DICOM objects of the source's study."""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Any

import numpy as np

from ctct.dicom_results.source_images import SourceImages
from ctct.io.dicom.instances import MAKER, creation_time, derive_uid, encode
from ctct.io.dicom.sources import make_item

_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def encode_document(pdf: bytes, title: str, source: SourceImages, uid: str, names: bool) -> bytes:
    """A PDF as Encapsulated PDF (PS3.3, A.45.1).

    Args:
        pdf: the file.
        title: of the document.
        source: the images that the document is about.
        uid: SOPInstanceUID.
        names: whether the pages tell who the patient is.
    """
    dataset = _begin(_ENCAPSULATED_PDF, "DOC", uid, 4000 + source.series_number)
    dataset.SeriesDescription = dataset.DocumentTitle = title
    dataset.ConversionType = "WSD"
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES" if names else "NO"
    dataset.ConceptNameCodeSequence = [_code(("126000", "DCM", "Imaging Measurement Report"))]
    dataset.SourceInstanceSequence = _references(source)
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + bytes(len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    return encode(dataset, source.study)


def encode_picture(picture: bytes, title: str, source: SourceImages, uid: str) -> bytes:
    """A PNG or JPEG as Secondary Capture Image (PS3.3, A.8.1), uncompressed.

    Args:
        picture: the file; it tells nothing of the patient.
        title: of the series.
        source: the images that the picture shows.
        uid: SOPInstanceUID.
    """
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    dataset = _begin(_SECONDARY_CAPTURE, "OT", uid, 5000 + source.series_number)
    dataset.SeriesDescription = title
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = dataset.Laterality = ""
    dataset.DerivationDescription = "Slices with the outlines of RV, myocardium and LV"
    dataset.SourceImageSequence = _references(source)
    dataset.BurnedInAnnotation = "NO"
    now = creation_time()
    dataset.DateOfSecondaryCapture = now.strftime("%Y%m%d")
    dataset.TimeOfSecondaryCapture = now.strftime("%H%M%S")
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    dataset.PixelData = content + bytes(len(content) % 2)
    dataset["PixelData"].VR = "OB"
    return encode(dataset, source.study)


def _begin(sop_class: str, modality: str, uid: str, series_number: int) -> Any:
    """A data set that says what it is and who made it."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.Modality = modality
    dataset.SeriesInstanceUID = derive_uid("series", uid)
    dataset.SeriesNumber, dataset.InstanceNumber = series_number, 1
    dataset.Manufacturer = dataset.ManufacturerModelName = MAKER
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", version("ctct")
    return dataset


def _references(source: SourceImages) -> list[Any]:
    """References to the images, one per file."""
    frames: dict[tuple[str, str], list[int]] = {}
    for image in source.all:
        numbers = frames.setdefault((image.sop_class, image.instance), [])
        numbers += [image.frame] if image.frame else []
    return [
        make_item(
            ReferencedSOPClassUID=sop_class,
            ReferencedSOPInstanceUID=instance,
            **({"ReferencedFrameNumber": numbers} if numbers else {}),
            PurposeOfReferenceCodeSequence=[
                _code(("121322", "DCM", "Source image for image processing operation"))
            ],
        )
        for (sop_class, instance), numbers in frames.items()
    ]


def _code(code: tuple[str, str, str]) -> Any:
    value, scheme, meaning = code
    return make_item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
