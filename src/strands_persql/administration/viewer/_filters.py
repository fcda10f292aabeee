"""The records of messages in words, as the page's template puts them there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..records import CachePointPart, MediaPart, MessageRecord, TokenUsage
from ..values import many, size
from ._markdown import markdown_html
from ._text import Moment, clip, count, duration, json_text, moment, one_line, value_text, visible

_SAME_MOMENT = 0.002
"""Seconds: Strands takes a new message's `created_at` and `updated_at` one after the other."""


def changed(record: MessageRecord) -> Moment | None:
    """When a message was written again, if it was."""
    created, updated = moment(record.created_at), moment(record.updated_at)
    if created and updated and created.iso and updated.iso and updated.stamp - created.stamp > _SAME_MOMENT:
        return updated
    return None


def usage_facts(usage: TokenUsage | None) -> list[str]:
    """Tokens and latency of a model's answer."""
    if usage is None:
        return []
    tokens = (
        (usage.input_tokens, "in"),
        (usage.output_tokens, "out"),
        (usage.cache_read_tokens, "from cache"),
        (usage.cache_write_tokens, "to cache"),
    )
    facts = [f"{count(number)} {word}" for number, word in tokens if number]
    if facts:
        facts[0] = facts[0].replace(" ", " token " if facts[0].startswith("1 ") else " tokens ", 1)
    if usage.latency_ms:
        facts.append(duration(usage.latency_ms))
    if usage.time_to_first_byte_ms:
        facts.append(f"first byte after {duration(usage.time_to_first_byte_ms)}")
    return facts


def media_facts(part: MediaPart) -> list[str]:
    """What there is to say of bytes that the page doesn't hold."""
    return [
        *([part.format.upper()] if part.format else []),
        *([size(part.size)] if part.size is not None and not part.text else []),
        *([part.location] if part.location else []),
        *([size(part.size)] if part.size is not None and part.text else []),
    ]


def cache_facts(part: CachePointPart) -> str:
    """Of what kind a cache point is, if not of the usual one, and how long it is kept."""
    kind = "" if part.kind == "default" else part.kind
    return ", ".join(filter(None, [kind, f"kept {part.ttl}" if part.ttl else ""]))


def markdown(text: str) -> str:
    """What a model says, as HTML."""
    return markdown_html(visible(text))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "cache_facts": cache_facts,
    "changed": changed,
    "clip": clip,
    "json_text": json_text,
    "many": many,
    "markdown": markdown,
    "media_facts": media_facts,
    "moment": moment,
    "one_line": one_line,
    "size": size,
    "usage_facts": usage_facts,
    "value_text": value_text,
}
