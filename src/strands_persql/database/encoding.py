"""JSON documents: encode, decode, copy, and lay them out in rows. Pure: no I/O, no agent.

Bytes are written as Strands writes them (`strands.types.session.encode_bytes_values`), so that rows can be read by
Strands' own classes. NaN and the infinities are kept as Python's `json` keeps them.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii
from typing import Any, TypeAlias, TypeGuard, cast
from uuid import uuid4

from ..errors import SessionDataError

Message: TypeAlias = dict[str, Any]
"""A Strands message: `{"role": …, "content": […], "tracking_id": …}`."""

PART_BYTES = 740_000
"""The most bytes of UTF-8 that one stored value holds, before it is sealed; a longer document is stored in parts.

The service's limit is 2 MB a row and value (Cloudflare Durable Objects, "Limits"), keys included; a message's row holds
two values, and a sealed one takes 4/3 of that and some 200 bytes."""

_LIVE = ',"live":true'
"""What tells the document of a message as the model sees it now from that of one as it was said."""

REDACTED = "redacted"
"""The field, true, of the document of a message that a redaction has overwritten."""
_REDACTED = f',"{REDACTED}":true'

PARTS_MARKER = '{"persql_parts":'
"""How the `data` of a row begins whose document is stored in parts."""

SEALED = '{"persql_sealed":'
"""How a document begins that is stored encrypted; see `sealing`."""

LARGEST_NUMBER = 2**53 - 2**30
"""Revisions and positions are below it: numbers are JavaScript's on the way, exact to 2^53, and go up from there."""

_FIELDS = frozenset({
    "message", "role", "content", "text", "json", "image", "document", "video", "audio", "source", "bytes",
    "format", "name", "toolUse", "toolResult", "toolUseId", "input", "status", "reasoningContent", "reasoningText",
    "redactedContent", "signature", "guardContent", "citationsContent", "citations", "cachePoint", "metadata",
    "tracking_id", "state", "messages", "redact_message", "conversation_manager_state", "_internal_state",
    "interrupt_state", "model_state", "interrupts", "context", "activated", "session_id", "agent_id", "created_at",
    "updated_at", "type", "id", "completed_nodes", "failed_nodes", "node_results", "next_nodes_to_execute",
    "current_task", "execution_order", "results", "result", "execution_time", "accumulated_usage",
    "accumulated_metrics", "node_history", "shared_context", "handoff_node",
})  # fmt: skip
"""The keys that an error names: fields of Strands' own. Any other may be content, and is told by its place."""

_BYTES_MARKER = "__bytes_encoded__"
LEAVES = frozenset({str, int, float, bool, type(None), bytes})
"""The types whose values a structural copy shares."""


def _encode_other(value: object) -> dict[str, object]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(cast("bytes", value))
        return {_BYTES_MARKER: True, "data": base64.b64encode(raw).decode()}
    raise TypeError(_type_name(value))


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_encode_other)
_ASCII = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_encode_other)


