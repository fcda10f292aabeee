"""What a message consists of: a part for each content block that Strands has had since 1.42."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from ._json import NOT_JSON, Record

Mark: TypeAlias = Literal["", "redacted", "erased"]
"""Whether only a note stands in place of the original: of a guardrail, or of `PerSQLSessions.erase`."""


@dataclass(frozen=True, slots=True)
class TextPart(Record):
    """Text.

    Attributes:
        text: The text.
        mark: `"redacted"` or `"erased"` where it is only the note that stands in place of the original, else `""`.
    """

    type: ClassVar[Literal["text"]] = "text"
    text: str
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class ReasoningPart(Record):
    """The model's reasoning.

    Attributes:
        text: The text; None where the provider has encrypted it.
        encrypted: How many bytes the provider keeps encrypted.
        signed: Whether the provider has signed the text.
    """

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    text: str | None
    encrypted: int = 0
    signed: bool = False


@dataclass(frozen=True, slots=True)
class MediaPart(Record):
    """An image, a document, a video, or a sound.

    Attributes:
        type: Which of them.
        place: Where it stands in its message: the number of its block, `"2"`, or of one in a tool's result, `"0.1"`. In
            a live version `"live."` comes before it.
        format: As the message names it: `"png"`, `"pdf"` …
        name: A document's name.
        mime_type: Of an image what its first bytes tell, of others what the format tells; `"application/octet-stream"`
            where nothing does, and for what a browser would run.
        size: Its bytes; None where they are somewhere else.
        url: Where to get its bytes; empty where they are somewhere else, or it is text.
        location: Where they are: `"s3://…"`.
        text: The text of a document that is stored as such.
        context: What the document was given along with.
        data: Its bytes; not in JSON.
    """

    type: Literal["image", "document", "video", "audio"]
    place: str
    format: str = ""
    name: str = ""
    mime_type: str = "application/octet-stream"
    size: int | None = None
    url: str = ""
    location: str = ""
    text: str = ""
    context: str = ""
    data: bytes | None = field(default=None, repr=False, metadata=NOT_JSON)


@dataclass(frozen=True, slots=True)
class GuardedPart(Record):
    """Text marked for a guardrail.

    Attributes:
        text: The text.
        qualifiers: What it is to the guardrail: `"query"`, `"grounding_source"`, `"guard_content"`.
        mark: As of a `TextPart`.
    """

    type: ClassVar[Literal["guarded"]] = "guarded"
    text: str
    qualifiers: tuple[str, ...]
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class CitationSource(Record):
    """A source that a citation names.

    Attributes:
        title: Its title.
        location: Where in it, in words: `"pages 3 to 4 of document 1"`, or an address.
        quotes: What is quoted of it.
    """

    title: str
    location: str
    quotes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CitationPart(Record):
    """Text with the sources it rests on.

    Attributes:
        text: The text.
        sources: The sources.
    """

    type: ClassVar[Literal["citation"]] = "citation"
    text: str
    sources: tuple[CitationSource, ...]


@dataclass(frozen=True, slots=True)
class CachePointPart(Record):
    """A mark up to which the provider caches the conversation.

    Attributes:
        kind: As Strands has it: `"default"`.
        ttl: How long it is kept: `"5m"`, `"1h"`; empty where nothing tells.
    """

    type: ClassVar[Literal["cache_point"]] = "cache_point"
    kind: str
    ttl: str


@dataclass(frozen=True, slots=True)
class InterruptResponsePart(Record):
    """A person's answer to an interrupt.

    Attributes:
        interrupt_id: The interrupt.
        response: The answer: any JSON.
    """

    type: ClassVar[Literal["interrupt_response"]] = "interrupt_response"
    interrupt_id: str
    response: Any


@dataclass(frozen=True, slots=True)
class JsonPart(Record):
    """JSON, as a tool returns it.

    Attributes:
        json: Any JSON.
    """

    type: ClassVar[Literal["json"]] = "json"
    json: Any


@dataclass(frozen=True, slots=True)
class OtherPart(Record):
    """Anything else: a block of a kind that is not known, or of another form than Strands declares.

    Attributes:
        label: The block's keys.
        json: The block.
    """

    type: ClassVar[Literal["other"]] = "other"
    label: str
    json: Any


@dataclass(frozen=True, slots=True)
class ToolResult(Record):
    """A tool's result.

    Attributes:
        status: `"success"`, `"error"`, or what else is stored.
        text: The text of its parts, a line for each.
        parts: Its content.
        mark: As of a `TextPart`, where one of its parts has it.
        id: The record of the message that holds it.
        message_id: That message's position; None for one that stands in the live window alone.
        created_at: When that message was stored: ISO 8601, UTC.
        in_window: Whether the model sees it.
        place: The number of its block in that message.
        alone: Whether that message holds results of this message's calls alone; not in JSON.
    """

    status: str
    text: str
    parts: tuple[MessagePart, ...]
    mark: Mark
    id: str
    message_id: int | None
    created_at: str
    in_window: bool
    place: str
    alone: bool = field(default=False, metadata=NOT_JSON)


@dataclass(frozen=True, slots=True)
class ToolCallPart(Record):
    """A call of a tool, with its result.

    Attributes:
        name: The tool.
        tool_use_id: The call's id.
        input: What the tool was given: any JSON.
        result: Its result, wherever in the conversation it stands; None where there is none.
    """

    type: ClassVar[Literal["tool_call"]] = "tool_call"
    name: str
    tool_use_id: str
    input: Any
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True)
class ToolResultPart(Record):
    """A tool's result without its call.

    Attributes:
        tool_use_id: The call's id.
        result: The result.
    """

    type: ClassVar[Literal["tool_result"]] = "tool_result"
    tool_use_id: str
    result: ToolResult


MessagePart: TypeAlias = (
    TextPart
    | ReasoningPart
    | ToolCallPart
    | ToolResultPart
    | MediaPart
    | GuardedPart
    | CitationPart
    | CachePointPart
    | InterruptResponsePart
    | JsonPart
    | OtherPart
)
