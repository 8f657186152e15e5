"""What an ONNX file says of itself, read without any package, and before anything is done with it.

An ONNX file is messages of Protocol Buffers in each other. Its weights may lie in other files, of
any name, which onnxruntime would open; so every part of it is looked at first.
"""

from __future__ import annotations

from collections.abc import Iterator

Field = int | memoryview
NESTED = {
    "model": {7: "graph", 8: "opset", 14: "entry"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
"""The messages that a message has, by the number of their field (onnx.proto)."""
REFUSED = {
    "model": {20: "a training", 25: "functions"},
    "graph": {15: "sparse weights"},
    "attribute": {22: "sparse weights", 23: "sparse weights"},
    "tensor": {13: "weights in another file", 14: "weights in another file"},
}
"""Fields that no export of tellapart has, other than with the value 0."""
DOMAINS = {"node": 7, "opset": 1}
"""The fields that say whose operators they are: ONNX's own alone are taken."""
DEEPEST = 30
"""Messages in each other: a graph in an attribute of a node in a graph is three more."""


def read_entries(content: bytes) -> dict[str, str]:
    """Return the ``metadata_props`` of an ONNX file that is whole in itself.

    Raises:
        ValueError: it is damaged or no such file, or has weights in another file, operators that
            are not ONNX's, or anything else that no export of tellapart has.
    """
    found: dict[str, str] = {}
    for key, value in _walk(memoryview(content), "model", 0):
        if key in found:
            raise ValueError(f"{key} twice")
        found[key] = value
    return found


def _walk(content: memoryview, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        raise ValueError("graphs in each other too deep")
    if kind == "entry":
        fields = {number: bytes(_expect(value)) for number, value in read_fields(content)}
        yield fields.get(1, b"").decode(), fields.get(2, b"").decode()
        return
    nested, refused = NESTED.get(kind, {}), REFUSED.get(kind, {})
    for number, value in read_fields(content):
        if number in refused and value != 0:
            raise ValueError(f"it has {refused[number]}")
        if number == DOMAINS.get(kind) and bytes(_expect(value)) not in (b"", b"ai.onnx"):
            raise ValueError("it has operators that are not ONNX's")
        if number in nested:
            yield from _walk(_expect(value), nested[number], depth + 1)


def _expect(value: Field) -> memoryview:
    if isinstance(value, int):
        raise ValueError("it is no ONNX file")
    return value


def read_fields(content: memoryview) -> Iterator[tuple[int, Field]]:
    """Give the number and value of each field of a message; a ValueError where it is damaged.

    >>> [(number, bytes(value)) for number, value in read_fields(memoryview(b"\\x0a\\x02hi"))]
    [(1, b'hi')]
    """
    place = 0
    while place < len(content):
        key, place = _read_number(content, place)
        wire = key & 7
        if wire == 0:
            number, place = _read_number(content, place)
            yield key >> 3, number
            continue
        if wire not in (1, 2, 5):
            raise ValueError("it is no ONNX file")
        size, place = _read_number(content, place) if wire == 2 else ({1: 8, 5: 4}[wire], place)
        if place + size > len(content):
            raise ValueError("it is cut short")
        yield key >> 3, content[place : place + size]
        place += size


def _read_number(content: memoryview, place: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise ValueError("it is cut short")
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("it is no ONNX file")
