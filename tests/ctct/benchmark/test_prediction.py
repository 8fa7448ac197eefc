from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctct.benchmark.picture import speed_png
from ctct.benchmark.prediction import (
    REFERENCE,
    ReferenceProcedure,
    describe_machine,
    prediction_speed,
    write_synthetic,
)
from ctct.benchmark.timing import Timing
from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.model_files.model_file import ModelFile

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("scans")
    write_synthetic(folder, people=1, frames=1)
    return discover([folder])[0]


def test_ctct_and_the_reference_segment_equally_well(
    scans: list[Case], default_model: ModelFile
) -> None:
    # By its path, so that this machine's precision does not decide how many rows there are.
    rows = prediction_speed(scans, [str(default_model.path)], device="cpu", rounds=1)
    assert rows[0].timing.name == REFERENCE
    assert rows[1].timing.name == f"{default_model.path} in fp32 on openvino"
    study = read_nifti(scans[0].path)
    assert {row.timing.amount for row in rows} == {study.slices}
    assert rows[0].times_as_fast == 1
    assert rows[0].busy is None
    for row in rows:
        assert row.dice is not None
        assert row.dice > 0.85
    assert all(row.valid == (abs(row.dice - rows[0].dice) <= 0.005) for row in rows)  # type: ignore[operator]
    assert 0 < rows[1].busy <= 1  # type: ignore[operator]
    assert set(rows[1].stages_s) == {"read", "segment", "write"}


def test_the_reference_writes_labels_in_the_geometry_of_the_scan(
    scans: list[Case], tmp_path: Path
) -> None:
    ReferenceProcedure("default", "cpu")(scans, tmp_path)
    scan, written = nib.load(scans[0].path), nib.load(tmp_path / f"{scans[0].name}_seg.nii.gz")
    assert written.shape == scan.shape
    assert (written.affine == scan.affine).all()
    assert set(np.unique(np.asarray(written.dataobj))) == {0, 1, 2, 3}


def test_a_scan_in_several_files_gets_the_same_labels(scans: list[Case], tmp_path: Path) -> None:
    scan = nib.load(scans[0].path)
    (tmp_path / "in" / "slices").mkdir(parents=True)
    for z in range(scan.shape[2]):
        nib.save(scan.slicer[:, :, z : z + 1], tmp_path / "in" / "slices" / f"{z}.nii")
    cases, _ = discover([tmp_path / "in"])
    ReferenceProcedure("default", "cpu")([*scans, *cases], tmp_path)
    one_file, joined = (nib.load(tmp_path / f"{c.name}_seg.nii.gz") for c in (*scans, *cases))
    labels = np.asarray(one_file.dataobj).reshape(joined.shape)[..., ::-1]  # from the apex on
    np.testing.assert_array_equal(np.asarray(joined.dataobj), labels)


def test_a_case_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_text("no image")
    with pytest.raises(InputError, match=r"bad\.nii\.gz"):
        prediction_speed([Case(tmp_path / "bad.nii.gz", "bad")], ["default"], rounds=1)


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine["cores"] >= 1  # type: ignore[operator]
    assert "openvino" in machine["runtimes"]  # type: ignore[operator]


def test_the_chart_has_a_bar_for_each() -> None:
    pytest.importorskip("matplotlib")
    timings = [Timing("slow", 10, (2.0,)), Timing("quick", 10, (1.0,))]
    one, two = (speed_png(timings[:n]) for n in (1, 2))
    assert one.startswith(b"\x89PNG")
    assert len(two) > len(one)
