"""Messages written byte by byte: a key is the field's number times 8, plus 2 for bytes."""

from __future__ import annotations

import pytest

from ctct.model_files.onnx_header import outside_references, read_metadata


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
        (b"\x0d\x00", ValueError),  # fewer than 32 bits
        (b"\x02\x00", ValueError),  # no field has the number 0
        (b"\x80\x80\x80\x80\x10", ValueError),  # none has the number 2^29
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
    assert list(outside_references(field(7, graph))) == ["c.bin", "w.bin"]
    assert list(outside_references(field(7, field(5, field(8, b"name"))))) == []


@pytest.mark.parametrize(
    "number",
    [
        b"\x82\x00",  # 2 in two bytes
        b"\xf2\x80\x00",  # 114 in three
        b"\xf2\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",  # 114 in eleven
        b"\xf2\x80\x80\x80\x80\x80\x80\x80\x80\x02",  # 114 + 2^64: 114 in 64 bits
    ],
)
def test_numbers_that_parsers_may_read_differently_are_refused(number: bytes) -> None:
    body = entry(b"k", b"1")
    for content in (
        number + bytes([len(body)]) + body,  # as a key
        b"\x72" + number + bytes(200),  # as a length
        b"\x08" + number,  # as a value
    ):
        for read in (read_metadata, outside_references):
            with pytest.raises(ValueError, match="not in its shortest form"):
                list(read(content))


def test_the_largest_and_negative_numbers_are_read() -> None:
    minus_one = 9 * b"\xff" + b"\x01"
    assert list(read_metadata(b"\x08" + minus_one + field(14, entry(b"k", b"1")))) == [("k", 1)]


def test_of_several_values_the_last_counts_and_of_several_places_each() -> None:
    twice = field(1, b"a") + field(1, b"k") + field(2, b"1") + field(2, b"2")
    assert list(read_metadata(field(14, twice))) == [("k", 2)]
    # A parser joins the two graphs.
    graph = field(5, field(13, entry(b"location", b"w.bin")))
    assert list(outside_references(field(7, b"") + field(7, graph))) == ["w.bin"]
    assert list(outside_references(field(7, graph) + field(7, b""))) == ["w.bin"]
    assert list(outside_references(field(7, field(5, b"\x70\x01")))) == [""]  # data_location
    assert list(outside_references(field(7, field(5, b"\x70\x00")))) == []


def test_a_field_of_another_wire_type_is_passed_over_as_parsers_do() -> None:
    assert list(outside_references(b"\x38\x05" + b"\x3d" + bytes(4))) == []  # 7, not a graph


def test_an_engine_in_a_graph_is_a_reference() -> None:
    node = field(1, field(4, b"EPContext"))
    assert list(outside_references(field(7, node))) == ["EPContext"]
