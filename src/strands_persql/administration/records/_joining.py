"""Messages in their order become records, each tool call with its result, whichever message holds that."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from ...database.encoding import mapping
from ..results import TranscriptMessage
from ._media import MediaLink
from ._messages import LiveVersion, MessageRecord, TokenUsage
from ._parts import ToolResult
from ._reading import Where, marks_of, parts_of, result_of, text_of, tool_results, tool_use_ids

FAR = 8
"""How many messages after a call are searched for its results; as a rule the first one holds them."""


class Said(NamedTuple):
    """A message that is to become a record.

    Attributes:
        id: The record's; empty where nobody asks for it by that.
        message: The message; None for one that was not read.
    """

    id: str
    message: TranscriptMessage | None

    @property
    def content(self) -> Any:
        """Its content blocks; none of one that was not read."""
        return None if self.message is None else self.message.message.get("content")


@dataclass(slots=True)
class _Coming:
    """A message read ahead, with the results in it that stand with their calls, by tool use id."""

    said: Said
    elsewhere: dict[str, ToolResult]


class _Ahead:
    """Messages read ahead of the one whose record is made."""

    def __init__(self, messages: Iterable[Said]) -> None:
        self._source = iter(messages)
        self._read: deque[_Coming] = deque()

    def at(self, place: int) -> _Coming | None:
        """The message so many places ahead, where there is one."""
        if place == len(self._read):
            said = next(self._source, None)
            if said is None:
                return None
            self._read.append(_Coming(said, {}))
        return self._read[place]

    def take(self) -> _Coming | None:
        """The next message, which is then no longer ahead."""
        return self._read.popleft() if self.at(0) else None


def records_of(messages: Iterable[Said], link: MediaLink, missed: set[str] | None = None) -> Iterator[MessageRecord]:
    """The records of an agent's messages, one for each that was read.

    A call's result is looked for in the messages that follow, as far as the next answer of the model without one of its
    results, and in no more than `FAR`: a record is the same whatever stands further away.

    Args:
        messages: In their order; read no further ahead than that.
        link: Makes the addresses of bytes.
        missed: Takes the ids of messages not read that a result was looked for in.
    """
    ahead = _Ahead(messages)
    while taken := ahead.take():
        message = taken.said.message
        if message is not None:
            results = _results_ahead(ahead, set(tool_use_ids(taken.said.content)), link, missed)
            yield _record(message, _where(taken.said, message, link), results, taken.elsewhere)


def _results_ahead(ahead: _Ahead, wanted: set[str], link: MediaLink, missed: set[str] | None) -> dict[str, ToolResult]:
    """The results of a message's calls."""
    results: dict[str, ToolResult] = {}
    place = 0
    while wanted and place < FAR and (coming := ahead.at(place)):
        message = coming.said.message
        if message is not None:
            found = _results(coming.said, message, wanted, link)
            if message.message.get("role") == "assistant" and not found:
                break
            results.update(found)
            wanted -= set(found)
            coming.elsewhere.update(found)
        elif missed is not None:
            missed.add(coming.said.id)
        place += 1
    return results


def _results(said: Said, message: TranscriptMessage, wanted: set[str], link: MediaLink) -> dict[str, ToolResult]:
    held = [each for each in tool_results(said.content) if each[0] in wanted]
    alone = bool(held) and len({tool_use_id for tool_use_id, _, _ in held}) == len(said.content)
    where = _where(said, message, link)
    return {
        tool_use_id: result_of(result, where._replace(place=str(number)), alone=alone)
        for tool_use_id, number, result in held
    }


def _where(said: Said, message: TranscriptMessage, link: MediaLink) -> Where:
    return Where(link, said.id, message.message_id, message.created_at, message.live)


def _record(
    message: TranscriptMessage, where: Where, results: Mapping[str, ToolResult], elsewhere: Mapping[str, ToolResult]
) -> MessageRecord:
    content = message.message.get("content")
    parts = parts_of(content, where, results=results, shown_elsewhere=elsewhere.keys())
    marks = marks_of(parts) | {result.mark for result in elsewhere.values()}
    metadata = mapping(message.message.get("metadata"))
    custom = dict(mapping(metadata.get("custom")))
    pinned = custom.pop("pinned", False) is True
    return MessageRecord(
        id=where.record_id,
        agent_id=message.agent_id,
        message_id=message.message_id,
        role="tool" if _is_of_tools(message) else str(message.message.get("role", "")),
        created_at=message.created_at,
        updated_at=message.updated_at,
        text=text_of(parts),
        parts=parts,
        redacted=message.redacted or "redacted" in marks,
        erased="erased" in marks,
        edited=message.seen is not None,
        in_window=message.live,
        pinned=pinned,
        live=None if message.seen is None else _live(message.seen, where),
        usage=_usage(metadata),
        metadata=custom,
    )


def _is_of_tools(message: TranscriptMessage) -> bool:
    """Whether a user's message consists of tool results alone."""
    content = message.message.get("content")
    if message.message.get("role") != "user" or not isinstance(content, list) or not content:
        return False
    return all(set(mapping(block)) == {"toolResult"} for block in cast("list[Any]", content))


def _live(seen: Mapping[str, Any], where: Where) -> LiveVersion:
    parts = parts_of(seen.get("content"), where._replace(place="live."))
    return LiveVersion(text_of(parts), parts)


_USAGE = {
    "input_tokens": ("usage", "inputTokens"),
    "output_tokens": ("usage", "outputTokens"),
    "total_tokens": ("usage", "totalTokens"),
    "cache_read_tokens": ("usage", "cacheReadInputTokens"),
    "cache_write_tokens": ("usage", "cacheWriteInputTokens"),
    "latency_ms": ("metrics", "latencyMs"),
    "time_to_first_byte_ms": ("metrics", "timeToFirstByteMs"),
}


def _usage(metadata: Mapping[str, Any]) -> TokenUsage | None:
    told: dict[str, Any] = {name: mapping(metadata.get(where)).get(key) for name, (where, key) in _USAGE.items()}
    numbers: dict[str, Any] = {name: value for name, value in told.items() if _is_number(value)}
    return TokenUsage(**numbers) if numbers else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
