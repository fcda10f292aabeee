"""The content blocks of a message as the page shows them: a block of Strands goes in, a record comes out.

It knows every kind of block that Strands has had since 1.42 (`strands.types.content`, `.tools`, `.media`, `.citations`,
`.interrupt`). A block of any other kind, from a later release or of a user's own, is shown as JSON.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from ...database.encoding import mapping
from ..blanking import ERASED
from ._text import Clip, Moment, Shown, binary_of, clip, clip_json, clip_value, one_line, size

LARGEST_IMAGE = 5_000_000
"""Bytes of the largest image that the page holds. What models take is smaller."""

# Recognised by their first bytes, not by the format that the message names. SVG is a document, with links and styles.
_RASTERS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png", "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg", "JPEG"),
    (re.compile(rb"GIF8[79]a"), "image/gif", "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp", "WebP"),
)
# Strands' guardrails replace a text by "[User input redacted.]"; people configure notes of a similar form.
_REDACTED = re.compile(r"\s*[\[(<*]+[^\])>]*\bredacted\b[^\])>]*[\])>*]+\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text(Shown):
    """Text; `mark` is `"redacted"` or `"erased"` where the original was overwritten, else `""`."""

    text: Clip
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning(Shown):
    """The model's reasoning; `encrypted` is the size of what its provider has encrypted, in words."""

    text: Clip | None
    encrypted: str = ""
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A tool's result.

    Attributes:
        status: `"success"`, `"error"`, or what else is stored.
        blocks: Its content.
        mark: `"redacted"` or `"erased"` where it was overwritten, else `""`.
        message_id: The message that holds it, where that is not the one it is shown in.
        anchor: That message's name in the page, where the message has no place of its own.
        at: When that message was stored.
        live: Whether the model sees it.
    """

    status: str
    blocks: tuple[Shown, ...]
    mark: str = ""
    message_id: int | None = None
    anchor: str = ""
    at: Moment | None = None
    live: bool = True


@dataclass(frozen=True, slots=True)
class ToolCall(Shown):
    """A call of a tool, with its result where there is one."""

    name: str
    tool_use_id: str
    preview: str
    input: Clip
    result: Result | None


@dataclass(frozen=True, slots=True)
class ToolOutput(Shown):
    """A tool result without its call."""

    tool_use_id: str
    result: Result


@dataclass(frozen=True, slots=True)
class Image(Shown):
    """An image, as a `data:` URI."""

    uri: str
    type: str
    size: str


@dataclass(frozen=True, slots=True)
class Media(Shown):
    """A document, a video, a sound, or an image that can't be shown: named, not held."""

    what: str
    name: str
    facts: tuple[str, ...]
    context: Clip | None = None


@dataclass(frozen=True, slots=True)
class Guarded(Shown):
    """Text marked for a guardrail."""

    text: Clip
    qualifiers: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A source that a citation names."""

    title: str
    place: str
    quotes: tuple[Clip, ...]


@dataclass(frozen=True, slots=True)
class Cited(Shown):
    """Text with the sources it rests on."""

    text: Clip
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class CachePoint(Shown):
    """A mark up to which the provider caches the conversation."""

    facts: str


@dataclass(frozen=True, slots=True)
class Answer(Shown):
    """A person's answer to an interrupt."""

    interrupt_id: str
    response: Clip


@dataclass(frozen=True, slots=True)
class Json(Shown):
    """Anything else."""

    label: str
    json: Clip


def blocks_of(
    content: Any, *, results: Mapping[str, Result] | None = None, shown_elsewhere: Set[str] = frozenset()
) -> tuple[Shown, ...]:
    """A message's content as the page shows it.

    Args:
        content: The `content` of a Strands message or tool result.
        results: Results of the tools called here, by tool use id: each goes with its first call.
        shown_elsewhere: The tool use ids of results in this content that stand with their calls already.
    """
    if isinstance(content, str):
        return (_text(content),)
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)):
        return () if content is None else (Json("content", clip_json(content)),)
    left = dict(results or {})
    found: list[Shown] = []
    for block in cast("Sequence[Any]", content):
        found.extend(_block(block, left, shown_elsewhere))
    return tuple(found)


def tool_use_ids(content: Any) -> list[str]:
    """The ids of the tool calls in a message's content that are shown as calls."""
    uses = _each(content, "toolUse")
    return [str(use["toolUseId"]) for use in uses if use.get("toolUseId") and isinstance(use.get("name"), str)]


