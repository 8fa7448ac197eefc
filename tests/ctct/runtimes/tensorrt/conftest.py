from __future__ import annotations

from pathlib import Path

import pytest
from trt_support import write_tiny_onnx


@pytest.fixture(autouse=True)
def engine_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the cache of whoever runs it."""
    monkeypatch.setenv("CTCT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A small ONNX file with the inputs and outputs of the fused graph."""
    return write_tiny_onnx(tmp_path / "tiny.onnx", license="CC0")
