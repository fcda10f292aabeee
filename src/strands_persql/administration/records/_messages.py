"""A message, and a page of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..notebooks import messages
from ._json import Record
from ._parts import MessagePart


@dataclass(frozen=True, slots=True)
class TokenUsage(Record):
    """What a model's answer took, as far as the message's metadata tell; 0 where nothing does.

    Attributes:
        input_tokens: Tokens sent to the model.
        output_tokens: Tokens it answered with.
        total_tokens: Both together, as the provider counts them.
        cache_read_tokens: Of the input, those read from the provider's cache.
        cache_write_tokens: Of the input, those written to it.
        latency_ms: Milliseconds that the answer took.
        time_to_first_byte_ms: Milliseconds until it began.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    latency_ms: float = 0
    time_to_first_byte_ms: float = 0


@dataclass(frozen=True, slots=True)
class LiveVersion(Record):
    """A message as the model sees it now, where that is something else than what was said.

    Attributes:
        text: Its text, as of a `MessageRecord`.
        parts: Its content; a tool's result in it stands by itself, not with its call.
    """

    text: str
    parts: tuple[MessagePart, ...]


@dataclass(frozen=True, slots=True)
class MessageRecord(Record):
    """A message.

    Attributes:
        id: Names the message within its agent, and serves as `before=`: its position in the transcript, `"12"`, which
            never changes. A message that stands in the live window alone, such as a summary, is named after the
            position that it precedes, `"12.0"`, for as long as the window stays as it is.
        agent_id: Whose.
        message_id: Its position in the transcript, counted from 0; None for one that stands in the live window alone.
        role: `"user"` or `"assistant"`, or what else is stored; `"tool"` for a user's message that consists of tool
            results alone. Those stand with their calls; its own parts are the ones whose call is not there, as a rule
            none. A page of a chat leaves out records without parts.
        created_at: When it was stored first: ISO 8601, UTC; empty where nothing tells.
        updated_at: When it was written last.
        text: The text of its parts, a line for each: text, guarded text, and text with citations.
        parts: What was said, block by block.
        redacted: Whether a guardrail has replaced some of it.
        erased: Whether some of it was erased.
        edited: Whether the model sees something else of it now, since it was truncated, offloaded or edited.
        in_window: Whether the model sees it.
        taken_back: Whether the history was set back to before it (`rewind`); it then is not in the window.
        pinned: Whether the conversation manager keeps it.
        live: What the model sees now, where that is something else.
        usage: What a model's answer took; None where its metadata don't tell.
        metadata: The message's own further metadata (Strands' `custom`).
    """

    id: str
    agent_id: str
    message_id: int | None
    role: str
    created_at: str
    updated_at: str
    text: str
    parts: tuple[MessagePart, ...]
    redacted: bool
    erased: bool
    edited: bool
    in_window: bool
    taken_back: bool
    pinned: bool
    live: LiveVersion | None
    usage: TokenUsage | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConversationPage(Record):
    """A page of an agent's messages.

    Attributes:
        messages: In the order in which they were said, the newest last.
        before: What to pass as `before=` for the page of older messages; None where there are none.
    """

    messages: tuple[MessageRecord, ...]
    before: str | None

    def _repr_html_(self) -> str:
        return messages((each.message_id, each.role, each.text or _kinds(each.parts)) for each in self.messages)


def _kinds(parts: tuple[MessagePart, ...]) -> str:
    return ", ".join(part.type for part in parts)
