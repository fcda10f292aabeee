"""Messages in their order become records, each tool call with its result, whichever message holds that.

A result belongs to the nearest call of its id before it, no more than `FAR` positions away; of several results, the
first one does. Messages that the live window alone has are joined among themselves, as far as they stand side by side.
So a record never depends on the page it is read in, nor one of the transcript on the window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ...database.encoding import mapping
from ..results import TranscriptMessage
from ._media import MediaLink
from ._messages import LiveVersion, MessageRecord, TokenUsage
from ._parts import ToolResult
from ._reading import Where, marks_of, parts_of, result_of, text_of, tool_results, tool_use_ids

FAR = 8
"""How many positions after a call its results are looked for; as a rule the next message holds them."""


class Said(NamedTuple):
    """A message that is to become a record.

    Attributes:
        id: The record's; empty where nobody asks for it by that.
        position: Its position in the transcript; None where it stands in the live window alone.
        message: The message; None for one that was not read.
    """

    id: str
    position: int | None
    message: TranscriptMessage | None


@dataclass(slots=True, eq=False)
class Joined:
    """A message, with what others around it have to do with it.

    Attributes:
        said: The message.
        results: The results of its calls, by tool use id.
        elsewhere: Its own results that stand with their calls, by their place in it.
        unread: The positions of messages not read that may hold a call or a result of it.
        open: The ids of its calls whose result is yet to come.
    """

    said: Said
    results: dict[str, ToolResult] = field(default_factory=lambda: {})
    elsewhere: dict[str, ToolResult] = field(default_factory=lambda: {})
    unread: set[int] = field(default_factory=lambda: set())
    open: set[str] = field(default_factory=lambda: set())

    @property
    def content(self) -> Any:
        """Its content blocks; none of one that was not read."""
        return None if self.said.message is None else self.said.message.message.get("content")

    def where(self, link: MediaLink) -> Where:
        """Where its blocks stand."""
        message = cast("TranscriptMessage", self.said.message)
        return Where(link, self.said.id, message.message_id, message.created_at, message.live)

    def record(self, link: MediaLink) -> MessageRecord:
        """The record of a message that was read."""
        return _record(cast("TranscriptMessage", self.said.message), self, self.where(link))


class _Strand:
    """Messages that follow each other, and those of their calls that a result may still answer."""

    def __init__(self, link: MediaLink) -> None:
        self._link = link
        self._calls: dict[str, Joined] = {}
        self._unread: deque[int] = deque(maxlen=FAR)

    def take(self, each: Joined) -> None:
        """The next message: its results go to the calls before it, and its own calls wait for theirs."""
        position = each.said.position
        if position is not None:
            for tool_use_id, caller in list(self._calls.items()):
                if cast("int", caller.said.position) < position - FAR:
                    self._close(tool_use_id)
            if each.said.message is None:
                for caller in self._calls.values():
                    caller.unread.add(position)
                self._unread.append(position)
                return
        self._answer(each)
        for tool_use_id in tool_use_ids(each.content):
            self._close(tool_use_id)
            self._calls[tool_use_id] = each
            each.open.add(tool_use_id)

    def end(self) -> None:
        """No result of what came so far comes any more."""
        for tool_use_id in list(self._calls):
            self._close(tool_use_id)

    def _close(self, tool_use_id: str) -> Joined | None:
        caller = self._calls.pop(tool_use_id, None)
        if caller is not None:
            caller.open.discard(tool_use_id)
        return caller

    def _answer(self, each: Joined) -> None:
        found: dict[Joined, list[tuple[str, int, Mapping[str, Any]]]] = {}
        for held in tool_results(each.content):
            caller = self._close(held[0])
            position = each.said.position
            if position is not None:
                after = position - FAR - 1 if caller is None else cast("int", caller.said.position)
                each.unread.update(unread for unread in self._unread if unread > after)
            if caller is not None:
                found.setdefault(caller, []).append(held)
        for caller, answers in found.items():
            for tool_use_id, number, result in answers:
                where = each.where(self._link)._replace(place=str(number))
                joined_ = result_of(result, where, alone=len(answers) == len(each.content))
                caller.results[tool_use_id] = each.elsewhere[where.place] = joined_


def joined(messages: Iterable[Said], link: MediaLink) -> Iterator[Joined]:
    """The messages in their order, each when all that belongs to it has been found.

    Args:
        messages: In their order; read no further ahead than the results of a call may stand.
        link: Makes the addresses of bytes.
    """
    waiting: deque[Joined] = deque()
    transcript, window_alone = _Strand(link), _Strand(link)
    for said in messages:
        each = Joined(said)
        waiting.append(each)
        if said.position is None:
            window_alone.take(each)
        else:
            window_alone.end()
            transcript.take(each)
        while waiting and not waiting[0].open:
            yield waiting.popleft()
    yield from waiting


def records_of(messages: Iterable[Said], link: MediaLink) -> Iterator[MessageRecord]:
    """The records of an agent's messages, all of which were read; arguments as of `joined`."""
    return (each.record(link) for each in joined(messages, link))


def _record(message: TranscriptMessage, found: Joined, where: Where) -> MessageRecord:
    parts = parts_of(found.content, where, results=found.results, shown_elsewhere=found.elsewhere.keys())
    marks = marks_of(parts) | {result.mark for result in found.elsewhere.values()}
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
        taken_back=message.taken_back,
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
