"""Mends histories that no model would accept, as Strands does. Pure: no I/O, no agent.

A process that dies between a tool use and its result leaves an orphan, and so may a session brought in from elsewhere.
The rules are those of Strands' `RepositorySessionManager` (strands-agents/harness-sdk issue 859): a result without its
use is removed; a use without its result gets an error result, also in the midst of the history. A tool use in the very
last message is left to the agent, which either runs the tool or answers for it when the next prompt comes.
"""

from __future__ import annotations

from typing import Any

from ..database.encoding import Message

__all__ = ["repair"]

Block = dict[str, Any]


def repair(messages: list[Message]) -> bool:
    """Make each tool use be followed by exactly its results, in place; True where anything had to change."""
    if _is_whole(messages):
        return False
    dropped = _drop_orphan_results(messages)
    return _answer_orphan_uses(messages) or dropped


def _is_whole(messages: list[Message]) -> bool:
    """Whether there is nothing to mend, as nearly always: one pass tells, and each restore asks."""
    open_uses: tuple[str, ...] = ()  # of the message before
    try:
        for message in messages:
            uses: tuple[str, ...] = ()
            results: tuple[str, ...] = ()
            for block in message["content"]:
                if "toolUse" in block:
                    uses = (*uses, block["toolUse"]["toolUseId"])
                if "toolResult" in block:
                    results = (*results, block["toolResult"]["toolUseId"])
            if open_uses:
                if set(results) != set(open_uses):
                    return False
            elif results and message["role"] == "user":
                return False
            open_uses = uses
    except (KeyError, TypeError):  # a block without its id: no error where mending has no need of it
        return False
    return True


def _uses(message: Message) -> list[str]:
    return [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def _results(message: Message) -> dict[str, Block]:
    return {block["toolResult"]["toolUseId"]: block for block in message["content"] if "toolResult" in block}


def _drop_orphan_results(messages: list[Message]) -> bool:
    changed = False
    for index in range(len(messages) - 1, -1, -1):  # from the end, so that a removal shifts nothing still to come
        message = messages[index]
        if message["role"] != "user" or not _results(message) or (index > 0 and _uses(messages[index - 1])):
            continue
        changed = True
        rest = _other_blocks(message)
        if rest:
            message["content"] = rest
        else:
            del messages[index]
    return changed


def _answer_orphan_uses(messages: list[Message]) -> bool:
    changed = False
    for index in range(len(messages) - 2, -1, -1):
        uses = _uses(messages[index])
        following = messages[index + 1]
        results = _results(following)
        if not uses or set(results) == set(uses):
            continue
        changed = True
        answers = [results.get(use) or _interrupted(use) for use in uses]
        rest = _other_blocks(following)
        if results or not rest:
            following["content"] = answers + rest
        else:
            messages.insert(index + 1, {"role": "user", "content": answers})
    return changed


def _other_blocks(message: Message) -> list[Block]:
    return [block for block in message["content"] if "toolResult" not in block]


def _interrupted(tool_use_id: str) -> Block:
    return {"toolResult": {"toolUseId": tool_use_id, "status": "error", "content": [{"text": "Tool was interrupted."}]}}
