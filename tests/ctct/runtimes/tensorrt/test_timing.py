from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ctct.model_files.sidecar import RTX, TENSORRT
from ctct.runtimes.cuda import Gpu
from ctct.runtimes.tensorrt.build import TimingCache
from ctct.runtimes.tensorrt.compatibility import Flavour


class Config:
    """A build's settings, as far as the times of kernels go; refuses times of elsewhere."""

    def __init__(self) -> None:
        self.cache: SimpleNamespace | None = None

    def create_timing_cache(self, content: bytes) -> SimpleNamespace | None:
        if content not in (b"", b"times"):
            return None
        return SimpleNamespace(before=content, serialize=lambda: b"times")

    def set_timing_cache(self, cache: SimpleNamespace, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return True

    def get_timing_cache(self) -> SimpleNamespace | None:
        return self.cache


def test_times_of_kernels_are_kept_for_the_next_build(own_cache: Path) -> None:
    flavour, gpu, seen = Flavour(TENSORRT, "10.9", None), Gpu("L4", (8, 9)), []
    path = own_cache / "timing-10.9-sm89.cache"
    for content in (None, b"times", b"of another version"):
        if content is not None:
            path.write_bytes(content)
        config = Config()
        cache = TimingCache(flavour, gpu, config)
        assert config.cache is not None
        seen.append(config.cache.before)
        cache.save(config)
        assert path.read_bytes() == b"times"
    assert seen == [b"", b"times", b""]


def test_times_that_cannot_be_kept_are_only_warned_about(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.parent.write_bytes(b"a file in the way")
    config = Config()
    TimingCache(Flavour(TENSORRT, "10.9", None), Gpu("L4", (8, 9)), config).save(config)
    assert "the times of this build are not kept" in caplog.text


def test_rtx_measures_no_times(own_cache: Path) -> None:
    config = Config()
    TimingCache(Flavour(RTX, "1.7", None), Gpu("L4", (8, 9)), config).save(config)
    assert config.cache is None
    assert not own_cache.exists()
