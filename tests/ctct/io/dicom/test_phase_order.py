"""The phases of a cine are in the order of an attribute that tells them apart, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_support import PHASE_MS, enhanced, frame, save, write_cine
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from ctct.cases.read import read_study
from ctct.errors import InputError

EXPECTED = np.array([[frame(t, z) for z in range(6)] for t in range(8)], np.float32)
#: No attribute of ``write_cine`` says what the phase of an image is.
UNKNOWN = {"TriggerTime": "0", "InstanceNumber": 1}


def clock(seconds: float) -> str:
    """A time of day, in seconds after midnight, as in a header."""
    minutes, rest = divmod(seconds % 86_400, 60)
    return f"{int(minutes // 60):02}{int(minutes % 60):02}{rest:09.6f}"


@pytest.mark.parametrize(
    "change",
    [
        lambda t, z: {"TriggerTime": None, "InstanceNumber": 100 * z + t},
        lambda t, z: {"TriggerTime": "0", "InstanceNumber": 6 * t + z},
        lambda t, z: {"TriggerTime": "0", "TemporalPositionIdentifier": 1},
        lambda t, z: {"TriggerTime": str(17 * z), "TemporalPositionIdentifier": 1 + z},
        lambda t, z: {"TriggerTime": str(t % 2), "TemporalPositionIdentifier": 1 + t % 3},
        lambda t, z: {**UNKNOWN, "TemporalPositionIdentifier": 1 + t},
        lambda t, z: {
            "AcquisitionTime": clock(3600),
            "TriggerTime": "0" if z == 3 else str(40 * t),
        },
    ],
    ids=["no time", "time 0", "position 1", "one per slice", "two values", "position", "one slice"],
)
def test_an_attribute_with_too_few_values_is_not_used(
    tmp_path: Path, change: Callable[[int, int], dict[str, Any]]
) -> None:
    write_cine(tmp_path, change=change)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.voxels, EXPECTED)
    assert study.notes == ()


@pytest.mark.parametrize(
    ("change", "used"),
    [
        (lambda t, z: {"ContentTime": clock(40_000 + 60 * z + 0.04 * t)}, "ContentTime"),
        (lambda t, z: {"AcquisitionTime": clock(40_000 + 60 * z + 0.04 * t)}, "AcquisitionTime"),
        (lambda t, z: {"ContentTime": clock(86_399.9 + 0.04 * t)}, "ContentTime"),
        (
            lambda t, z: {
                "AcquisitionTime": clock(60 * z),
                "ContentTime": clock(3599.9 + 0.04 * t),
            },
            "ContentTime",
        ),
        (
            lambda t, z: {"AcquisitionDateTime": f"20261231{clock(5 + 0.04 * t)}+0100"},
            "AcquisitionDateTime",
        ),
    ],
    ids=["content", "acquisition", "midnight", "one acquisition time per slice", "date and time"],
)
def test_the_time_of_day_is_the_last_resort(
    tmp_path: Path, change: Callable[[int, int], dict[str, Any]], used: str
) -> None:
    write_cine(tmp_path, change=lambda t, z: {**UNKNOWN, **change(t, z)})
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.voxels, EXPECTED)
    assert study.notes == (f"only {used} tells the phases apart; check their order",)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, z: {},
        lambda t, z: {"TriggerTime": None, "InstanceNumber": None},
        lambda t, z: {"TemporalPositionIdentifier": 1, "ContentTime": "120000"},
        lambda t, z: {"ContentTime": clock(43_200 + t // 2)},
        lambda t, z: {"AcquisitionTime": "x", "ContentTime": "12"},
        lambda t, z: {"InstanceNumber": 1 + z},
    ],
    ids=["alike", "absent", "constant", "whole seconds", "damaged", "one per slice"],
)
def test_the_order_of_files_is_never_that_of_phases(
    tmp_path: Path, change: Callable[[int, int], dict[str, Any]]
) -> None:
    write_cine(tmp_path, change=lambda t, z: {**UNKNOWN, **change(t, z)})
    with pytest.raises(InputError, match=r"nothing says in which order .* export the series again"):
        read_study(tmp_path)


def test_instance_numbers_against_the_time_of_day_are_noted(tmp_path: Path) -> None:
    def change(t: int, z: int) -> dict[str, Any]:
        time = clock(3600 + 60 * z + 0.04 * (t if z != 2 else 7 - t))
        return {"TriggerTime": "0", "ContentTime": time, "AcquisitionTime": clock(3600)}

    write_cine(tmp_path, change=change)
    assert read_study(tmp_path).notes == (
        "InstanceNumber and ContentTime give the phases different orders; check them",
    )


def test_a_single_phase_needs_no_order(tmp_path: Path) -> None:
    missing = {"TriggerTime": None, "InstanceNumber": None}
    write_cine(tmp_path, phases=1, change=lambda t, z: missing)
    np.testing.assert_array_equal(read_study(tmp_path, "1.2.3").voxels, EXPECTED[:1])


def test_files_that_are_there_twice_without_times(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_cine(tmp_path / folder, change=lambda t, z: {"TriggerTime": "0"})
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.voxels, EXPECTED)
    assert study.notes


class TestEnhanced:
    """The frames of ``enhanced`` are in no order."""

    @staticmethod
    def read(
        tmp_path: Path, change: Callable[[Dataset, int, int], None], **root: Any
    ) -> np.ndarray:
        """The voxels before rescaling; ``change`` sets the attributes of a frame."""
        dataset = enhanced()
        for group in dataset.PerFrameFunctionalGroupsSequence:
            delay_ms = group.CardiacSynchronizationSequence[0].NominalCardiacTriggerDelayTime
            place = round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]) - 90) / 4.8
            del group.CardiacSynchronizationSequence
            change(group, round((delay_ms - 10) / PHASE_MS), round(place))
        for name, value in root.items():
            setattr(dataset, name, value)
        save(dataset, tmp_path / "enhanced.dcm")
        return (read_study(tmp_path / "enhanced.dcm").voxels - 5) / 2

    @pytest.mark.parametrize("nominal", [None, 0.0])
    def test_the_actual_delay(self, tmp_path: Path, nominal: float | None) -> None:
        def change(group: Dataset, t: int, z: int) -> None:
            item = Dataset()
            item.ActualCardiacTriggerDelayTime = 12.5 + PHASE_MS * t + z
            if nominal is not None:
                item.NominalCardiacTriggerDelayTime = nominal
            group.CardiacSynchronizationSequence = Sequence([item])

        np.testing.assert_array_equal(self.read(tmp_path, change), EXPECTED)

    @pytest.mark.parametrize("is_described", [True, False])
    @pytest.mark.parametrize("time_first", [True, False])
    def test_the_index_of_the_dimension_of_time(
        self, tmp_path: Path, is_described: bool, time_first: bool
    ) -> None:
        pointers = [Tag("ActualCardiacTriggerDelayTime"), Tag("InStackPositionNumber")]
        dimensions = []
        for pointer in pointers if time_first else pointers[::-1]:
            dimensions.append(Dataset())
            dimensions[-1].DimensionIndexPointer = pointer

        def change(group: Dataset, t: int, z: int) -> None:
            item = Dataset()
            item.DimensionIndexValues = [t + 1, 6 - z][:: 1 if time_first else -1]
            group.FrameContentSequence = Sequence([item])

        root = {"DimensionIndexSequence": Sequence(dimensions)} if is_described else {}
        np.testing.assert_array_equal(self.read(tmp_path, change, **root), EXPECTED)

    def test_the_time_of_a_frame(self, tmp_path: Path) -> None:
        def change(group: Dataset, t: int, z: int) -> None:
            item = Dataset()
            item.FrameReferenceDateTime = f"20201231{clock(86_399.9 + 0.04 * t)}"
            if t > 2:
                item.FrameReferenceDateTime = f"20210101{clock(86_399.9 + 0.04 * t)}"
            group.FrameContentSequence = Sequence([item])

        np.testing.assert_array_equal(self.read(tmp_path, change), EXPECTED)

    def test_the_order_of_frames_is_never_that_of_phases(self, tmp_path: Path) -> None:
        def change(group: Dataset, t: int, z: int) -> None:
            item = Dataset()
            item.DimensionIndexValues = [z + 1]
            group.FrameContentSequence = Sequence([item])

        with pytest.raises(InputError, match="nothing says in which order"):
            self.read(tmp_path, change)
