"""Messages written byte by byte: a key is the field's number times 8, plus 2 for bytes."""

from __future__ import annotations

import pytest

from ctct.model_files.onnx_header import external_locations, read_metadata


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([8 * number + 2, len(content)]) + content


def entry(key: bytes, value: bytes) -> bytes:
    return field(1, key) + field(2, value)


def test_metadata_are_read_past_other_fields() -> None:
    ir_version = b"\x08\x96\x01"  # field 1, the variable-length integer 150
    fixed = b"\x15" + bytes(4) + b"\x19" + bytes(8)  # 32 and 64 bits
    content = ir_version + field(2, b"ctct") + fixed + field(14, entry(b"grid", b'{"size": 64}'))
    assert list(read_metadata(content)) == [("grid", {"size": 64})]
    assert list(read_metadata(b"")) == []


def test_a_length_of_two_bytes() -> None:
    text = b'"' + 200 * b"a" + b'"'
    message = field(1, b"k") + b"\x12\xca\x01" + text  # 202 is 74 + 1 · 128, and 0xca 74 + 128
    assert len(message) == 208
    content = b"\x72\xd0\x01" + message  # 208 is 80 + 1 · 128
    assert list(read_metadata(content)) == [("k", 200 * "a")]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (field(14, entry(b"k", b"1"))[:-1], ValueError),  # shorter than its length
        (b"\x0b", ValueError),  # groups, wire type 3, are not used
        (b"\x80", IndexError),  # an integer that does not end
        (field(14, field(1, b"k")), KeyError),
        (field(14, entry(b"k", b"{")), ValueError),
    ],
)
def test_damaged_content(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(read_metadata(content))


def test_places_of_weights_outside_the_file() -> None:
    tensor = field(13, entry(b"location", b"w.bin")) + field(13, entry(b"offset", b"0"))
    attribute = field(1, b"value") + field(5, field(13, entry(b"location", b"c.bin")))
    graph = field(1, field(5, attribute)) + field(5, tensor)
    assert list(external_locations(field(7, graph))) == ["c.bin", "w.bin"]
    assert list(external_locations(field(7, field(5, field(8, b"name"))))) == []
