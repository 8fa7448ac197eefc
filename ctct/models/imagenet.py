"""ImageNet weights from timm's model hub: said beforehand, and in one line where it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


def ask_hub(name: str, make: Callable[[], T]) -> T | None:
    """What ``make`` returns, which loads the ImageNet weights of ``name``; None where it cannot."""
    log.info(
        "%s: asking huggingface.co for ImageNet weights, up to a minute where it cannot be "
        "reached; --no-pretrained starts without them",
        name,
    )
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it reports each of a dozen retries
    try:
        return make()
    except Exception as error:  # timm and the hub's client raise errors of many libraries
        reason = " ".join(str(error).split())[:100]
        log.warning("%s: no ImageNet weights (%s); it starts at random", name, reason)
        return None
    finally:
        hub.setLevel(level)
