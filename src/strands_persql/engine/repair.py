"""Mends histories that no model would accept. Pure: no I/O, no agent.

A process that dies between a tool use and its result leaves an orphan; a resumed tool answers after its cancellation;
a session brought in from elsewhere may hold anything. The rules are those of Strands' `RepositorySessionManager`
(strands-agents/harness-sdk issue 859): a result without its use is removed; a use without its result gets an error
result, also in the midst of the history. The very last message is left to the agent: a tool use there it either runs,
or answers when the next prompt comes.

Beyond these, no real result is lost: one that came late stands in its place, and of several for one use the last counts
that is no error. Uses of one id in one message get ids of their own. An assistant's message without content gets what
Strands sends in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..database.encoding import Message, copied

Block = dict[str, Any]

_BLANK = "[blank text]"
"""What Strands sends for an assistant's empty message (`strands.event_loop.streaming`)."""


@dataclass(slots=True)
class _Use:
    """A tool use, and the results that are meant for it, in their order."""

    block: Block
    results: list[Block] = field(default_factory=lambda: [])

    @property
    def result(self) -> Block | None:
        """The result that counts: a cancellation is an error, and so is a placeholder."""
        real = [block for block in self.results if block["toolResult"].get("status") != "error"] or self.results
        return real[-1] if real else None


def repair(messages: list[Message]) -> bool:
    """Make each tool use but the last be followed by exactly its results, and no message but the last be empty.

    Returns:
        Whether anything had to change: the messages then are, in place.

    Raises:
        KeyError, TypeError: A tool use or a tool result has no `toolUseId`.
    """
    if _is_whole(messages):
        return False
    before = copied(messages)
    for message in messages[:-1]:
        if not message["content"] and message["role"] == "assistant":
            message["content"] = [{"text": _BLANK}]
    messages[:-1] = [message for message in messages[:-1] if message["content"]]
    uses = _uses(messages)
    _keep_results(messages, {id(use.result) for own in uses.values() for use in own})
    _keep_results(messages, _in_place(messages, uses))
    _answer(messages, uses)
    return bool(messages != before)


def _is_whole(messages: list[Message]) -> bool:
    """Whether there is nothing to mend, as nearly always: one pass tells, and each restore asks."""
    open_uses: tuple[str, ...] = ()  # of the message before
    try:
        for message in messages:
            if not message["content"] and message is not messages[-1]:
                return False
            uses: tuple[str, ...] = ()
            results: tuple[str, ...] = ()
            for block in message["content"]:
                if "toolUse" in block:
                    uses = (*uses, block["toolUse"]["toolUseId"])
                if "toolResult" in block:
                    results = (*results, block["toolResult"]["toolUseId"])
            if open_uses or results:
                once = set(results)
                each_once = once == set(open_uses) and len(once) == len(results) == len(open_uses)
                if not each_once or message["role"] != "user":
                    return False
            open_uses = uses
    except (KeyError, TypeError):  # a block without its id: no error where mending has no need of it
        return False
    return True


def _uses(messages: list[Message]) -> dict[int, list[_Use]]:
    """The tool uses of each message, by the message's identity, each with its results."""
    uses: dict[int, list[_Use]] = {}
    latest: dict[str, list[_Use]] = {}  # of each id, those in the last message that uses it
    early: dict[str, Block] = {}  # results in the message before, without a use: the two may have been swapped
    for message in messages:
        own: dict[str, list[_Use]] = {}
        for block in message["content"] if early or message is not messages[-1] else ():  # the last is the agent's
            if "toolUse" in block:
                own.setdefault(block["toolUse"]["toolUseId"], []).append(_Use(block))
        for use_id in own.keys() & early.keys():
            own[use_id][0].results.append(early[use_id])
        latest.update(own)
        uses[id(message)] = [use for same in own.values() for use in same]
        early = {}
        seen: dict[str, int] = {}
        for block in message["content"]:
            if "toolResult" in block:
                use_id = block["toolResult"]["toolUseId"]
                if use_id not in latest:
                    early[use_id] = block
                    continue
                place = seen[use_id] = seen.get(use_id, -1) + 1
                latest[use_id][min(place, len(latest[use_id]) - 1)].results.append(block)
    return uses


def _keep_results(messages: list[Message], kept: set[int]) -> None:
    """Remove all other results, and the messages in which nothing else stands."""
    left: list[Message] = []
    for message in messages:
        content = [block for block in message["content"] if "toolResult" not in block or id(block) in kept]
        if len(content) < len(message["content"]):
            message["content"] = content
            if not content:
                continue
        left.append(message)
    messages[:] = left


def _in_place(messages: list[Message], uses: dict[int, list[_Use]]) -> set[int]:
    """The results that stand in the message after their use."""
    found: set[int] = set()
    for message, following in pairwise(messages):
        if following["role"] == "user":
            found |= {id(use.result) for use in uses[id(message)]} & {id(block) for block in following["content"]}
    return found


def _answer(messages: list[Message], uses: dict[int, list[_Use]]) -> None:
    """Put behind each message with tool uses what is missing there of their results."""
    for index in range(len(messages) - 1, -1, -1):
        own = uses[id(messages[index])]
        is_last = index == len(messages) - 1
        if not own or (is_last and not any(use.results for use in own)):
            continue
        answers = _answers(messages[index], own)
        following: list[Block] = [] if is_last else messages[index + 1]["content"]
        results = [block for block in following if "toolResult" in block]
        if not results:
            messages.insert(index + 1, {"role": "user", "content": answers})
        elif len(results) < len(answers):
            messages[index + 1]["content"] = answers + [block for block in following if "toolResult" not in block]


def _answers(message: Message, uses: list[_Use]) -> list[Block]:
    """The results of a message's tool uses, which get ids of their own where they share one."""
    answers: list[Block] = []
    first: dict[str, Block] = {}
    ids = {use.block["toolUse"]["toolUseId"] for use in uses}
    for use in uses:
        use_id, result = use.block["toolUse"]["toolUseId"], use.result
        if use_id in first:
            if result is None and use.block == first[use_id]:  # a copy
                message["content"] = [block for block in message["content"] if block is not use.block]
                continue
            use_id = next(own for count in range(2, len(uses) + 2) if (own := f"{use_id}-{count}") not in ids)
            ids.add(use_id)
            use.block["toolUse"] = {**use.block["toolUse"], "toolUseId": use_id}
        else:
            first[use_id] = use.block
        if result is None:
            result = {"toolResult": {"status": "error", "content": [{"text": "Tool was interrupted."}]}}
        result["toolResult"] = {**result["toolResult"], "toolUseId": use_id}
        answers.append(result)
    return answers
