"""These tests read in their own process; ``tests/ctct/cases/test_read_apart.py`` in another one."""

from __future__ import annotations

import pytest

from ctct import child_process


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test can replace a part of the code that reads, and needs no second process."""
    monkeypatch.setattr(child_process, "_is_serving", True)
