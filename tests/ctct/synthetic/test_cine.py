"""The public function: shapes, reproducibility, physiology, contrast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ctct.errors import ConfigError
from ctct.io.study import Study
from ctct.synthetic import synthetic_cine

RV, MYO, LV = 1, 2, 3
Cine = tuple[Study, npt.NDArray[np.uint8]]


@pytest.fixture(scope="module")
def cine() -> Cine:
    return synthetic_cine(seed=1, frames=20, slices=6)


def volumes_ml(cine: Cine, structure: int) -> np.ndarray:
    study, labels = cine
    return (labels == structure).sum((1, 2, 3)) * study.voxel_ml


def test_study_and_labels_fit_together(cine: Cine) -> None:
    study, labels = cine
    assert study.voxels.shape == labels.shape == (20, 6, 256, 216)
    assert study.voxels.dtype == np.float32 and labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    # 6 slices share the 87 mm that 10 slices of 8.7 mm cover.
    assert study.slice_spacing_mm == pytest.approx(14.5)
    assert study.voxel_ml == pytest.approx(1.4 * 1.4 * 14.5 / 1000)


def test_the_affine_agrees_with_the_spacing_and_is_centered(cine: Cine) -> None:
    study, _ = cine
    sizes = np.linalg.norm(study.affine[:3, :3], axis=0)
    assert sizes == pytest.approx([1.4, 1.4, 14.5])
    middle = study.affine @ [(216 - 1) / 2, (256 - 1) / 2, (6 - 1) / 2, 1]
    assert middle == pytest.approx([0, 0, 0, 1])


def test_intensities_are_what_a_scanner_stores(cine: Cine) -> None:
    voxels = cine[0].voxels
    assert (voxels == np.rint(voxels)).all()
    assert voxels.min() >= 0 and 1000 < voxels.max() <= np.iinfo(np.int16).max


def test_the_same_seed_gives_the_same_arrays() -> None:
    (one, one_labels), (two, two_labels) = (synthetic_cine(5, 2, 2) for _ in range(2))
    assert (one.voxels == two.voxels).all() and (one_labels == two_labels).all()


def test_another_seed_gives_another_person() -> None:
    (one, one_labels), (two, two_labels) = (synthetic_cine(seed, 1, 2) for seed in (5, 6))
    assert (one.voxels != two.voxels).any() and (one_labels != two_labels).any()


def test_volumes_are_those_of_a_healthy_adult(cine: Cine) -> None:
    lv, rv = volumes_ml(cine, LV), volumes_ml(cine, RV)
    assert lv.argmax() == 0 and lv.argmin() == 7  # ES at 35 % of 20 frames
    assert 115 < lv[0] < 180
    assert 0.53 < 1 - lv.min() / lv[0] < 0.67
    assert 0.85 < rv[0] / lv[0] < 1.4
    mass_g = volumes_ml(cine, MYO) * 1.05
    assert mass_g.min() > 85 and mass_g.max() < 155
    assert np.ptp(mass_g) < 0.1 * mass_g.mean()


def test_the_cycle_closes_without_a_jump(cine: Cine) -> None:
    labels = cine[1]
    lv = volumes_ml(cine, LV)
    steps = np.abs(np.diff(lv))
    assert abs(lv[0] - lv[-1]) <= steps.max()
    changed = (labels[0] != labels[-1]).mean()
    assert changed <= max((a != b).mean() for a, b in zip(labels[1:], labels[:-1], strict=True))


def test_tissues_look_as_in_steady_state_imaging(cine: Cine) -> None:
    study, labels = cine
    middle = np.s_[:, 1:4]
    level = [np.median(study.voxels[middle][labels[middle] == k]) for k in (RV, MYO, LV)]
    rv, myocardium, lv = level
    assert 0.2 < myocardium / lv < 0.45
    assert 0.65 < rv / lv < 1.05


def test_noise_is_new_in_every_frame() -> None:
    study, _ = synthetic_cine(0, 2, 2)
    corner = study.voxels[:, :, :8, :8]
    assert (corner[0] != corner[1]).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "frames must be 1 to 500, got 0"),
        ({"slices": 1}, "slices must be 2 to 100, got 1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        synthetic_cine(**wrong)
