from __future__ import annotations

from collections.abc import Callable


def test_info_names_versions_runtimes_and_the_model(ctct: Callable[..., object]) -> None:
    outcome = ctct("info", "--card")
    assert outcome.code == 0
    for word in ("ctct ", "runtime openvino: 2", "CUDA devices:", "validation_dice", "CC BY-NC-SA"):
        assert word in outcome.out
