from __future__ import annotations

import pytest

from ctct.errors import ConfigError
from ctct.runtimes.threads import THREADS, cpu_threads


def test_threads_are_those_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    assert cpu_threads() is None
    monkeypatch.setenv(THREADS, "3")
    assert cpu_threads() == 3
    monkeypatch.setenv(THREADS, "many")
    with pytest.raises(ConfigError, match="CTCT_THREADS=many: give a number"):
        cpu_threads()
