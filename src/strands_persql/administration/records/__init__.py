"""A message as people see it: one model, for chat pages, the HTML viewer, and whoever reads it as JSON. Pure: no I/O.

`PerSQLSessions.messages` answers with a `ConversationPage` of `MessageRecord`s. Each has a form ready for `json.dumps`:
`record.to_json()`.
"""

from __future__ import annotations

from ._joining import FAR, Joined, Said, joined, records_of
from ._json import Head, plain
from ._media import MediaLink, inline, link_of
from ._messages import ConversationPage, LiveVersion, MessageRecord, TokenUsage
from ._parts import (
    CachePointPart,
    CitationPart,
    CitationSource,
    GuardedPart,
    InterruptResponsePart,
    JsonPart,
    MediaPart,
    MessagePart,
    OtherPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResult,
    ToolResultPart,
)
from ._reading import KINDS, Where, media_in, parts_of

__all__ = [
    "FAR",
    "KINDS",
    "CachePointPart",
    "CitationPart",
    "CitationSource",
    "ConversationPage",
    "GuardedPart",
    "Head",
    "InterruptResponsePart",
    "Joined",
    "JsonPart",
    "LiveVersion",
    "MediaLink",
    "MediaPart",
    "MessagePart",
    "MessageRecord",
    "OtherPart",
    "ReasoningPart",
    "Said",
    "TextPart",
    "TokenUsage",
    "ToolCallPart",
    "ToolResult",
    "ToolResultPart",
    "Where",
    "inline",
    "joined",
    "link_of",
    "media_in",
    "parts_of",
    "plain",
    "records_of",
]
