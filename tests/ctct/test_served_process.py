from __future__ import annotations

from collections.abc import Iterator

import pytest
from served_process_support import add_to

from ctct.served_process import ServedProcess


@pytest.fixture
def process() -> Iterator[ServedProcess]:
    process = ServedProcess(add_to, 40, name="ctct-test")
    yield process
    process.close()


def test_it_answers_as_long_as_it_is_asked(process: ServedProcess) -> None:
    for number, answer in ((2, 42), (-40, 0)):
        process.connection.send(number)
        assert process.connection.recv() == answer
    assert process.is_alive()
    process.connection.send(None)
    assert process.wait() == 0
    assert not process.is_alive()


def test_the_connection_tells_that_it_was_killed(process: ServedProcess) -> None:
    process.kill()
    with pytest.raises((EOFError, OSError)):
        process.connection.recv()
    assert process.wait() != 0


def test_it_is_closed_once_or_twice(process: ServedProcess) -> None:
    for _ in range(2):
        process.close()
        assert not process.is_alive()
    assert process.connection.closed
