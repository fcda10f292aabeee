"""OpenAI's chat format: a line for each agent, `{"messages": […]}`, as fine-tuning and evaluations take it.

Source: https://platform.openai.com/docs/api-reference/chat/create, "messages", and the types
`openai.types.chat.ChatCompletionMessageParam`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from .._items import Document, Item, MessageItem, StateItem
from ._content import Media, Said, json_text, result_text, text_of

MessagesOf: TypeAlias = Callable[[Said], list[Document]]

_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


def chunks(items: Iterable[Item]) -> Iterator[str]:
    """A session's text, piece by piece."""
    yield from conversations(items, messages_of)


def conversations(items: Iterable[Item], messages: MessagesOf) -> Iterator[str]:
    """A line for each agent that has messages, `{"messages": […]}`; message by message, however long it gets.

    Args:
        items: The session.
        messages: Makes the format's messages of one.
    """
    is_open = False
    for item in items:
        if isinstance(item, StateItem) and is_open:
            yield "]}\n"
            is_open = False
        if isinstance(item, MessageItem):
            for message in messages(Said.of(item)):
                yield f"{',' if is_open else _HEAD}{json_text(message)}"
                is_open = True
    if is_open:
        yield "]}\n"


_HEAD = '{"messages":['


def messages_of(said: Said) -> list[Document]:
    """The messages that one of Strands' makes: each tool result is one by itself, before what the user says."""
    if said.role == "assistant":
        return _assistant(said)
    found: list[Document] = [
        {"role": "tool", "tool_call_id": result.get("toolUseId", ""), "content": result_text(result)}
        for result in said.results
    ]
    parts = [part for block in said.content for part in _parts(block)]
    if parts:
        texts = [part["text"] for part in parts if part["type"] == "text"]
        content = "\n".join(texts) if len(texts) == len(parts) else parts
        found.append({"role": "user", "content": content})
    return found


def _assistant(said: Said) -> list[Document]:
    texts = [text_of(block) or label for block in said.content for label in [_label(block)] if text_of(block) or label]
    calls = [
        {
            "id": use.get("toolUseId", ""),
            "type": "function",
            "function": {"name": use.get("name", ""), "arguments": json_text(use.get("input", {}))},
        }
        for use in said.uses
    ]
    message: Document = {"role": "assistant", "content": "\n".join(texts) if texts or not calls else None}
    return [{**message, "tool_calls": calls} if calls else message]


def _label(block: Document) -> str:
    media = Media.of(block)
    return "" if media is None else media.label


def _parts(block: Document) -> list[Document]:
    media = Media.of(block)
    if media is None:
        return [{"type": "text", "text": text_of(block)}] if text_of(block) else []
    if media.data is not None:
        if media.kind == "image":
            return [{"type": "image_url", "image_url": {"url": media.uri}}]
        if media.mime == "application/pdf":
            return [{"type": "file", "file": {"filename": f"{media.name}.pdf", "file_data": media.uri}}]
        if media.mime in _SOUNDS:
            return [{"type": "input_audio", "input_audio": {"data": media.data, "format": _SOUNDS[media.mime]}}]
    return [{"type": "text", "text": media.label}]
