"""Coil and receiver."""

from __future__ import annotations

import numpy as np
import pytest

from ctct.synthetic.mri import BLOOD_LEVEL, MAX_LEVEL, acquire, coil_gain, draw_contrast


def test_without_noise_blood_is_stored_at_its_level() -> None:
    stored = acquire(np.random.default_rng(0), np.array([0.0, 1.0, 99.0], np.float32), 0.0)
    assert stored.tolist() == [0.0, BLOOD_LEVEL, MAX_LEVEL]
    assert stored.dtype == np.float32


def test_noise_in_air_is_rayleigh() -> None:
    stored = acquire(np.random.default_rng(0), np.zeros((200, 200), np.float32), 0.05)
    # The mean of a Rayleigh distribution is its scale times √(π/2).
    assert stored.mean() == pytest.approx(0.05 * BLOOD_LEVEL * np.sqrt(np.pi / 2), rel=0.02)
    assert (stored == np.rint(stored)).all() and stored.min() >= 0


@pytest.mark.parametrize("seed", range(5))
def test_the_coil_is_on_the_chest(seed: int) -> None:
    y, x = np.meshgrid(np.arange(-150.0, 151), np.arange(-120.0, 121), indexing="ij")
    gain = coil_gain(np.random.default_rng(seed), x, y, np.pi)
    assert gain[150, 120] == pytest.approx(1.0)
    assert gain[150, 20] > 1.0 > gain[150, 220]
    assert gain.min() > 0.3 and gain.max() < 2.5


def test_tissues_keep_their_order() -> None:
    contrast = draw_contrast(np.random.default_rng(0))
    assert 0 < contrast.lung < contrast.muscle < contrast.myocardium
    assert contrast.myocardium < contrast.rv_blood < contrast.lv_blood <= contrast.fat
