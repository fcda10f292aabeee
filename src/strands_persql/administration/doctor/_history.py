"""Whether models would accept an agent's history, told from the shapes of its messages without what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from shlex import quote
from typing import TYPE_CHECKING, Any, cast

from ...database.encoding import Message, copied
from ...engine.entries import Entry
from ...engine.repair import repair
from ...engine.window import Window
from ..values import many
from ._findings import Finding

if TYPE_CHECKING:
    from ...database.tables import CheckedMessage

_MENDED = "Nothing to do: restoring mends it, and the agent's next turn stores that."


def check_history(ids: tuple[str, str], window: Window) -> Iterator[Finding]:
    """What models may refuse in an agent's live window.

    Args:
        ids: The session and the agent.
        window: The window, of shapes; it is repaired.
    """
    messages, entries = window.messages, window.entries
    repeats = [index for index, (one, other) in enumerate(pairwise(messages), 1) if one["role"] == other["role"]]
    if repeats:
        yield Finding(
            "info",
            "roles",
            f"in {many(len(repeats), 'place')} of its live window two messages of one role follow each other, as "
            "after a model's failure; some models refuse that",
            "Where a model refuses it, rewind the agent to a message before.",
            *ids,
            message_id=entries[repeats[0]].message_id,
        )
    empty = [entry for entry in entries if not entry.message["content"]]
    if empty:
        yield Finding(
            "info",
            "empty-messages",
            f"{many(len(empty), 'message')} of its live window without any content, which no model accepts",
            _MENDED,
            *ids,
            message_id=empty[0].message_id,
        )
    yield from _check_tools(ids, [entry for entry in entries if entry.message["content"]])


def _check_tools(ids: tuple[str, str], entries: list[Entry]) -> Iterator[Finding]:
    messages = [entry.message for entry in entries]
    before = copied(messages)
    try:
        changed = repair(messages)
    except (KeyError, TypeError):
        yield Finding(
            "error",
            "tool-results",
            "a tool use or a tool result in its live window has no toolUseId, so the agent can't be restored",
            "Rewind the agent to a message before it: strands-persql rewind "
            f"{quote(ids[0])} --agent {quote(ids[1])} --to N",
            *ids,
        )
        return
    if changed:
        pairs = zip(before, messages, strict=False)
        place = next((index for index, (old, new) in enumerate(pairs) if old != new), len(messages) - 1)
        yield Finding(
            "info",
            "tool-results",
            "tool uses without results, results without uses, or several for one, which no model accepts",
            _MENDED,
            *ids,
            message_id=entries[min(place, len(entries) - 1)].message_id,
        )


def shape_of_row(row: CheckedMessage) -> Entry:
    """The shape of a sound message, as its page tells it."""
    uses, results = (cast("list[Any]", json.loads(ids or "[]")) for ids in (row.uses, row.results))
    return _shape(row.role, uses, results, row.blocks)


def shape_of(message: Message) -> Entry:
    """The shape of a message."""
    tools: dict[str, list[Any]] = {"toolUse": [], "toolResult": []}
    for block in message["content"]:
        for name, ids in tools.items():
            if name in block:
                ids.append(block[name].get("toolUseId") if isinstance(block[name], dict) else None)
    return _shape(message["role"], tools["toolUse"], tools["toolResult"], len(message["content"]))


def _shape(role: str, uses: list[Any], results: list[Any], blocks: int) -> Entry:
    """A message with these tool uses and results, and one block for all that it says."""
    content: list[dict[str, Any]] = [
        {name: {} if use is None else {"toolUseId": use}}
        for name, ids in (("toolUse", uses), ("toolResult", results))
        for use in ids
    ]
    if blocks > len(content):
        content.append({"text": ""})
    message: Message = {"role": role, "content": content}
    return Entry(message, message)
