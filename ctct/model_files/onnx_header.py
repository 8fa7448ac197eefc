"""What an ONNX file says of itself, read from its protocol buffer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Field numbers of the ONNX ModelProto and its StringStringEntryProto (onnx.proto3).
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_EXTERNAL_DATA = 13
#: Which fields of a message of ONNX hold messages that may lead to a tensor.
_LEADING_TO_TENSORS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def read_metadata(content: bytes) -> Iterator[tuple[str, Any]]:
    """Key and value, parsed from JSON, of each entry of the metadata of an ONNX file."""
    for number, value in _fields(content):
        if number == _METADATA_PROPS:
            entry = dict(_fields(value))
            yield entry[_KEY].decode(), json.loads(entry[_VALUE])


def external_locations(message: bytes, kind: str = "model") -> Iterator[str]:
    """Files outside an ONNX file in which it says that its tensors lie."""
    inner = _LEADING_TO_TENSORS.get(kind, {})
    for number, value in _fields(message):
        if number in inner:
            yield from external_locations(value, inner[number])
        elif kind == "tensor" and number == _EXTERNAL_DATA:
            entry = dict(_fields(value))
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each length-delimited field of a protocol-buffer message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("truncated")
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("not a protocol buffer")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
