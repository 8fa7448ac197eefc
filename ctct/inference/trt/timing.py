"""How fast each kernel was on this GPU, kept from one build for the next."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ctct.errors import CtctError
from ctct.inference.trt.flavour import Flavour, Gpu
from ctct.io.cache import cache_folder
from ctct.io.write import prepare_folder, write_atomic

log = logging.getLogger(__name__)


class TimingCache:
    """Times of kernels that TensorRT measured on this GPU, kept for the next build.

    TensorRT-RTX measures none. A cache that cannot be read or written costs time and nothing else.
    """

    def __init__(self, flavour: Flavour, gpu: Gpu | None, config: Any) -> None:
        self._path: Path | None = None
        if flavour.is_rtx or gpu is None:
            return
        name = f"timing-{flavour.version}-{gpu.target}.cache"
        self._path = cache_folder("engines") / name
        try:
            before = self._path.read_bytes()
        except OSError:
            before = b""
        cache = config.create_timing_cache(before)
        # Times of another GPU or version are refused, and then an empty cache takes their place.
        if cache is None or not config.set_timing_cache(cache, False):
            config.set_timing_cache(config.create_timing_cache(b""), False)

    def save(self, config: Any) -> None:
        """Write what the build has added."""
        if self._path is None:
            return
        cache = config.get_timing_cache()
        if cache is None:
            return
        try:
            prepare_folder(self._path.parent)
            write_atomic(self._path, bytes(cache.serialize()))
        except CtctError as error:
            log.warning("the times of this build are not kept: %s", error)
