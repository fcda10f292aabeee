"""Content blocks of Strands' as exports see them. Pure: no I/O."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from ....database.decoding import shown
from ....database.encoding import encode, mapping
from .._items import Document, MessageItem, one_line

_MIMES = {
    "image": {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"},
    "document": {
        "pdf": "application/pdf", "csv": "text/csv", "html": "text/html", "txt": "text/plain", "md": "text/markdown",
        "doc": "application/msword", "xls": "application/vnd.ms-excel",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    },
    "video": {"mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mkv": "video/x-matroska"},
    "audio": {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac"},
}  # fmt: skip


class Media(NamedTuple):
    """An image, a document, a video or a sound.

    Attributes:
        kind: Which of them: `"image"`, `"document"`, `"video"` or `"audio"`.
        mime: Its media type.
        data: Its bytes in base64; None where they stand somewhere else.
        name: A document's name.
        form: Its format, as Strands calls it.
    """

    kind: str
    mime: str
    data: str | None
    name: str
    form: str

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Media | None:
        """The one in a content block; None where it holds none."""
        for kind, mimes in _MIMES.items():
            found = mapping(block.get(kind))
            if found:
                form = str(found.get("format", ""))
                source = mapping(found.get("source"))
                held = source.get("bytes")
                data = base64.b64encode(held).decode() if isinstance(held, bytes) else mapping(held).get("data")
                name = found.get("name")
                return cls(
                    kind,
                    mimes.get(form, "application/octet-stream"),
                    data if isinstance(data, str) else None,
                    name if isinstance(name, str) else kind,
                    form,
                )
        return None

    @property
    def uri(self) -> str:
        """Its bytes as a `data:` URI."""
        return f"data:{self.mime};base64,{self.data or ''}"

    @property
    def label(self) -> str:
        """What stands in its place where a format has none for it: what it is, and how large."""
        if self.data is None:
            return f"[{self.kind} {self.form}, stored elsewhere]"
        return f"[{self.kind} {self.form}, {len(self.data) * 3 // 4 - self.data[-2:].count('=')} bytes]"


class Said(NamedTuple):
    """A message as it is exported: as it was said, or what a redaction has put in its place.

    Attributes:
        role: `"user"` or `"assistant"`.
        content: Its content blocks; bytes in base64.
        at: When it was said: ISO 8601; empty where nothing tells.
        metadata: What Strands has noted about it: tokens and times.
    """

    role: str
    content: list[Document]
    at: str
    metadata: Document

    @classmethod
    def of(cls, item: MessageItem) -> Said:
        """The one in an item of an export."""
        message = mapping(shown(item.data))
        at = item.data.get("created_at")
        blocks = [mapping(block) for block in cast("list[Any]", message.get("content") or [])]
        said_at = at if isinstance(at, str) else ""
        return cls(str(message.get("role")), blocks, said_at, mapping(message.get("metadata")))

    @property
    def texts(self) -> list[str]:
        """Its texts."""
        return [text for block in self.content for text in [text_of(block)] if text]

    @property
    def results(self) -> list[Document]:
        """Its tool results."""
        return [mapping(block["toolResult"]) for block in self.content if "toolResult" in block]

    @property
    def uses(self) -> list[Document]:
        """Its tool uses."""
        return [mapping(block["toolUse"]) for block in self.content if "toolUse" in block]


def text_of(block: Mapping[str, Any]) -> str:
    """The text of a block that is one for its reader; empty for any other."""
    if isinstance(block.get("text"), str):
        return cast("str", block["text"])
    guarded = mapping(mapping(block.get("guardContent")).get("text")).get("text")
    if isinstance(guarded, str):
        return guarded
    cited = cast("list[Any]", mapping(block.get("citationsContent")).get("content") or [])
    return "".join(str(mapping(each).get("text", "")) for each in cited)


def result_parts(result: Document) -> Iterator[str | Media]:
    """What a tool has answered: texts, JSON as text, and media."""
    for each in cast("list[Any]", result.get("content") or []):
        block = mapping(each)
        media = Media.of(block)
        if media is not None:
            yield media
        elif "json" in block:
            yield json_text(block["json"])
        elif text_of(block):
            yield text_of(block)


def result_text(result: Document) -> str:
    """What a tool has answered, as one text; media by their labels."""
    return "\n".join(part if isinstance(part, str) else part.label for part in result_parts(result))


def json_text(value: object) -> str:
    """A value as JSON, compact and on one line."""
    return one_line(encode(value, what="a message"))
