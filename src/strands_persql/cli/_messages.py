"""A message's blocks as text for a terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..administration.values import sequence
from ..database.encoding import mapping
from ._output import size

SHORT_LINES, SHORT_CHARACTERS = 8, 800
"""How much of a tool's input or result is shown, unless all of it is asked for."""


def message_text(message: Mapping[str, Any], *, full: bool) -> Iterator[tuple[str, str]]:
    """The blocks of a message, each with its style."""
    blocks = sequence(message.get("content"))
    if not blocks:
        yield "(no content)", "italic"
    for block in blocks:
        for kind, value in mapping(block).items():
            if kind != "cachePoint":
                text, style = _shown(kind, value)
                yield text if full or kind == "text" else _cut(text), style


def _shown(kind: str, value: Any) -> tuple[str, str]:
    fields = mapping(value)
    if kind == "text":
        return str(value), ""
    if kind == "toolUse" and fields:
        return f"→ {fields.get('name')} {_json(fields.get('input'))}", "yellow"
    if kind == "toolResult" and fields:
        failed = fields.get("status") == "error"
        return f"← {'error ' if failed else ''}{_result(fields.get('content'))}", "red" if failed else "yellow"
    if kind == "reasoningContent" and fields:
        told = mapping(fields.get("reasoningText"))
        return f"(thinks) {told.get('text') if told else '(withheld)'}", "italic"
    return f"[{_media(kind, fields)}]", "magenta"


def _result(content: Any) -> str:
    if not isinstance(content, list):
        return _json(content)
    parts: list[str] = []
    for block in sequence(content):
        if not isinstance(block, dict):
            parts.append(_json(block))
        for kind, value in mapping(block).items():
            parts.append(_json(value) if kind == "json" else _shown(kind, value)[0])
    return "\n".join(parts)


def _media(kind: str, media: Mapping[str, Any]) -> str:
    words = [kind, str(media.get("format", "")), str(media.get("name", ""))]
    data = mapping(media.get("source")).get("bytes")
    if isinstance(data, bytes):
        words.append(size(len(data)))
    return " ".join(word for word in words if word)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda other: f"<{type(other).__name__}>")


def _cut(text: str) -> str:
    lines = text.splitlines()
    short = "\n".join(lines[:SHORT_LINES])[:SHORT_CHARACTERS]
    left = len(text) - len(short)
    return short if left <= 0 else f"{short} … ({left} characters more: --full)"
