"""The content blocks of a message as parts: a block of Strands goes in, a part comes out.

It knows every kind of block that Strands has had since 1.42 (`strands.types.content`, `.tools`, `.media`, `.citations`,
`.interrupt`). A block of any other kind, from a later release or of a user's own, is JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from ...database.encoding import mapping
from ..blanking import ERASED
from ._json import binary_of, plain
from ._media import MediaLink, mime_type_of
from ._parts import (
    CachePointPart,
    CitationPart,
    CitationSource,
    GuardedPart,
    InterruptResponsePart,
    JsonPart,
    Mark,
    MediaPart,
    MessagePart,
    OtherPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResult,
    ToolResultPart,
)

# Strands' guardrails replace a text by "[User input redacted.]"; people configure notes of a similar form.
_REDACTED = re.compile(r"\s*[\[(<*]+[^\])>]*\bredacted\b[^\])>]*[\])>*]+\s*", re.IGNORECASE)


class Where(NamedTuple):
    """Where a block stands.

    Attributes:
        link: Makes the address of bytes.
        record_id: The record of its message.
        message_id: That message's position.
        created_at: When that was stored.
        in_window: Whether the model sees it.
        place: The number of the block in it.
    """

    link: MediaLink
    record_id: str = ""
    message_id: int | None = None
    created_at: str = ""
    in_window: bool = True
    place: str = ""

    def at(self, number: int) -> Where:
        """The same of one of its blocks."""
        return self._replace(place=f"{self.place}{number}")


def parts_of(
    content: Any,
    where: Where,
    *,
    results: Mapping[str, ToolResult] | None = None,
    shown_elsewhere: Set[str] = frozenset(),
) -> tuple[MessagePart, ...]:
    """A message's content, part by part.

    Args:
        content: The `content` of a Strands message or tool result.
        where: Where it stands.
        results: Results of the tools called here, by tool use id: each goes with its first call.
        shown_elsewhere: The places of results in this content that stand with their calls already.
    """
    if isinstance(content, str):
        return (_text(content, where),)
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)):
        return () if content is None else (OtherPart("content", content),)
    left = dict(results or {})
    found: list[MessagePart] = []
    for number, block in enumerate(cast("Sequence[Any]", content)):
        found.extend(_block(block, where.at(number), left, shown_elsewhere))
    return tuple(found)


def text_of(parts: Iterable[MessagePart]) -> str:
    """The text of parts, a line for each."""
    return "\n".join(part.text for part in parts if isinstance(part, (TextPart, GuardedPart, CitationPart)))


def marks_of(parts: Iterable[MessagePart]) -> set[Mark]:
    """The marks that parts have, those of tool results that stand by themselves among them."""
    marked = (part.result if isinstance(part, ToolResultPart) else part for part in parts)
    return {part.mark for part in marked if isinstance(part, (TextPart, GuardedPart, ToolResult))}


def media_in(parts: Iterable[MessagePart]) -> list[MediaPart]:
    """The images, documents, videos and sounds among parts, and in the tool results that stand by themselves there."""
    found: list[MediaPart] = []
    for part in parts:
        if isinstance(part, MediaPart):
            found.append(part)
        elif isinstance(part, ToolResultPart):
            found.extend(media_in(part.result.parts))
    return found


def tool_use_ids(content: Any) -> list[str]:
    """The ids of the tool calls in a message's content that are shown as calls."""
    uses = (use for _, use in _each(content, "toolUse"))
    return [str(use["toolUseId"]) for use in uses if use.get("toolUseId") and isinstance(use.get("name"), str)]


def tool_results(content: Any) -> list[tuple[str, int, Mapping[str, Any]]]:
    """The tool results in a message's content: tool use id, number of the block, result."""
    return [(str(result.get("toolUseId", "")), number, result) for number, result in _each(content, "toolResult")]


def result_of(result: Mapping[str, Any], where: Where, *, alone: bool = False) -> ToolResult:
    """A tool's result; `alone` as of a `ToolResult`."""
    parts = parts_of(result.get("content"), where._replace(place=f"{where.place}."))
    marks: list[Mark] = [part.mark for part in parts if isinstance(part, TextPart) and part.mark]
    return ToolResult(
        status=str(result.get("status") or "success"),
        text=text_of(parts),
        parts=parts,
        mark=marks[0] if marks else "",
        id=where.record_id,
        message_id=where.message_id,
        created_at=where.created_at,
        in_window=where.in_window,
        place=where.place,
        alone=alone,
    )


def _mark_of(text: str) -> Mark:
    if text == ERASED:
        return "erased"
    return "redacted" if len(text) < 200 and _REDACTED.fullmatch(text) else ""


def _each(content: Any, key: str) -> list[tuple[int, Mapping[str, Any]]]:
    if not isinstance(content, Sequence) or isinstance(content, (str, bytes, bytearray)):
        return []
    values = enumerate(mapping(block).get(key) for block in cast("Sequence[Any]", content))
    return [(number, cast("Mapping[str, Any]", value)) for number, value in values if isinstance(value, Mapping)]


