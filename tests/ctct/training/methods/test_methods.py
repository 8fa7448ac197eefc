from __future__ import annotations

from typing import get_args

import pytest
from training_support import config

from ctct.choices import MethodName
from ctct.models.unet import UNet
from ctct.training.methods import METHODS


def test_every_name_that_the_settings_accept_is_a_method() -> None:
    assert set(METHODS) == set(get_args(MethodName))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_with_weights_says_so(name: str) -> None:
    method = METHODS[name]((UNet(), UNet()), config().unlabelled_slices)
    assert any(True for _ in method.parameters()) == method.has_weights
