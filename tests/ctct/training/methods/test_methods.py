from __future__ import annotations

from typing import get_args

from ctct.choices import MethodName
from ctct.training.methods import METHODS


def test_every_name_that_the_settings_accept_is_a_method() -> None:
    assert set(METHODS) == set(get_args(MethodName))
