"""DICOM segmentations come back as the labels that they were made from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom")
pytest.importorskip("pydicom")
from dicom_support import COLUMN, ROW, write_cine
from pydicom import dcmread

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import read_case
from ctct.correction.edited_files import EditedFile
from ctct.correction.read_edited import read_edited
from ctct.errors import InputError
from ctct.io.dicom.read_segmentation import read_segmentation
from ctct.io.dicom.segmentation import encode_cine, encode_segmentations
from ctct.io.study import Study

LABELS = np.random.default_rng(5).integers(0, 4, (8, 6, 40, 36)).astype(np.uint8)


TURNS = {"as it is": (ROW, COLUMN), "rows flipped": (ROW, -COLUMN)}


@pytest.fixture(scope="module", params=TURNS)
def cine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Study]:
    folder = tmp_path_factory.mktemp("cine")
    directions = [f"{v:.6f}" for axis in TURNS[request.param] for v in axis]
    attributes = {"ImageOrientationPatient": directions, "FrameOfReferenceUID": "1.2.7"}
    write_cine(folder, 8, 6, lambda t, z: attributes)
    ((case,), _) = discover([folder])
    return case, read_case(case)


@pytest.fixture
def encoded(cine: tuple[Case, Study]) -> bytes:
    case, _ = cine
    assert case.series is not None
    return next(iter(encode_segmentations(case.series, LABELS)))


def test_labels_and_place_come_back(
    cine: tuple[Case, Study], encoded: bytes, tmp_path: Path
) -> None:
    _, study = cine
    path = tmp_path / "cine_01.dcm"
    path.write_bytes(encoded)
    automatic = np.zeros_like(LABELS)
    labels = read_edited("cine", [EditedFile(path, 0)], study, automatic)
    assert (labels[0] == LABELS[0]).all()
    assert not labels[1:].any()


def test_a_cine_comes_back(cine: tuple[Case, Study], tmp_path: Path) -> None:
    case, study = cine
    assert case.series is not None
    some = LABELS.copy()
    some[2, :3], some[5] = 0, 0  # fewer slices in one phase, and none in another
    path = tmp_path / "cine.dcm"
    path.write_bytes(encode_cine(case.series, some))
    labels = read_edited("cine", [EditedFile(path)], study, np.zeros_like(LABELS))
    assert (labels == some).all()


def test_half_the_phases_are_refused(cine: tuple[Case, Study], tmp_path: Path) -> None:
    case, study = cine
    assert case.series is not None
    half = LABELS.copy()
    half[4:] = 0
    path = tmp_path / "cine.dcm"
    path.write_bytes(encode_cine(case.series, half))
    with pytest.raises(InputError, match="holds 4 frames, the scan has 8; give all frames"):
        read_edited("cine", [EditedFile(path)], study, np.zeros_like(LABELS))


def test_slices_that_are_left_out_are_empty(cine: tuple[Case, Study], tmp_path: Path) -> None:
    case, study = cine
    assert case.series is not None
    some = LABELS.copy()
    some[:, 4:] = 0
    path = tmp_path / "cine_01.dcm"
    dataset = dcmread(io.BytesIO(next(iter(encode_segmentations(case.series, some)))))
    import highdicom

    kept = highdicom.seg.Segmentation.from_dataset(dataset)
    # As other programs save it: no frame without a pixel.
    volume = kept.get_volume(combine_segments=True)
    sources = [dcmread(file) for file in sorted(case.path.iterdir())]
    first = [s for s in sources if s.TriggerTime == min(x.TriggerTime for x in sources)]
    for source in first:  # highdicom wants to find them
        for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"):
            setattr(source, name, None)
    again = highdicom.seg.Segmentation(
        source_images=first,
        pixel_array=volume,
        segmentation_type="BINARY",
        segment_descriptions=[kept.get_segment_description(n) for n in kept.segment_numbers],
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="another",
        manufacturer_model_name="another",
        software_versions="1",
        device_serial_number="0",
        omit_empty_frames=True,
    )
    again.save_as(path)
    labels = read_edited("cine", [EditedFile(path, 0)], study, np.zeros_like(LABELS))
    assert (labels[0] == some[0]).all()


def test_other_segments_are_refused_by_name(encoded: bytes, tmp_path: Path) -> None:
    dataset = dcmread(io.BytesIO(encoded))
    segment = dataset.SegmentSequence[1]
    segment.SegmentLabel = "scar"
    segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Scar"
    path = tmp_path / "cine_01.dcm"
    dataset.save_as(path)
    with pytest.raises(InputError, match="holds a segment 'scar'; call the segments RV, MYO and"):
        read_segmentation(path)


@pytest.mark.parametrize("kind", ["text", "image", "cut"])
def test_what_is_no_segmentation_gets_one_clear_line(
    kind: str, cine: tuple[Case, Study], encoded: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "cine_01.dcm"
    image = next(cine[0].path.iterdir()).read_bytes()
    path.write_bytes({"text": b"no DICOM", "image": image, "cut": encoded[:3000]}[kind])
    with pytest.raises(InputError, match="not a usable DICOM segmentation") as raised:
        read_segmentation(path)
    assert "\n" not in str(raised.value)
