"""Anthropic's messages: a line for each agent, `{"messages": […]}`.

Source: https://docs.anthropic.com/en/api/messages, and the types `anthropic.types.MessageParam`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from ....database.encoding import mapping
from .._items import Document, Item
from ._content import Media, Said, result_parts, text_of
from ._openai import conversations


def chunks(items: Iterable[Item]) -> Iterator[str]:
    """A session's text, piece by piece."""
    yield from conversations(items, messages_of)


def messages_of(said: Said) -> list[Document]:
    """The message that one of Strands' makes; none of one without anything that the format has a block for."""
    content = [found for block in said.content for found in _blocks(block)]
    return [{"role": said.role, "content": content}] if content else []


def _blocks(block: Document) -> list[Document]:
    media = Media.of(block)
    if media is not None:
        return [_media(media)]
    if "toolUse" in block:
        use = mapping(block["toolUse"])
        return [
            {
                "type": "tool_use",
                "id": use.get("toolUseId", ""),
                "name": use.get("name", ""),
                "input": use.get("input", {}),
            }
        ]
    if "toolResult" in block:
        result = mapping(block["toolResult"])
        content = [_text(part) if isinstance(part, str) else _media(part) for part in result_parts(result)]
        failed = {"is_error": True} if result.get("status") == "error" else {}
        return [{"type": "tool_result", "tool_use_id": result.get("toolUseId", ""), "content": content, **failed}]
    if "reasoningContent" in block:
        return _thinking(mapping(block["reasoningContent"]))
    return [_text(text_of(block))] if text_of(block) else []


def _text(text: str) -> Document:
    return {"type": "text", "text": text}


def _thinking(reasoning: Document) -> list[Document]:
    """What the model thought, where it is signed: Anthropic takes no other."""
    text = mapping(reasoning.get("reasoningText"))
    if text.get("signature"):
        return [{"type": "thinking", "thinking": text.get("text", ""), "signature": text["signature"]}]
    redacted = mapping(reasoning.get("redactedContent")).get("data")
    return [{"type": "redacted_thinking", "data": redacted}] if isinstance(redacted, str) else []


def _media(media: Media) -> Document:
    if media.data is not None:
        source = {"type": "base64", "media_type": media.mime, "data": media.data}
        if media.kind == "image":
            return {"type": "image", "source": source}
        if media.mime == "application/pdf":
            return {"type": "document", "title": media.name, "source": source}
        if media.mime.startswith("text/") and (text := _decoded(media.data)) is not None:
            plain = {"type": "text", "media_type": "text/plain", "data": text}
            return {"type": "document", "title": media.name, "source": plain}
    return _text(media.label)


def _decoded(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None
