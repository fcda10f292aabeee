"""What must be true of a history that a process restores, and of the rows it restores from. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]
Snapshot = dict[str, Any]

_NUMBER = re.compile(r"#(\d+)")


def key_of(message: Message) -> str:
    """What tells a message of a trial from all others: its role, and the number its texts and tool uses carry."""
    found = _NUMBER.search(json.dumps(message["content"]))
    return f"{message['role']}#{found[1] if found else '?'}"


def orphans(messages: Sequence[Message]) -> int:
    """Tool results without their use and uses without their result, a use in the last message apart."""
    count = 0
    for index, message in enumerate(messages):
        before = _ids(messages[index - 1], "toolUse") if index else set[str]()
        count += len(before ^ _ids(message, "toolResult"))
    return count


def same(restored: Snapshot, held: Snapshot) -> bool:
    """Whether a restored agent is what a process held, but for tool uses that were answered for."""
    return {**restored, "messages": _unmended(restored["messages"])} == {
        **held,
        "messages": _unmended(held["messages"]),
    }


def pieced(restored: Snapshot, held: Sequence[Snapshot]) -> bool:
    """The same, where messages and the rest may stem from two events: a large document takes several batches."""
    messages = any(_unmended(restored["messages"]) == _unmended(each["messages"]) for each in held)
    rest = any({**each, "messages": None} == {**restored, "messages": None} for each in held)
    return messages and rest


def _ids(message: Message, kind: str) -> set[str]:
    return {block[kind]["toolUseId"] for block in message["content"] if kind in block}


def _unmended(messages: Sequence[Message]) -> list[Message]:
    kept: list[Message] = []
    for message in messages:
        content = [block for block in message["content"] if not _is_mended(block)]
        if content:
            kept.append({**message, "content": content})
    return kept


def _is_mended(block: dict[str, Any]) -> bool:
    result = block.get("toolResult")
    return result is not None and result["content"] == [{"text": "Tool was interrupted."}]
