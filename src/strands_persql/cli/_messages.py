"""A message's blocks as lines of text for a terminal. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ._output import size

__all__ = ["message_text"]

SHORT_LINES, SHORT_CHARACTERS = 8, 800
"""How much of a tool's input or result is shown, unless all of it is asked for."""


def message_text(message: Mapping[str, Any], *, full: bool) -> Iterator[tuple[str, str]]:
    """The blocks of a message, each with its style."""
    content = message.get("content")
    blocks = cast("list[Any]", content) if isinstance(content, list) else []
    if not blocks:
        yield "(no content)", "italic"
    for block in blocks:
        if isinstance(block, Mapping):
            yield from _block(cast("Mapping[str, Any]", block), full=full)


def _block(block: Mapping[str, Any], *, full: bool) -> Iterator[tuple[str, str]]:
    for kind, value in block.items():
        if kind == "text":
            yield str(value), ""
        elif kind == "toolUse" and isinstance(value, Mapping):
            use = cast("Mapping[str, Any]", value)
            yield _cut(f"→ {use.get('name')} {_json(use.get('input'))}", full), "yellow"
        elif kind == "toolResult" and isinstance(value, Mapping):
            result = cast("Mapping[str, Any]", value)
            status = "error " if result.get("status") == "error" else ""
            yield _cut(f"← {status}{_result(result.get('content'))}", full), "red" if status else "yellow"
        elif kind == "reasoningContent" and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value).get("reasoningText")
            words = cast("Mapping[str, Any]", inner).get("text") if isinstance(inner, Mapping) else "(withheld)"
            yield _cut(f"(thinks) {words}", full), "italic"
        elif kind == "cachePoint":
            continue
        else:
            yield f"[{_media(kind, value)}]", "magenta"


def _result(content: Any) -> str:
    if not isinstance(content, list):
        return _json(content)
    parts: list[str] = []
    for block in cast("list[Any]", content):
        if not isinstance(block, Mapping):
            parts.append(_json(block))
            continue
        for kind, value in cast("Mapping[str, Any]", block).items():
            parts.append(
                str(value) if kind == "text" else _json(value) if kind == "json" else f"[{_media(kind, value)}]"
            )
    return "\n".join(parts)


def _media(kind: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        return kind
    media = cast("Mapping[str, Any]", value)
    words = [kind, str(media.get("format", "")), str(media.get("name", ""))]
    source = media.get("source")
    data = cast("Mapping[str, Any]", source).get("bytes") if isinstance(source, Mapping) else None
    if isinstance(data, bytes):
        words.append(size(len(data)))
    return " ".join(word for word in words if word)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda other: f"<{type(other).__name__}>")


def _cut(text: str, full: bool) -> str:
    if full:
        return text
    lines = text.splitlines()
    short = "\n".join(lines[:SHORT_LINES])[:SHORT_CHARACTERS]
    left = len(text) - len(short)
    return short if left <= 0 else f"{short} … ({left} characters more: --full)"
