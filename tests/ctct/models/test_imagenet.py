from __future__ import annotations

import logging

import pytest

from ctct.models.imagenet import ask_hub


def test_a_hub_that_cannot_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hub = logging.getLogger("huggingface_hub.utils._http")

    def retry() -> None:
        for n in range(6):
            hub.warning("Retrying in 1s [Retry %d/5].", n)
        raise OSError("An error happened\nwhile trying to locate the file")

    assert ask_hub("swin_unet", retry) is None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2  # before, and after
    assert said[0].startswith("swin_unet: asking huggingface.co for ImageNet weights")
    assert "--no-pretrained" in said[0]
    assert said[1] == (
        "swin_unet: no ImageNet weights (An error happened while trying to locate the file); it "
        "starts at random"
    )
    hub.warning("heard again")
    assert "heard again" in caplog.text


def test_weights_that_are_there() -> None:
    assert ask_hub("swin_unet", lambda: 7) == 7
