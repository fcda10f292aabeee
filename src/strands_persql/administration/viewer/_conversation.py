"""One agent's conversation as the page shows it: messages, tool calls with their results, and the window's edges."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from ...database.encoding import mapping
from ..results import TranscriptMessage
from ._blocks import Guarded, Result, Text, blocks_of, result_of, tool_results, tool_use_ids
from ._text import Clip, Moment, Shown, clip_json, count, duration, moment

_FAR = 8
"""How many user messages after a call are searched for its results; as a rule the first one holds them."""
_SAME_MOMENT = 0.002
"""Seconds: Strands takes a new message's `created_at` and `updated_at` one after the other."""


@dataclass(frozen=True, slots=True)
class Entry(Shown):
    """A message.

    Attributes:
        anchor: Its name in the page.
        role: `"user"` or `"assistant"`, or what else is stored.
        message_id: Its position in the transcript; None for one that stands in the window alone.
        blocks: Its content.
        at: When it was stored first.
        changed: When it was written again, if it was.
        live: Whether the model sees it.
        inline: Whether it stands in the live window and in no transcript, as a summary does.
        redacted: Whether a guardrail has replaced some of it.
        erased: Whether it was erased.
        pinned: Whether the conversation manager keeps it.
        facts: Tokens and latency, in words.
        custom: Further metadata, where it has any.
    """

    anchor: str
    role: str
    message_id: int | None
    blocks: tuple[Shown, ...]
    at: Moment | None
    changed: Moment | None
    live: bool
    inline: bool
    redacted: bool
    erased: bool
    pinned: bool
    facts: tuple[str, ...]
    custom: Clip | None


@dataclass(frozen=True, slots=True)
class Seen(Shown):
    """What the model sees now of a message, where that is something else than what was said."""

    message_id: int | None
    blocks: tuple[Shown, ...]
    live: bool
    at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Edge(Shown):
    """Where the model's window begins or ends; `live` is whether the model sees what follows."""

    live: bool


@dataclass(frozen=True, slots=True)
class Day(Shown):
    """Where another day begins."""

    day: str
    iso: str


def with_inline(
    transcript: Iterable[TranscriptMessage], window: Iterable[TranscriptMessage]
) -> Iterator[TranscriptMessage]:
    """The transcript, with the messages that only the live window has at their places.

    Such a message, as a rule a summary, comes before the message that follows it in the window.
    """
    before: dict[int, list[TranscriptMessage]] = {}
    waiting: list[TranscriptMessage] = []
    for message in window:
        if message.message_id is None:
            waiting.append(message)
        elif waiting:
            before.setdefault(message.message_id, []).extend(waiting)
            waiting = []
    for message in transcript:
        if message.message_id is not None:
            yield from before.pop(message.message_id, ())
        yield message
    for left in before.values():  # those before a message that the transcript has lost
        yield from left
    yield from waiting


def conversation(messages: Iterable[TranscriptMessage], name: str, *, stored: bool = True) -> Iterator[Shown]:
    """Messages as the page shows them: tool results with their calls, the window's edges and new days between them.

    Reads no further ahead than the user messages that follow a call.

    Args:
        messages: In their order.
        name: Begins each anchor: unique in the page.
        stored: Whether they are those of an agent, not what a Graph or Swarm keeps of a node.
    """
    live, day = True, ""
    for item in _entries(messages, name):
        if item.live != live:
            live = item.live
            yield Edge(live)
        if item.at and item.at.iso and item.at.day != day:
            day = item.at.day
            yield Day(day, item.at.iso[:10])
        yield item if stored or isinstance(item, Seen) else replace(item, inline=False)


class _Ahead:
    """Messages read ahead of the one that is shown, each with the results in it that are shown with their calls."""

    def __init__(self, messages: Iterable[TranscriptMessage]) -> None:
        self._source = iter(messages)
        self._read: deque[tuple[TranscriptMessage, set[str]]] = deque()

    def at(self, position: int) -> tuple[TranscriptMessage, set[str]] | None:
        """The message so many places ahead, where there is one."""
        if position == len(self._read):
            message = next(self._source, None)
            if message is None:
                return None
            self._read.append((message, set()))
        return self._read[position]

    def take(self) -> tuple[TranscriptMessage, set[str]] | None:
        """The next message, which is then no longer ahead."""
        return self._read.popleft() if self.at(0) else None


