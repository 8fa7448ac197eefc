"""DICOM segmentations overlay the images they refer to, pixel by pixel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom")
pytest.importorskip("pydicom")
from dicom_support import COLUMN, ROW, enhanced, save, write_cine
from pydicom import dcmread

from ctct.errors import InputError
from ctct.io.dicom_seg import encode_segmentations
from ctct.io.discover import discover
from ctct.io.read import read_case
from ctct.labels import LV, MYO, RV, VALUE

LABELS = np.random.default_rng(5).integers(0, 4, (6, 5, 40, 36)).astype(np.uint8)


@pytest.mark.parametrize("turned", ["as it is", "rows flipped", "rows and columns exchanged"])
def test_each_mask_lies_on_the_image_it_refers_to(tmp_path: Path, turned: str) -> None:
    along, down = {
        "as it is": (ROW, COLUMN),
        "rows flipped": (ROW, -COLUMN),
        "rows and columns exchanged": (COLUMN, ROW),
    }[turned]
    directions = [f"{v:.6f}" for v in (*along, *down)]
    own = {"ImageOrientationPatient": directions, "FrameOfReferenceUID": "1.2.7"}
    write_cine(tmp_path / "cine", 6, 5, lambda t, z: own)
    ((case,), _) = discover([tmp_path / "cine"])
    assert case.series is not None
    study = read_case(case)
    sources = {d.SOPInstanceUID: d for d in map(dcmread, (tmp_path / "cine").iterdir())}
    for t, content in enumerate(encode_segmentations(case.series, LABELS)):
        seg = dcmread(io.BytesIO(content))
        named = {
            n.SegmentNumber: n.SegmentedPropertyTypeCodeSequence[0] for n in seg.SegmentSequence
        }
        meant = {n: code.CodeValue for n, code in named.items()}
        assert meant == {1: "53085002", 2: "49848007", 3: "87878005"}
        shared = seg.SharedFunctionalGroupsSequence[0]
        measures = shared.PixelMeasuresSequence[0]
        assert list(measures.PixelSpacing) == [1.25, 1.5]
        assert measures.SpacingBetweenSlices == pytest.approx(8, abs=1e-3)
        turn = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        np.testing.assert_allclose(list(turn), [*along, *down], atol=1e-6)
        found = np.zeros_like(LABELS[t])
        for frame, mask in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            source = sources[
                frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            ]
            assert source.TriggerTime == 10 + 40 * t
            place = frame.PlanePositionSequence[0].ImagePositionPatient
            assert list(place) == list(source.ImagePositionPatient)
            ras = np.array([-place[0], -place[1], place[2], 1])
            _, _, z, _ = np.linalg.solve(study.affine, ras).round(3)
            np.testing.assert_array_equal(source.pixel_array, study.voxels[t, int(z)])
            number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[int(z)][mask == 1] = {1: VALUE[RV], 2: VALUE[MYO], 3: VALUE[LV]}[number]
        np.testing.assert_array_equal(found, LABELS[t])


def test_anonymised_headers_are_made_do_with(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, object]:
        turned = [f"{v + 1e-6 * (z % 2):.6f}" for v in (*ROW, *COLUMN)]
        return {
            "PatientBirthDate": "00000000",
            "FrameOfReferenceUID": f"1.2.{t}.{z}",
            "ImageOrientationPatient": turned,
            "SliceThickness": None,
            "PatientName": None,
        }

    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5, change)])
    assert case.series is not None
    assert len(list(encode_segmentations(case.series, LABELS))) == 6


def test_what_gets_none(tmp_path: Path) -> None:
    ((case,), _) = discover([save(enhanced(6, 5), tmp_path / "enhanced.dcm")])
    assert case.series is not None
    with pytest.raises(InputError, match="made of one series with a file an image"):
        next(encode_segmentations(case.series, LABELS))
    ((case,), _) = discover([write_cine(tmp_path / "cine", 6, 5)])  # lacks FrameOfReferenceUID
    assert case.series is not None
    with pytest.raises(InputError, match=r"gets no DICOM-SEG .*FrameOfReferenceUID"):
        next(encode_segmentations(case.series, LABELS))
