from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydicom")
from dicom_support import COLUMN, NORMAL, ORIGIN, ROW, enhanced, image, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ctct.io.dicom import sources
from ctct.io.dicom.files import DicomFile, Opener
from ctct.io.dicom.header import read_headers
from ctct.io.dicom.sources import HeaderCache, Original, copy_single_images, restore_references


def copies_of(*paths: Path) -> tuple[list[Dataset], dict[str, Original]]:
    images, _ = read_headers([DicomFile(path) for path in paths])
    with Opener() as opener:
        return copy_single_images(HeaderCache(opener), images, 8.0)


def test_copies_of_single_frame_files(tmp_path: Path) -> None:
    frame_of_reference = {"FrameOfReferenceUID": "1.2.7"}
    datasets = [
        image(0, 0, **frame_of_reference),
        image(0, 1, "1.2.4", FrameOfReferenceUID="1.2.8", PatientID=None),
    ]
    paths = [save(dataset, tmp_path / f"{n}.dcm") for n, dataset in enumerate(datasets)]
    copies, originals = copies_of(*paths)
    assert [copy.SeriesInstanceUID for copy in copies] == ["1.2.3", "1.2.3"]
    assert [copy.FrameOfReferenceUID for copy in copies] == ["1.2.7", "1.2.7"]
    assert [copy.SpacingBetweenSlices for copy in copies] == [8, 8]
    assert [copy.PatientID for copy in copies] == ["ID-4711", "ID-4711"]
    assert list(copies[1].ImagePositionPatient) == pytest.approx(ORIGIN + 8 * NORMAL, abs=1e-4)
    assert list(copies[1].ImageOrientationPatient) == pytest.approx([*ROW, *COLUMN])
    assert list(originals) == [copy.SOPInstanceUID for copy in copies]
    for original, dataset in zip(originals.values(), datasets, strict=True):
        assert original.instance == dataset.SOPInstanceUID
        assert original.series == dataset.SeriesInstanceUID
        assert original.frame == 0


def test_copies_of_an_enhanced_file_know_their_frame(tmp_path: Path) -> None:
    dataset = enhanced(2, 3)
    dataset.FrameOfReferenceUID = "1.2.7"
    copies, originals = copies_of(save(dataset, tmp_path / "a.dcm"))
    assert [original.frame for original in originals.values()] == [1, 2, 3, 4, 5, 6]
    assert {original.instance for original in originals.values()} == {dataset.SOPInstanceUID}
    assert not any("PerFrameFunctionalGroupsSequence" in copy for copy in copies)
    assert not any("NumberOfFrames" in copy for copy in copies)


@pytest.mark.parametrize("frames", [None, "", "1"])
def test_a_single_frame_with_functional_groups_has_no_frame_number(
    tmp_path: Path, frames: str | None
) -> None:
    groups = {"PerFrameFunctionalGroupsSequence": Sequence([Dataset()])}
    dataset = image(0, 0, FrameOfReferenceUID="1.2.7", **groups)
    if frames is not None:
        dataset.NumberOfFrames = frames
    _, originals = copies_of(save(dataset, tmp_path / "a.dcm"))
    assert [original.frame for original in originals.values()] == [0]


def test_an_enhanced_file_of_one_frame_needs_no_frame_number(tmp_path: Path) -> None:
    dataset = enhanced(1, 1)
    dataset.FrameOfReferenceUID = "1.2.7"
    _, originals = copies_of(save(dataset, tmp_path / "a.dcm"))
    assert [original.frame for original in originals.values()] == [0]


def test_the_header_of_a_file_is_read_once_for_all_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[DicomFile] = []
    monkeypatch.setattr(sources, "read_dataset", lambda opener, file, **options: read.append(file))
    first, second = DicomFile(tmp_path / "a"), DicomFile(tmp_path / "b")
    with Opener() as opener:
        cache = HeaderCache(opener)
        for file in (first, first, second, second):
            cache(file)
    assert read == [first, second]


def reference(uid: str) -> Dataset:
    dataset = Dataset()
    dataset.ReferencedSOPClassUID, dataset.ReferencedSOPInstanceUID = "1.1", uid
    return dataset


def test_references_to_copies_become_references_to_originals() -> None:
    originals = {"9.1": Original("1.4", "5.1", "3.1", 0), "9.2": Original("1.4", "5.2", "3.2", 7)}
    references = [reference("9.1"), reference("9.2")]
    frames = []
    for n in (0, 1, 1):  # the last two masks share the object
        derivation, frame = Dataset(), Dataset()
        derivation.SourceImageSequence = Sequence([references[n]])
        frame.DerivationImageSequence = Sequence([derivation])
        frames.append(frame)
    segmentation = Dataset()
    segmentation.PerFrameFunctionalGroupsSequence = Sequence(frames)
    restore_references(segmentation, originals)
    assert [r.ReferencedSOPInstanceUID for r in references] == ["5.1", "5.2"]
    assert [r.ReferencedSOPClassUID for r in references] == ["1.4", "1.4"]
    assert "ReferencedFrameNumber" not in references[0]
    assert references[1].ReferencedFrameNumber == 7
    listed = [item.ReferencedSOPInstanceUID for item in segmentation.SourceImageSequence]
    assert listed == ["5.1", "5.2"]
    assert {
        series.SeriesInstanceUID: [
            item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence
        ]
        for series in segmentation.ReferencedSeriesSequence
    } == {"3.1": ["5.1"], "3.2": ["5.2"]}
