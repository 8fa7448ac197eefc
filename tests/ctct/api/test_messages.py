from __future__ import annotations

import pytest

from ctct.api.messages import name_arguments, naming_arguments
from ctct.errors import OutputError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("--batch 0: give 1 or more", "batch 0: give 1 or more"),
        ("use --overwrite or another folder", "use overwrite or another folder"),
        ("--label-order x; --format y", "label_order x; formats y"),
        ("export with --no-verify", "export with verify=False"),
        ("old; pip install --upgrade x", "old; pip install --upgrade x"),
        (
            "make one with ctct export --precision bf16",
            "make one with ctct export --precision bf16",
        ),
        ("a-b -- c: 3--4", "a-b -- c: 3--4"),
    ],
)
def test_options_become_arguments(message: str, expected: str) -> None:
    assert name_arguments(message) == expected


def test_the_command_line_gets_its_own_words() -> None:
    @naming_arguments
    @naming_arguments
    def fail() -> None:
        raise OutputError("--out x", everywhere=True)

    with pytest.raises(OutputError, match=r"^out x$") as raised:
        fail()
    assert raised.value.with_options == "--out x"
    assert raised.value.everywhere
