"""MessagePack, read without any package, and without making an object of any class that it names. Pure: no I/O.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

DEEPEST = 200

_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_LENGTHS = {
    0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I"),
    0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
    0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I"),
}  # fmt: skip
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def unpacked(data: bytes, extension: Callable[[int, bytes], Any]) -> Any:
    """The one value in some bytes.

    Args:
        data: The bytes.
        extension: Makes the value of an extension, given its code and its bytes.

    Raises:
        ValueError: They are no MessagePack, or nested too deep.
    """
    reader = _Reader(data, extension)
    try:
        value = reader.value(0)
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError("it is no MessagePack") from error
    if reader.at != len(data):
        raise ValueError("something follows its value")
    return value


class _Reader:
    def __init__(self, data: bytes, extension: Callable[[int, bytes], Any]) -> None:
        self._data = data
        self._extension = extension
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("it is nested too deep")
        code = self._number(">B")
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code < 0xC0:
            kind, length = ("map", code & 0x0F) if code < 0x90 else ("list", code & 0x0F)
            return self._sized("text", code & 0x1F, depth) if code >= 0xA0 else self._sized(kind, length, depth)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _FIXED_EXTENSIONS:
            return self._sized("extension", _FIXED_EXTENSIONS[code], depth)
        if code in _LENGTHS:
            kind, form = _LENGTHS[code]
            return self._sized(kind, self._number(form), depth)
        raise ValueError("it holds a byte that begins no value")

    def _sized(self, kind: str, length: int, depth: int) -> Any:
        if kind == "text":
            return self._take(length).decode("utf-8", "surrogatepass")
        if kind == "bytes":
            return self._take(length)
        if kind == "list":
            return [self.value(depth + 1) for _ in range(length)]
        if kind == "map":
            return {self.value(depth + 1): self.value(depth + 1) for _ in range(length)}
        return self._extension(self._number(">b"), self._take(length))

    def _take(self, length: int) -> bytes:
        if self.at + length > len(self._data):
            raise ValueError("it ends in the middle of a value")
        self.at += length
        return self._data[self.at - length : self.at]

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return value
