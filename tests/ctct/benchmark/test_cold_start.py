from __future__ import annotations

from pathlib import Path

import pytest

from ctct.benchmark.cold_start import ColdStart, cold_start
from ctct.benchmark.prediction import write_synthetic
from ctct.errors import CtctError


def test_a_new_process(tmp_path: Path) -> None:
    write_synthetic(tmp_path, people=1, frames=1)
    (scan,) = (path for path in tmp_path.glob("*.nii.gz") if not path.stem.endswith("_gt.nii"))
    measured = cold_start(scan, rounds=1)
    assert len(measured.seconds) == 1
    assert 0.1 < measured.seconds[0] < 120
    assert measured.peak_memory_mb is None or 50 < measured.peak_memory_mb < 8000


def test_the_median_duration() -> None:
    assert ColdStart((3.0, 1.0, 2.0), None).median_s == 2.0


def test_a_command_that_fails_is_an_error_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(CtctError, match=r"missing\.nii\.gz failed: .*missing\.nii\.gz"):
        cold_start(tmp_path / "missing.nii.gz", rounds=1)