def _entries(messages: Iterable[TranscriptMessage], name: str) -> Iterator[Entry | Seen]:
    ahead = _Ahead(messages)
    while taken := ahead.take():
        message, shown_elsewhere = taken
        content = message.message.get("content")
        results: dict[str, Result] = {}
        wanted = set(tool_use_ids(content))
        position = 0
        while wanted and position < _FAR and (following := ahead.at(position)):
            found = _results(following[0], name, wanted)
            if following[0].message.get("role") == "assistant" and not found:
                break
            results.update(found)
            wanted -= set(found)
            following[1].update(found)
            position += 1
        blocks = blocks_of(content, results=results, shown_elsewhere=shown_elsewhere)
        if blocks or not shown_elsewhere:
            yield _entry(message, blocks, name)
        if message.seen is not None:
            yield Seen(message.message_id, blocks_of(message.seen.get("content")), message.live)


def _results(message: TranscriptMessage, name: str, wanted: set[str]) -> dict[str, Result]:
    content = message.message.get("content")
    held = tool_results(content)
    chosen = {tool_use_id: result for tool_use_id, result in held if tool_use_id in wanted}
    # A message of these results alone is not shown by itself: its anchor goes to the first of them.
    alone = len(chosen) == len(cast("list[Any]", content)) if chosen else False
    shown: dict[str, Result] = {}
    for tool_use_id, result in chosen.items():
        anchor = _anchor(message, name) if alone and not shown else ""
        at = moment(message.created_at)
        shown[tool_use_id] = result_of(result, message_id=message.message_id, anchor=anchor, at=at, live=message.live)
    return shown


def _anchor(message: TranscriptMessage, name: str) -> str:
    return f"{name}-{message.message_id}" if message.message_id is not None else ""


def _entry(message: TranscriptMessage, blocks: tuple[Shown, ...], name: str) -> Entry:
    marks = {block.mark for block in blocks if isinstance(block, (Text, Guarded))}
    metadata = mapping(message.message.get("metadata"))
    custom = dict(mapping(metadata.get("custom")))
    pinned = custom.pop("pinned", False) is True
    return Entry(
        anchor=_anchor(message, name),
        role=str(message.message.get("role", "")),
        message_id=message.message_id,
        blocks=blocks,
        at=moment(message.created_at),
        changed=_changed(message),
        live=message.live,
        inline=message.message_id is None,
        redacted="redacted" in marks,
        erased="erased" in marks,
        pinned=pinned,
        facts=_facts(metadata),
        custom=clip_json(custom) if custom else None,
    )


def _changed(message: TranscriptMessage) -> Moment | None:
    """When a message was written again, if it was."""
    created, updated = moment(message.created_at), moment(message.updated_at)
    if created and updated and created.iso and updated.iso and updated.stamp - created.stamp > _SAME_MOMENT:
        return updated
    return None


def _facts(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    usage, metrics = mapping(metadata.get("usage")), mapping(metadata.get("metrics"))
    tokens = (
        ("inputTokens", "in"),
        ("outputTokens", "out"),
        ("cacheReadInputTokens", "from cache"),
        ("cacheWriteInputTokens", "to cache"),
    )
    facts = [f"{count(usage[key])} {word}" for key, word in tokens if _is_number(usage.get(key))]
    if facts:
        facts[0] = facts[0].replace(" ", " tokens ", 1)
    if _is_number(metrics.get("latencyMs")):
        facts.append(duration(metrics["latencyMs"]))
    if _is_number(metrics.get("timeToFirstByteMs")):
        facts.append(f"first byte after {duration(metrics['timeToFirstByteMs'])}")
    return tuple(facts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and value > 0