def _block(block: Any, where: Where, results: dict[str, ToolResult], shown_elsewhere: Set[str]) -> list[MessagePart]:
    if not isinstance(block, Mapping):
        return [OtherPart("block", block)]
    found: list[MessagePart] = []
    rest: dict[str, Any] = {}
    for key, value in cast("Mapping[str, Any]", block).items():
        if key == "toolResult" and where.place in shown_elsewhere:
            continue
        try:
            part = KINDS[key](value, where)
            if isinstance(part, ToolCallPart):
                part = replace(part, result=results.pop(part.tool_use_id, None))
            found.append(part)
        except (AttributeError, KeyError, TypeError, ValueError):  # unknown, or not the shape that Strands declares
            rest[key] = value
    if rest or not block:
        found.append(OtherPart(", ".join(map(str, rest)) or "empty block", rest))
    return found


def _text(value: Any, _: Where) -> TextPart:
    return TextPart(_string(value), _mark_of(value))


def _reasoning(value: Mapping[str, Any], _: Where) -> ReasoningPart:
    encrypted = value.get("redactedContent")
    told = value.get("reasoningText")
    if told is None and encrypted is None:
        raise ValueError("neither text nor encrypted")
    text = _string(told.get("text", "")) if told is not None else None
    length = _length(encrypted) if encrypted is not None else 0
    return ReasoningPart(text, length, bool(told and told.get("signature")))


def _tool_use(value: Mapping[str, Any], _: Where) -> ToolCallPart:
    return ToolCallPart(_string(value["name"]), _id_of(value), value.get("input"))


def _id_of(value: Any) -> str:
    return str(mapping(value).get("toolUseId", ""))


def _media(
    value: Mapping[str, Any], where: Where, *, kind: Literal["image", "document", "video", "audio"]
) -> MediaPart:
    source: Mapping[str, Any] = value["source"]
    raw = source.get("bytes")
    data = binary_of(raw)
    format_name = str(value.get("format") or "")
    locations = (source.get("location"), source.get("s3Location"))
    text = _document_text(source)
    part = MediaPart(
        kind,
        where.place,
        format_name,
        str(value.get("name") or ""),
        mime_type_of(kind, format_name.lower(), data),
        _length(raw) if raw is not None else len(text.encode("utf-8", "replace")) if text else None,
        location=next((_location(each) for each in locations if isinstance(each, Mapping)), ""),
        text=text,
        context=str(value.get("context") or ""),
        data=data,
    )
    return part if data is None else replace(part, url=where.link(where.record_id, part))


def _document_text(source: Mapping[str, Any]) -> str:
    """A document's source may be its text, or blocks of text."""
    if isinstance(source.get("text"), str):
        return str(source["text"])
    content = source.get("content")
    if isinstance(content, list):
        return "\n".join(str(mapping(block).get("text", "")) for block in cast("list[Any]", content))
    return ""


def _location(location: Any) -> str:
    return str(location.get("uri") or _pairs(location))


def _pairs(location: Mapping[str, Any]) -> str:
    """A place that is described in another way: `searchResultIndex=1, start=0`."""
    return ", ".join(f"{key}={json.dumps(plain(item), ensure_ascii=False)}" for key, item in location.items())


def _guarded(value: Mapping[str, Any], _: Where) -> GuardedPart:
    text = _string(value["text"]["text"])
    return GuardedPart(text, tuple(map(str, value["text"].get("qualifiers") or ())), _mark_of(text))


def _cited(value: Mapping[str, Any], _: Where) -> CitationPart:
    text = "".join(_string(each["text"]) for each in value.get("content") or ())
    return CitationPart(text, tuple(_source(each) for each in value.get("citations") or ()))


def _source(citation: Mapping[str, Any]) -> CitationSource:
    quotes = tuple(_string(each["text"]) for each in citation.get("sourceContent") or ())
    return CitationSource(str(citation.get("title") or ""), _cited_place(citation.get("location") or {}), quotes)


_UNITS = {"documentChar": "characters", "documentPage": "pages", "documentChunk": "chunks"}


def _cited_place(location: Mapping[str, Any]) -> str:
    """Where a citation points, in words: `"pages 3 to 4 of document 1"`."""
    for key, raw in location.items():
        # Early releases had {"documentPage": {…}}, as now; some providers give {"type": "documentPage", …} flat.
        where = cast("Mapping[str, Any]", raw) if isinstance(raw, Mapping) else location
        named = key if isinstance(raw, Mapping) else str(location.get("type", ""))
        if where.get("url"):
            return str(where["url"])
        if named in _UNITS and "start" in where:
            of = f" of document {where['documentIndex'] + 1}" if isinstance(where.get("documentIndex"), int) else ""
            return f"{_UNITS[named]} {where['start']} to {where.get('end', '…')}{of}"
        return _pairs(where)
    return ""


def _cache_point(value: Mapping[str, Any], _: Where) -> CachePointPart:
    return CachePointPart(str(value.get("type", "default")), str(value.get("ttl") or ""))


def _length(data: Any) -> int:
    found = binary_of(data)
    return len(str(data) if found is None else found)


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("no text")


KINDS: Mapping[str, Callable[[Any, Where], MessagePart]] = {
    "text": _text,
    "reasoningContent": _reasoning,
    "toolUse": _tool_use,
    "toolResult": lambda value, where: ToolResultPart(_id_of(value), result_of(value, where)),
    "image": partial(_media, kind="image"),
    "document": partial(_media, kind="document"),
    "video": partial(_media, kind="video"),
    "audio": partial(_media, kind="audio"),
    "guardContent": _guarded,
    "citationsContent": _cited,
    "cachePoint": _cache_point,
    "interruptResponse": lambda value, _: InterruptResponsePart(str(value["interruptId"]), value["response"]),
    "json": lambda value, _: JsonPart(value),
}
"""What makes a part of each kind of block that Strands declares."""
