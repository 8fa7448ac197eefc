from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctct.training.interruption import catch_interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with catch_interruption() as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_the_caller_handles_signals() -> None:
    def watch() -> bool:
        with catch_interruption() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(watch).result() is False
