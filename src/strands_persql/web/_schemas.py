"""JSON Schemas of results, made of the dataclasses that they are: their fields, types and docstrings."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ._answers import HIDDEN

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


class Schemas:
    """The schemas of some dataclasses, and of those that they consist of.

    Attributes:
        found: They, by the names of the classes.
    """

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; of a dataclass a reference to it."""
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(each) for each in arguments]}
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is Mapping:
            return {"type": "object", "additionalProperties": self.of(arguments[1]) or True}
        if not isinstance(kind, type) or not is_dataclass(kind):
            raise TypeError(f"{kind} has no schema")
        name = kind.__name__
        if name not in self.found:
            self.found[name] = {}  # it may hold itself
            self.found[name] = self._object(kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: Any) -> dict[str, Any]:
        hints = get_type_hints(kind)
        said, attributes = _described(kind)
        properties: dict[str, Any] = {}
        own = getattr(kind, "type", None)
        if isinstance(own, str):  # a ClassVar that tells kinds of parts apart
            properties["type"] = {"const": own}
        for each in fields(kind):
            if (kind, each.name) in HIDDEN or not each.metadata.get("json", True):
                continue
            schema = self.of(hints[each.name])
            if each.name in attributes:
                schema = {**schema, "description": attributes[each.name]}
            properties[each.name] = schema
        return {"type": "object", "description": said, "required": list(properties), "properties": properties}


def _described(kind: type) -> tuple[str, dict[str, str]]:
    """What a class's docstring says of it, and of each attribute; without the marks of code."""
    text = inspect.cleandoc(kind.__doc__ or "")
    said, _, rest = text.partition("\nAttributes:\n")
    attributes = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", rest, re.MULTILINE)
    return _one_line(said.partition("\n\n")[0]), {name: _one_line(about) for name, about in attributes}


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "").split())
