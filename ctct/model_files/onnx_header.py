"""The metadata of an ONNX file and what it refers to, read from its protocol buffer.

Read here in milliseconds: the onnx package, with protobuf, is not part of the base install and
takes 57 MB and 0.4 s to import. See https://protobuf.dev/programming-guides/encoding for the wire
format and onnx.proto3 for the field numbers.

A runtime reads the file with a parser of its own. Both read the same, because only the shortest
form of every number is accepted, in which every writer stores it: parsers differ in what they make
of longer ones. Each occurrence of a field counts here, whichever one a parser keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Fields of ModelProto, NodeProto, TensorProto and StringStringEntryProto.
_METADATA_PROPS, _OP_TYPE, _EXTERNAL_DATA, _DATA_LOCATION = 14, 4, 13, 14
_KEY, _VALUE = 1, 2

#: The messages that may contain a tensor: which of their fields hold which kind of message.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
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
        if number == _METADATA_PROPS and isinstance(value, bytes):
            entry = _texts(value)
            yield entry[_KEY].decode(), json.loads(entry[_VALUE])


def outside_references(message: bytes, kind: str = "model") -> Iterator[str]:
    """What an ONNX file makes a runtime read from other files: their names, "" without one.

    These are tensors stored outside the file, and compiled engines (EPContext).

    Args:
        message: the ONNX file, or a message in it.
        kind: of the message.

    Raises:
        ValueError, IndexError: it is no ONNX file.
    """
    children = _CHILDREN.get(kind, {})
    for number, value in _fields(message):
        if isinstance(value, int):
            if kind == "tensor" and number == _DATA_LOCATION and value:
                yield ""
        elif number in children:
            yield from outside_references(value, children[number])
        elif kind == "tensor" and number == _EXTERNAL_DATA:
            entry = _texts(value)
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode(errors="replace")
        elif kind == "node" and number == _OP_TYPE and value == b"EPContext":
            yield "EPContext"


def _texts(message: bytes) -> dict[int, bytes]:
    """The strings of a message by number; of several, the last counts, as in every parser."""
    return {number: value for number, value in _fields(message) if isinstance(value, bytes)}


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of the fields of a message, except for those of a fixed length."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise ValueError("a field has no valid number")
        if wire_type == _VARINT:
            value, at = _read_varint(message, at)
            yield number, value
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(message, at)
            if at + length <= len(message):
                yield number, message[at : at + length]
            at += length
        else:
            raise ValueError("not a protocol buffer")
        if at > len(message):
            raise ValueError("truncated")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer at a position, seven bits per byte, and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if value >> 64 or (shift and not byte):
                break
            return value, at
    raise ValueError("a number is not in its shortest form")
