"""Values as JSON has them: what every reader of it takes, whatever a message holds."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, ClassVar, cast

from ...database.encoding import mapping
from ..values import size

_DEEPEST = 100  # levels of JSON that are shown; the encoder's own limit differs from Python to Python
_SURROGATES = re.compile("[\ud800-\udfff]")

NOT_JSON = {"json": False}
"""The metadata of a field that the JSON form leaves out."""


class Record:
    """One of the records, all of which are dataclasses."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """The record as JSON has it: dicts, lists, strings that are valid Unicode, finite numbers, booleans and None.

        The keys are the fields' names, all of them in every record of its kind. A lone surrogate becomes U+FFFD, NaN or
        an infinity None, and bytes inside a tool's input, say, a text that tells their size.
        """
        own = {} if getattr(self, "type", None) is None else {"type": cast("Any", self).type}
        return own | {
            each.name: _value(getattr(self, each.name)) for each in fields(self) if each.metadata.get("json", True)
        }


def _value(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_value(item) for item in cast("tuple[Any, ...]", value)]
    return value if _is_plain(value) else plain(value, strict=True)


def plain(value: Any, *, strict: bool = False, depth: int = 0) -> Any:
    """A value made of JSON's own types, bytes named by their size; `strict`: text is valid Unicode, numbers finite."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value) if strict else value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return None if strict and not math.isfinite(value) else value
    data = binary_of(value)
    if data is not None:
        return f"<{size(len(data))} of binary data>"
    if depth >= _DEEPEST:
        return f"<nested deeper than {_DEEPEST} levels>"
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {plain(str(key), strict=strict): plain(item, strict=strict, depth=depth + 1) for key, item in items}
    if isinstance(value, Sequence):
        return [plain(item, strict=strict, depth=depth + 1) for item in cast("Sequence[Any]", value)]
    return str(value)


class Head:
    """The beginning of a value as `plain` has it: of what is behind it nothing is gone through.

    Args:
        value: The value.
        most: About how many characters of keys, texts and other leaves; never fewer, where there are more.

    Attributes:
        value: The beginning, made of JSON's own types.
        is_whole: Whether that is all.
    """

    def __init__(self, value: Any, most: int) -> None:
        self._left = most
        self.is_whole = True
        self.value = self._of(value, 0)

    def _of(self, value: Any, depth: int) -> Any:
        if depth < _DEEPEST and isinstance(value, Mapping) and binary_of(value) is None:
            found: dict[str, Any] = {}
            for key, item in cast("Mapping[Any, Any]", value).items():
                if not self._has_room():
                    break
                name = str(self._leaf(str(key)))
                found[name] = self._of(item, depth + 1)
            return found
        if depth < _DEEPEST and isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
            items: list[Any] = []
            for item in cast("Sequence[Any]", value):
                if not self._has_room():
                    break
                items.append(self._of(item, depth + 1))
            return items
        return self._leaf(plain(value, depth=depth))

    def _has_room(self) -> bool:
        self.is_whole = self.is_whole and self._left >= 0
        return self._left >= 0

    def _leaf(self, leaf: Any) -> Any:
        text = leaf if isinstance(leaf, str) else ""
        shown = text[: max(self._left, 0) + 1]
        self.is_whole = self.is_whole and len(shown) == len(text)
        self._left -= len(shown) + 1
        return shown if isinstance(leaf, str) else leaf


_LEAVES = frozenset({str, int, float, bool, type(None)})
_NODES = frozenset({dict, list})


def _is_plain(value: Any) -> bool:
    """Whether `plain` would change nothing, strict as it may be: told in a fraction of the time."""
    level: list[Any] = [[value]]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for each in level:
            items: Any = each
            if isinstance(each, dict):
                fields = cast("dict[Any, Any]", each)
                items = fields.values()
                if "__bytes_encoded__" in fields or not set(map(type, fields)) <= {str}:
                    return False
            kinds: set[type] = set(map(type, items))
            if not kinds <= _LEAVES:
                if not kinds <= _LEAVES | _NODES:
                    return False
                inner += [item for item in items if type(item) in _NODES]
        level = inner
        if not level:
            break
    else:
        return False  # nested too deep
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):  # NaN, an infinity, a lone surrogate
        return False
    return True


def binary_of(value: Any) -> bytes | None:
    """The bytes that a value is, plain or as Strands encodes them in JSON; None for anything else."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    encoded = mapping(value)
    if encoded.get("__bytes_encoded__") is True and isinstance(encoded.get("data"), str):
        with suppress(ValueError):  # binascii.Error is one
            return base64.b64decode(encoded["data"])
    return None
