"""The metadata of an ONNX file and the files it refers to, read from its protocol buffer.

Read here in milliseconds: the onnx package, with protobuf, is not part of the base install and
takes 57 MB and 0.4 s to import. See https://protobuf.dev/programming-guides/encoding for the wire
format and onnx.proto3 for the field numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Fields of ModelProto, TensorProto and StringStringEntryProto.
_METADATA_PROPS, _EXTERNAL_DATA = 14, 13
_KEY, _VALUE = 1, 2

#: The messages that may contain a tensor: which of their fields hold which kind of message.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

# Wire types, the lower three bits of a field's key.
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def read_metadata(content: bytes) -> Iterator[tuple[str, Any]]:
    """Key and value, parsed from JSON, of each entry of the metadata.

    Args:
        content: of the ONNX file.

    Raises:
        ValueError, IndexError, KeyError: it is no ONNX file, or a value is no JSON.
    """
    for number, value in _fields(content):
        if number == _METADATA_PROPS:
            entry = dict(_fields(value))
            yield entry[_KEY].decode(), json.loads(entry[_VALUE])


def external_locations(message: bytes, kind: str = "model") -> Iterator[str]:
    """Paths of the files in which tensors of an ONNX file are stored outside it.

    Args:
        message: the ONNX file, or a message in it.
        kind: of the message.
    """
    children = _CHILDREN.get(kind, {})
    for number, value in _fields(message):
        if number in children:
            yield from external_locations(value, children[number])
        elif kind == "tensor" and number == _EXTERNAL_DATA:
            entry = dict(_fields(value))
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each length-delimited field of a message; others are passed over."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            _, at = _read_varint(message, at)
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(message, at)
            if at + length > len(message):
                raise ValueError("truncated")
            yield number, message[at : at + length]
            at += length
        else:
            raise ValueError("not a protocol buffer")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer at a position, seven bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
