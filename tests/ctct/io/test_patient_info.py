from __future__ import annotations

from pathlib import Path

import pytest

from ctct.io.patient_info import PatientInfo, patient_and_frame, phase_indices, read_patient_info


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("patient002_frame01", ("patient002", 1)),
        ("p-Frame12", ("p", 12)),
        ("cine", ("cine", None)),
        ("frame01", ("frame01", None)),
        ("P01_SA_ED", ("P01_SA", None)),
        ("p_frame03_0000", ("p", 3)),
        ("p_frame00", ("p", 0)),
    ],
)
def test_patient_and_frame_from_the_name(name: str, expected: tuple[str, int | None]) -> None:
    assert patient_and_frame(name) == expected


def test_info_cfg(tmp_path: Path) -> None:
    assert read_patient_info(tmp_path) == PatientInfo()
    (tmp_path / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\nHeight: 160.5\nWeight: odd\n")
    assert read_patient_info(tmp_path) == PatientInfo(ed=1, es=12, height_cm=160.5)


def test_phases_among_the_available_frames() -> None:
    assert phase_indices(PatientInfo(ed=1, es=12), [1, 12]) == (0, 1)
    assert phase_indices(PatientInfo(ed=1, es=12), [12]) == (None, 0)
    assert phase_indices(PatientInfo(), [1, 12]) == (None, None)
