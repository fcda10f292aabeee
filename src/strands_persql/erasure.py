"""Takes the content out of a message for good, and out of the copies of it. Pure: no I/O, no agent.

What a model needs to take the history stays: roles, the ids of tool uses and results, the names of tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .documents import encode
from .errors import SessionDataError
from .stored import is_message
from .window import Message

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
        return {key: self.cleared(each) for key, each in item.items()}

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


def _canonical(value: Any) -> str:
    try:
        return encode(value, what="a message")
    except SessionDataError:  # pragma: no cover - it came out of a stored document
        return repr(value)