def tool_results(content: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The tool results in a message's content, by tool use id."""
    return [(str(result.get("toolUseId", "")), result) for result in _each(content, "toolResult")]


def _mark_of(text: str) -> str:
    """`"redacted"` or `"erased"` where the text is only the note that stands in place of the original; else `""`."""
    if text == ERASED:
        return "erased"
    return "redacted" if len(text) < 200 and _REDACTED.fullmatch(text) else ""


def result_of(result: Mapping[str, Any], **where: Any) -> Result:
    """A tool result as the page shows it; `where` has the fields about the message that holds it."""
    blocks = blocks_of(result.get("content"))
    mark = next((block.mark for block in blocks if isinstance(block, Text) and block.mark), "")
    return Result(str(result.get("status") or "success"), blocks, mark, **where)


def _each(content: Any, key: str) -> list[Mapping[str, Any]]:
    if not isinstance(content, Sequence) or isinstance(content, (str, bytes, bytearray)):
        return []
    values = (mapping(block).get(key) for block in cast("Sequence[Any]", content))
    return [cast("Mapping[str, Any]", value) for value in values if isinstance(value, Mapping)]


def _block(block: Any, results: dict[str, Result], shown_elsewhere: Set[str]) -> list[Shown]:
    if not isinstance(block, Mapping):
        return [Json("block", clip_json(block))]
    found: list[Shown] = []
    rest: dict[str, Any] = {}
    for key, value in cast("Mapping[str, Any]", block).items():
        if key == "toolResult" and _id_of(value) in shown_elsewhere:
            continue
        try:
            shown = _SHOWN[key](value)
            if isinstance(shown, ToolCall):
                shown = replace(shown, result=results.pop(shown.tool_use_id, None))
            found.append(shown)
        except (AttributeError, KeyError, TypeError, ValueError):  # unknown, or not the shape that Strands declares
            rest[key] = value
    if rest or not block:
        found.append(Json(", ".join(map(str, rest)) or "empty block", clip_json(rest)))
    return found


def _text(value: Any) -> Text:
    return Text(clip(_string(value)), _mark_of(value))


def _reasoning(value: Mapping[str, Any]) -> Reasoning:
    encrypted = value.get("redactedContent")
    told = value.get("reasoningText")
    if told is None and encrypted is None:
        raise ValueError("neither text nor encrypted")
    text = clip(_string(told.get("text", ""))) if told is not None else None
    length = _size_of(encrypted) if encrypted is not None else ""
    return Reasoning(text, length, bool(told and told.get("signature")))


def _tool_use(value: Mapping[str, Any]) -> ToolCall:
    given = value.get("input")
    return ToolCall(_string(value["name"]), _id_of(value), one_line(given), clip_json(given), None)


def _id_of(value: Any) -> str:
    return str(mapping(value).get("toolUseId", ""))


def _image(value: Mapping[str, Any]) -> Image | Media:
    data = binary_of(value["source"].get("bytes"))
    if data is not None and len(data) <= LARGEST_IMAGE:
        for begins, mime, name in _RASTERS:
            if begins.match(data):
                return Image(f"data:{mime};base64,{base64.b64encode(data).decode()}", name, size(len(data)))
    return _media(value, what="Image")


def _media(value: Mapping[str, Any], *, what: str) -> Media:
    source: Mapping[str, Any] = value["source"]
    data = source.get("bytes")
    facts = [str(value["format"]).upper()] if value.get("format") else []
    if data is not None:
        facts.append(_size_of(data))
    for location in (source.get("location"), source.get("s3Location")):
        if isinstance(location, Mapping):
            facts.append(str(cast("Mapping[str, Any]", location).get("uri") or one_line(location)))
    for key in ("text", "content"):  # a document's source may be its text, or blocks
        if source.get(key) is not None:
            facts.append(size(len(str(source[key]))))
    context = value.get("context")
    return Media(what, str(value.get("name") or ""), tuple(facts), clip(str(context)) if context else None)


def _guard(value: Mapping[str, Any]) -> Guarded:
    text = _string(value["text"]["text"])
    qualifiers = tuple(str(each).replace("_", " ") for each in value["text"].get("qualifiers") or ())
    return Guarded(clip(text), qualifiers, _mark_of(text))


def _cited(value: Mapping[str, Any]) -> Cited:
    text = "".join(_string(each["text"]) for each in value.get("content") or ())
    return Cited(clip(text), tuple(_source(each) for each in value.get("citations") or ()))


def _source(citation: Mapping[str, Any]) -> Source:
    quotes = tuple(clip(_string(each["text"])) for each in citation.get("sourceContent") or ())
    return Source(str(citation.get("title") or ""), _place(citation.get("location") or {}), quotes)


_UNITS = {"documentChar": "characters", "documentPage": "pages", "documentChunk": "chunks"}


def _place(location: Mapping[str, Any]) -> str:
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
        return one_line(where)
    return ""


def _cache_point(value: Mapping[str, Any]) -> CachePoint:
    kind, ttl = str(value.get("type", "default")), value.get("ttl")
    return CachePoint(", ".join(filter(None, ["" if kind == "default" else kind, f"kept {ttl}" if ttl else ""])))


def _answer(value: Mapping[str, Any]) -> Answer:
    return Answer(str(value["interruptId"]), clip_value(value["response"]))


def _size_of(data: Any) -> str:
    found = binary_of(data)
    return size(len(str(data) if found is None else found))


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("no text")


_SHOWN: Mapping[str, Callable[[Any], Shown]] = {
    "text": _text,
    "reasoningContent": _reasoning,
    "toolUse": _tool_use,
    "toolResult": lambda value: ToolOutput(_id_of(value), result_of(value)),
    "image": _image,
    "document": partial(_media, what="Document"),
    "video": partial(_media, what="Video"),
    "audio": partial(_media, what="Audio"),
    "guardContent": _guard,
    "citationsContent": _cited,
    "cachePoint": _cache_point,
    "interruptResponse": _answer,
    "json": lambda value: Json("", clip_json(value)),
}
