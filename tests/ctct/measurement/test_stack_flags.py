from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ctct.io.nifti import read_nifti
from ctct.measurement.stack_flags import MAX_HEIGHT_MM, stack_flags, timing_flags

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


def review(voxels: npt.NDArray[np.float32]) -> list[str]:
    return [flag.reason for flag in stack_flags(voxels, 8.7) if flag.level == "review"]


class TestOrderOfSlices:
    def test_the_order_and_its_reverse_are_right(self, voxels: npt.NDArray[np.float32]) -> None:
        assert review(voxels) == review(voxels[:, ::-1]) == []

    @pytest.mark.parametrize(
        "order",
        [
            [0, 2, 4, 6, 8, 1, 3, 5, 7, 9],  # even, then odd
            [1, 3, 5, 7, 9, 0, 2, 4, 6, 8],
            [0, 5, 1, 6, 2, 7, 3, 8, 4, 9],  # two halves in turn
            [3, 9, 0, 6, 1, 8, 4, 2, 7, 5],
        ],
    )
    def test_other_orders_are_flagged(
        self, voxels: npt.NDArray[np.float32], order: list[int]
    ) -> None:
        (reason,) = review(voxels[:, order])
        assert "hardly in order from base to apex" in reason


class TestCopies:
    def test_one_for_each_image_that_stands_for_another(
        self, voxels: npt.NDArray[np.float32]
    ) -> None:
        frozen = voxels.copy()
        frozen[:, 4:6] = frozen[0, 4:6]  # 2 slices show the first of 10 phases
        (reason,) = review(frozen)
        assert reason.startswith("18 images are exact copies")
        doubled = voxels.copy()
        doubled[2] = doubled[1]  # a phase of 10 slices
        assert review(doubled)[0].startswith("10 images are exact copies")
        doubled = voxels.copy()
        doubled[:, 3] = doubled[:, 5]  # a slice of 10 phases
        assert review(doubled)[0].startswith("10 images are exact copies")

    def test_a_slice_that_is_there_twice_with_other_noise(
        self, voxels: npt.NDArray[np.float32]
    ) -> None:
        generator = np.random.default_rng(0)
        for place, words in ((4, "slices 3 and 4 "), (10, "slices 3 and 10 ")):
            doubled = np.insert(voxels, place, voxels[:, 3], axis=1)
            doubled += generator.normal(0, 0.15 * voxels.std(), doubled.shape)
            assert any(reason.startswith(words) for reason in review(doubled))

    def test_empty_images_are_no_copies(self, voxels: npt.NDArray[np.float32]) -> None:
        assert not any("copies" in reason for reason in review(np.zeros_like(voxels)))


class TestEmptyImages:
    def test_phases_with_different_numbers_of_slices(self, voxels: npt.NDArray[np.float32]) -> None:
        fewer = voxels.copy()
        fewer[3, 9] = fewer[7, :2] = 5
        (reason,) = review(fewer)
        assert reason.startswith("slices 0, 1, 9 (from 0) hold no picture in all or some frames")

    def test_an_empty_slice_within_the_stack(self, voxels: npt.NDArray[np.float32]) -> None:
        lost = voxels.copy()
        lost[:, 4] = 0
        assert any(
            reason.startswith("slice 4 (from 0) holds no picture") for reason in review(lost)
        )

    def test_a_padded_stack_has_no_flag(self, voxels: npt.NDArray[np.float32]) -> None:
        assert review(np.pad(voxels, ((0, 0), (2, 1), (0, 0), (0, 0)))) == []


class TestTiming:
    @pytest.fixture
    def labels(self) -> npt.NDArray[np.uint8]:
        """(T, Z, H, W): 8 slices of LV that shrink together by a third and grow again."""
        radius = 20 - 4 * (1 - np.cos(2 * np.pi * np.arange(10) / 10)) / 2  # 20 … 16 … 20
        away = np.hypot(*np.mgrid[-32:32, -32:32])
        disks = 3 * (away < radius[:, None, None]).astype(np.uint8)
        return np.repeat(disks[:, None], 8, axis=1)

    def test_slices_that_beat_together(self, labels: npt.NDArray[np.uint8]) -> None:
        assert timing_flags(labels) == []
        still = labels.copy()
        still[:, 3] = still[0, 3]  # one that hardly moves
        assert timing_flags(still) == []

    def test_phases_of_every_second_slice_shifted_by_half_a_cycle(
        self, labels: npt.NDArray[np.uint8]
    ) -> None:
        shifted = labels.copy()
        shifted[:, ::2] = np.roll(shifted[:, ::2], 5, axis=0)
        (flag,) = timing_flags(shifted)
        assert flag.level == "review"
        assert "slices 2, 3, 4, 5 (from 0)" in flag.reason

    def test_phases_of_one_slice_at_random(self, labels: npt.NDArray[np.uint8]) -> None:
        shuffled = labels.copy()
        shuffled[:, 4] = shuffled[[5, 0, 6, 2, 9, 4, 1, 7, 3, 8], 4]
        (flag,) = timing_flags(shuffled)
        assert "slice 4 (from 0)" in flag.reason

    def test_the_ends_of_the_ventricle_move_through_the_image(
        self, labels: npt.NDArray[np.uint8]
    ) -> None:
        ends = labels.copy()
        ends[:, [0, 1, 6, 7]] = np.roll(ends[:, [0, 1, 6, 7]], 5, axis=0)
        reasons = [flag.reason for flag in timing_flags(ends)]
        assert not any("slices 0" in reason or "1," in reason for reason in reasons)

    def test_ed_and_es_alone_tell_nothing(self, labels: npt.NDArray[np.uint8]) -> None:
        assert timing_flags(labels[[0, 5]]) == []