def encode(value: object, *, what: str) -> str:
    """Encode a value as compact JSON text that is valid UTF-8.

    Args:
        value: Anything made of dicts, lists, tuples, strings, numbers, booleans, None and bytes.
        what: What it is, for the error: "message 3 of agent 'default'".

    Raises:
        SessionDataError: The value holds something else; the error names its type and where it stands.
    """
    try:
        text = _COMPACT.encode(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
                text = _ASCII.encode(value)
        return text
    except (TypeError, ValueError, RecursionError):
        pass  # what it says may hold content, so the error leads to none
    place, kind = _offender(value)
    raise SessionDataError(
        f"{what} can't be stored: JSON has no {kind} (at {place or 'its root'}). Put a string, number, boolean, "
        f"list, dict, bytes or None there, for example str(value) or value.isoformat()."
    )


def quoted(text: str) -> str:
    """A string as JSON."""
    return encode_basestring_ascii(text)


def _offender(value: object) -> tuple[str, str]:
    """Where the first value that JSON can't hold stands, and its type."""
    for place, item, ancestors in _walk(value, "", ()):
        if isinstance(item, dict):
            for key in cast("dict[object, object]", item):
                if not (key is None or isinstance(key, (str, int, float, bool))):
                    return place, f"{_type_name(key)} as a key"
        elif not (item is None or isinstance(item, (str, int, float, list, tuple, bytes, bytearray, memoryview))):
            return place, _type_name(item)
        if id(cast("object", item)) in ancestors:
            return place, "value that contains itself"
        if len(ancestors) > 200:
            return place[:80] + "…", "nesting this deep"
    return "", _type_name(value)


def _type_name(value: object) -> str:
    """A type's name, if a module has it: one that was made at run time may be named by content."""
    kind = type(value)
    return kind.__name__ if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind else "such object"


def _walk(value: object, place: str, ancestors: tuple[int, ...]) -> Iterator[tuple[str, object, tuple[int, ...]]]:
    yield place, value, ancestors
    if id(value) in ancestors or len(ancestors) > 200:
        return
    within = (*ancestors, id(value))
    if isinstance(value, dict):
        for number, (key, item) in enumerate(cast("dict[object, object]", value).items()):
            name = f"{'.' if place else ''}{key}" if key in _FIELDS else f"[key {number}]"
            yield from _walk(item, f"{place}{name}", within)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _walk(item, f"{place}[{index}]", within)


def why(error: Exception) -> str:
    """What an error of Strands' says of a document, without anything of its values."""
    if isinstance(error, KeyError) and error.args and error.args[0] in _FIELDS:
        return f"it has no {error.args[0]}"
    return type(error).__name__


def decode(text: str) -> Any:
    """Decode what `encode` made, bytes included.

    Raises:
        ValueError: The text is no JSON.
    """
    value = json.loads(text)
    return _with_bytes(value) if _BYTES_MARKER in text else value


def decode_all(texts: Sequence[str]) -> list[Any] | None:
    """Decode many texts at once, which takes half as long; None where they have to be decoded one by one.

    That is so where one of them is no JSON by itself, or holds bytes.
    """
    text = ",".join(texts)
    if _BYTES_MARKER in text:
        return None
    try:
        values = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        return None
    return values if len(values) == len(texts) else None


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        document = cast("dict[str, Any]", value)
        if document.get(_BYTES_MARKER) is True and isinstance(document.get("data"), str):
            try:
                return base64.b64decode(document["data"], validate=True)
            except ValueError:  # somebody's own dict that only looks like encoded bytes
                pass
        return {key: _with_bytes(item) for key, item in document.items()}
    if isinstance(value, list):
        return [_with_bytes(item) for item in cast("list[Any]", value)]
    return value


def is_message(message: Any) -> TypeGuard[Message]:
    """Whether something decoded is a message: a role, and a list of content blocks."""
    if not isinstance(message, dict):
        return False
    parts = cast("dict[str, Any]", message)
    content = parts.get("content")
    if not (isinstance(parts.get("role"), str) and isinstance(content, list)):
        return False
    # A loop: a generator costs more than all the rest, and a restore asks this of each message.
    for block in cast("list[Any]", content):  # noqa: SIM110
        if not isinstance(block, dict):
            return False
    return True


def mapping(value: Any) -> dict[str, Any]:
    """Something decoded, if it is a JSON object; else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def is_strict(text: str) -> bool:
    """Whether SQLite's JSON functions can read an encoded text: NaN and the infinities are no JSON to them."""
    if "NaN" not in text and "Infinity" not in text:
        return True
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def copied(value: Any) -> Any:
    """A structural copy: containers are new, the strings, numbers and bytes in them are shared."""
    # A shallow copy, made in C, and then only what is itself a container: a history is copied at each restore.
    if isinstance(value, dict):
        document = cast("dict[Any, Any]", value).copy()
        for key, item in document.items():
            if type(item) not in LEAVES:
                document[key] = copied(item)
        return document
    if isinstance(value, list):
        return [item if type(item) in LEAVES else copied(item) for item in cast("list[Any]", value)]
    return value


def parts_of(text: str, size: int = PART_BYTES) -> list[str]:
    """Split a text into pieces of at most `size` bytes of UTF-8, between characters."""
    if len(text) * 4 <= size:
        return [text]
    raw = text.encode()
    parts: list[str] = []
    start = 0
    while start < len(raw):
        end = min(start + size, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        parts.append(raw[start:end].decode())
        start = end
    return parts or [""]


@dataclass(frozen=True, slots=True)
class Document:
    """How one document is laid out in rows.

    A short document stands in its row's `data`. One that is too long for a row, or that holds NaN or an infinity, which
    SQLite's JSON functions don't take, is stored in parts. Its row then holds a marker, which names the generation of
    these parts: the old parts stay readable until the row names the new ones.

    Attributes:
        data: What its row holds: the text itself, or the marker.
        parts: The parts; none of a short document.
        generation: Of the parts; each writing of a document has its own.
    """

    data: str
    parts: tuple[str, ...] = ()
    generation: str = ""

    @classmethod
    def of(cls, text: str, *, generation: str = "", created_at: str = "", size: int = PART_BYTES) -> Document:
        """Lay out a document's text.

        Args:
            text: The document.
            generation: Empty for a random one.
            created_at: The document's `created_at`: it stands in the marker too, where an update finds it.
            size: The most bytes in a row.
        """
        parts = parts_of(text, size)
        if len(parts) == 1 and is_strict(text):
            return cls(text)
        generation = generation or uuid4().hex
        marker: dict[str, object] = {"persql_parts": len(parts), "generation": generation}
        if created_at:
            marker["created_at"] = created_at
        return cls(json.dumps(marker, separators=(",", ":")), tuple(parts), generation)


def message_document(
    message: str, position: int, created_at: str, updated_at: str, *, live: bool = False, redacted: bool = False
) -> Document:
    """The document of a message's row, as Strands' `SessionMessage.to_dict` has it, laid out.

    Args:
        message: The message as JSON.
        position: Its `message_id`.
        created_at: When its row was first written.
        updated_at: When it was written last.
        live: It is the message as the model sees it now, and not as it was said: the document says so.
        redacted: A redaction has overwritten it: the document says so.
    """
    marks = f"{_LIVE if live else ''}{_REDACTED if redacted else ''}"
    text = (
        f'{{"message":{message},"message_id":{position},"redact_message":null,'
        f'"created_at":{quoted(created_at)},"updated_at":{quoted(updated_at)}{marks}}}'
    )
    return Document.of(text, created_at=created_at)


def now() -> str:
    """The time as Strands writes it into sessions: ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat()
