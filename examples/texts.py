"""What a message says."""

from __future__ import annotations

from strands.types.content import Message


def text_of(message: Message) -> str:
    """Return the text of `message`, its blocks joined; other blocks (tool uses, images) count as nothing."""
    return " ".join(block["text"] for block in message["content"] if "text" in block).strip()
