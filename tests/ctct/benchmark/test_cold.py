from __future__ import annotations

from pathlib import Path

import pytest

from ctct.benchmark.cold import ColdStart, cold_start
from ctct.benchmark.prediction import write_synthetic
from ctct.errors import CtctError


def test_a_process_of_its_own(tmp_path: Path) -> None:
    write_synthetic(tmp_path, people=1, frames=1)
    (scan,) = (path for path in tmp_path.glob("*.nii.gz") if not path.stem.endswith("_gt.nii"))
    found = cold_start(scan, rounds=1)
    assert len(found.seconds) == 1
    assert 0.1 < found.seconds[0] < 120
    assert found.peak_memory_mb is None or 50 < found.peak_memory_mb < 8000


def test_the_median_process() -> None:
    assert ColdStart((3.0, 1.0, 2.0), None).median_s == 2.0


def test_what_the_command_said(tmp_path: Path) -> None:
    with pytest.raises(CtctError, match=r"missing\.nii\.gz failed: .*missing\.nii\.gz"):
        cold_start(tmp_path / "missing.nii.gz", rounds=1)
