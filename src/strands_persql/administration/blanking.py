"""What erasing a message leaves of it, and of the documents that hold copies of it. Pure: no I/O, no agent.

What a model needs to take the history stays: roles, the ids of tool uses and results, the names of tools.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from ..database.encoding import Message, encode, is_message, mapping
from ..errors import SessionDataError

__all__ = ["ERASED", "erased", "without_copies"]

ERASED = "[erased]"
"""What stands where content was."""

_FACTS = ("usage", "metrics")  # of a message's metadata: numbers alone


def erased(message: Mapping[str, Any]) -> Message:
    """A message without its content: texts, inputs, results and media are gone, and its custom metadata."""
    blocks: list[dict[str, Any]] = []
    for block in cast("list[dict[str, Any]]", message["content"]):
        new = _erased_block(block)
        if new not in blocks:
            blocks.append(new)
    kept: Message = {"role": message["role"], "content": blocks}
    if "tracking_id" in message:
        kept["tracking_id"] = message["tracking_id"]
    metadata = message.get("metadata")
    if isinstance(metadata, dict):
        facts = {name: value for name, value in cast("dict[str, Any]", metadata).items() if name in _FACTS}
        if facts:
            kept["metadata"] = facts
    return kept


def without_copies(document: Any, message: Mapping[str, Any]) -> Any:
    """A copy of a document in which a message that it holds copies of, whole or in part, is erased.

    A copy has the message's tracking id; where one of the two has none, its role and content. Tool uses and results
    that stand by themselves are told by being equal. Where a copy was found, the reasons of the interrupts that the
    message's tool uses raised go too, as they are apt to quote the input.

    A Graph or Swarm keeps its task, and what a node hands over to the next, outside of messages (`serialize_state` of
    Strands 1.42 to 1.62). They go where the message is a prompt that holds them: a node's prompt is the task, or
    quotes it. What is handed over goes with the tool use that hands it over, too.
    """
    copies = _Copies(message)
    cleared = copies.cleared(document)
    return copies.without_reasons(cleared) if copies.found else cleared


def _erased_block(block: dict[str, Any]) -> dict[str, Any]:
    if isinstance(block.get("toolUse"), dict):
        return {"toolUse": _erased_use(block["toolUse"])}
    if isinstance(block.get("toolResult"), dict):
        return {"toolResult": _erased_result(block["toolResult"])}
    if "cachePoint" in block:
        return block
    return {"text": ERASED}


def _erased_use(use: dict[str, Any]) -> dict[str, Any]:
    return {**{name: use[name] for name in ("toolUseId", "name") if name in use}, "input": {}}


def _erased_result(result: dict[str, Any]) -> dict[str, Any]:
    return {**{name: result[name] for name in ("toolUseId", "status") if name in result}, "content": [{"text": ERASED}]}


class _Copies:
    def __init__(self, message: Mapping[str, Any]) -> None:
        content = cast("list[dict[str, Any]]", message["content"])
        self.found = False
        self._message = message
        self._content = _canonical(content)
        self._uses = {_canonical(block["toolUse"]) for block in content if isinstance(block.get("toolUse"), dict)}
        self._results = {
            _canonical(block["toolResult"]) for block in content if isinstance(block.get("toolResult"), dict)
        }
        self._use_ids = [
            str(block["toolUse"]["toolUseId"])
            for block in content
            if isinstance(block.get("toolUse"), dict) and block["toolUse"].get("toolUseId")
        ]
        self._blocks = {_canonical(block) for block in content}
        self._prompt = _texts(content) if message["role"] == "user" else []
        inputs = [mapping(block["toolUse"].get("input")) for block in content if isinstance(block.get("toolUse"), dict)]
        self._handed = {
            (key, _canonical(value))
            for handed in inputs
            for key, value in (*handed.items(), *mapping(handed.get("context")).items())
        }

    def cleared(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.cleared(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        item = cast("dict[str, Any]", value)
        if is_message(item) and self._is_copy(item):
            self.found = True
            return erased(item)
        if self._uses and "toolUseId" in item and "input" in item and _canonical(item) in self._uses:
            return _erased_use(item)
        if self._results and "toolUseId" in item and "content" in item and _canonical(item) in self._results:
            return _erased_result(item)
        if isinstance(item.get("shared_context"), dict):
            item = {**item, "shared_context": self._shared(item["shared_context"])}
        return {key: self._kept(key, each) for key, each in item.items()}

    def _kept(self, key: str, value: Any) -> Any:
        """One field of a document, cleared."""
        if key == "current_task" and isinstance(value, list):
            return [self._block(block) for block in cast("list[Any]", value)]
        if key == "current_task" and isinstance(value, str) and self._quotes(value):
            return ERASED
        if key == "handoff_message" and isinstance(value, str) and value:
            return ERASED if ("message", _canonical(value)) in self._handed or self._quotes(value) else value
        return self.cleared(value)

    def _block(self, block: Any) -> Any:
        """One content block of a task, cleared."""
        if not isinstance(block, dict):
            return block
        item = cast("dict[str, Any]", block)
        words = item.get("text")
        held = isinstance(words, str) and self._quotes(words)
        return (
            _erased_block(item) if held or (self._prompt and _canonical(item) in self._blocks) else self.cleared(item)
        )

    def _shared(self, nodes: dict[str, Any]) -> dict[str, Any]:
        """What the nodes of a Swarm have handed over, by node and by name."""
        kept = dict(nodes)
        for node, handed in nodes.items():
            gone = {
                name: ERASED for name, value in mapping(handed).items() if (name, _canonical(value)) in self._handed
            }
            if gone:
                kept[node] = {**handed, **gone}
        return kept

    def _quotes(self, words: str) -> bool:
        """Whether the message is a prompt that holds some words, whole ones."""
        if not words.strip():
            return False
        whole = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
        return any(words == text or whole.search(text) for text in self._prompt)

    def without_reasons(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.without_reasons(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        item = cast("dict[str, Any]", value)
        cleared = {key: self.without_reasons(each) for key, each in item.items()}
        # Strands' interrupt ids hold the id of the tool use: v1:tool_call:<toolUseId>:<uuid>.
        if item.get("reason") is not None and any(use in str(item.get("id", "")) for use in self._use_ids):
            cleared["reason"] = ERASED
        return cleared

    def _is_copy(self, other: dict[str, Any]) -> bool:
        ours, theirs = self._message.get("tracking_id"), other.get("tracking_id")
        if ours and theirs:
            return bool(ours == theirs)
        return other["role"] == self._message["role"] and _canonical(other["content"]) == self._content


def _texts(content: list[dict[str, Any]]) -> list[str]:
    """The texts of content blocks, those inside tool results included."""
    found: list[str] = []
    for block in content:
        if isinstance(block.get("text"), str):
            found.append(block["text"])
        result = mapping(block.get("toolResult")).get("content")
        if isinstance(result, list):
            found += _texts([mapping(each) for each in cast("list[Any]", result)])
    return found


def _canonical(value: Any) -> str:
    try:
        return encode(value, what="a message")
    except SessionDataError:  # pragma: no cover - it came out of a stored document
        return repr(value)
