"""Values as JSON has them: what every reader of it takes, whatever a message holds."""

from __future__ import annotations

import base64
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
    return plain(value, strict=True)


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


def binary_of(value: Any) -> bytes | None:
    """The bytes that a value is, plain or as Strands encodes them in JSON; None for anything else."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    encoded = mapping(value)
    if encoded.get("__bytes_encoded__") is True and isinstance(encoded.get("data"), str):
        with suppress(ValueError):  # binascii.Error is one
            return base64.b64decode(encoded["data"])
    return None
