from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ctct.io.nifti import read_nifti
from ctct.measurement.stack_flags import MAX_HEIGHT_MM, stack_flags

TIME_SERIES = "this looks like a time series saved as slices"


@pytest.fixture(scope="module")
def voxels() -> npt.NDArray[np.float32]:
    """(T, Z, H, W) of a synthetic cine: 10 phases of 10 slices."""
    from ctct.synthetic import synthetic_cine

    return synthetic_cine(seed=0, frames=10)[0].voxels


def reasons(voxels: npt.NDArray[np.float32], slice_spacing_mm: float = 8.7) -> list[str]:
    """Why a scan is rejected."""
    flags = stack_flags(voxels, slice_spacing_mm)
    return [flag.reason for flag in flags if flag.level == "reject"]


def join(voxels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The first two axes joined to slices of one frame, the second one fastest."""
    return voxels.reshape(1, -1, *voxels.shape[2:])


def test_a_cine_and_each_of_its_frames_have_no_flag(voxels: npt.NDArray[np.float32]) -> None:
    assert reasons(voxels) == []
    for frame in voxels[::4]:
        assert reasons(frame[None]) == []
    assert reasons(voxels[[0, 4]]) == []  # ED and ES
    assert reasons(voxels[:, :1], np.nan) == []  # a single slice


@pytest.mark.parametrize("slice_spacing_mm", [8.7, 1.0, 35.0])
def test_phases_saved_as_slices(voxels: npt.NDArray[np.float32], slice_spacing_mm: float) -> None:
    by_slice = voxels.swapaxes(0, 1)  # (Z, T, H, W)
    for stack in (
        join(by_slice),  # (x, y, z·t), phase fastest
        join(voxels),  # slice fastest
        join(voxels[:, 3:7]),
        join(by_slice[4:5]),  # (x, y, t)
        join(by_slice[9:]),
    ):
        (reason,) = reasons(stack, slice_spacing_mm)
        assert reason.startswith(TIME_SERIES)


def test_ed_and_es_of_each_slice_in_turn(voxels: npt.NDArray[np.float32]) -> None:
    (reason,) = reasons(join(voxels[[0, 4]].swapaxes(0, 1)))
    assert reason.startswith(TIME_SERIES)


def test_exchanged_axes_and_slices_saved_as_frames(voxels: npt.NDArray[np.float32]) -> None:
    first, second = reasons(voxels.swapaxes(0, 1))  # (x, y, t, z)
    assert first.startswith(TIME_SERIES)
    assert "less alike than those of one heartbeat" in second
    (reason,) = reasons(voxels[:1].swapaxes(0, 1), np.nan)
    assert "slices saved as frames" in reason


def test_noise_changes_nothing(voxels: npt.NDArray[np.float32]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3 * voxels.std(), voxels.shape)
    noisy = (voxels + noise).astype(np.float32)
    assert reasons(noisy) == []
    assert reasons(join(noisy.swapaxes(0, 1)))[0].startswith(TIME_SERIES)


def test_a_stack_taller_than_any_heart() -> None:
    slices = np.random.default_rng(0).normal(0, 1, (1, 24, 64, 64)).astype(np.float32)
    assert 23 * 9.5 < MAX_HEIGHT_MM < 23 * 10
    assert reasons(slices, 9.5) == []
    (reason,) = reasons(slices, 10.0)
    assert reason.startswith("the stack is 230 mm tall, more than any heart")


@pytest.mark.parametrize(
    ("slices", "words"),
    [(1, "a single slice does not"), (4, "a stack of 4 slices does not"), (5, "")],
)
def test_few_slices_do_not_cover_a_heart(
    voxels: npt.NDArray[np.float32], slices: int, words: str
) -> None:
    found = stack_flags(voxels[:, :slices], 8.7)
    assert [flag.level for flag in found] == (["review"] if words else [])
    assert "".join(flag.reason for flag in found).startswith(words)


def test_blank_pictures_are_alike_to_none() -> None:
    assert reasons(np.zeros((3, 4, 40, 40), np.float32)) == []
    scan = np.zeros((3, 9, 40, 40), np.float32)
    scan[:, 2:5] = np.random.default_rng(0).normal(0, 1, (3, 40, 40))  # padded with empty slices
    assert reasons(scan) == []


@pytest.mark.real_data
def test_no_flag_on_real_stacks(acdc: Path) -> None:
    for patient in ("patient095", "patient100", "patient085"):  # those with the likest slices
        for path in (acdc / patient).glob("*_frame[0-9][0-9].nii.gz"):
            study = read_nifti(path)
            assert reasons(study.voxels, study.slice_spacing_mm) == []
