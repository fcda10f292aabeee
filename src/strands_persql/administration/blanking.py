"""What erasing a message leaves of it, and of the documents that hold copies of it. Pure: no I/O, no agent.

What a model needs to take the history stays: roles, the ids of tool uses and results, the names of tools; but for those
that hold what is erased, or that the model made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ..database.encoding import Message, mapping
from ..engine.copies import Copies, canonical

ERASED = "[erased]"
"""What stands where content was."""

_RENAMED = "erased"
"""The name of a tool that takes the place of another, and the beginning of such ids; as models take them."""

_UNKNOWN = "Unknown tool: "
"""How a result begins that Strands gives in the place of a tool that there isn't (1.42 to 1.62)."""

_SHORTEST = 4
"""Characters that a text has at least that is looked for in names and ids."""

_FACTS = ("usage", "metrics")  # of a message's metadata: numbers alone


def erased(message: Mapping[str, Any]) -> Message:
    """A message without its content: texts, inputs, results and media are gone, and its custom metadata."""
    blocks: list[dict[str, Any]] = []
    for block in cast("list[dict[str, Any]]", message["content"]):
        new = _erased_block(block)
        if new not in blocks:
            blocks.append(new)
    if not any("text" in block or "toolResult" in block for block in blocks):
        blocks.insert(0, {"text": ERASED})  # a tool's name and id tell nobody that its input was erased
    kept: Message = {"role": message["role"], "content": blocks}
    if "tracking_id" in message:
        kept["tracking_id"] = message["tracking_id"]
    metadata = message.get("metadata")
    if isinstance(metadata, dict):
        facts = {name: value for name, value in cast("dict[str, Any]", metadata).items() if name in _FACTS}
        if facts:
            kept["metadata"] = facts
    return kept


def ids_of(message: Mapping[str, Any]) -> list[str]:
    """A message's tracking id, and the ids of the tool uses whose results it holds."""
    ids = [message.get("tracking_id")]
    ids += [mapping(block.get("toolResult")).get("toolUseId") for block in message["content"]]
    return [each for each in ids if isinstance(each, str) and each]


def without_copies(document: Any, message: Mapping[str, Any]) -> Any:
    """A copy of a document in which a message that it holds copies of, whole or in part, is erased.

    A copy has the message's tracking id; where one of the two has none, its role and content. Tool uses and results
    that stand by themselves are told by being equal. Where a copy was found, the reasons of the interrupts that the
    message's tool uses raised go too, as they are apt to quote the input.

    A Graph or Swarm keeps its task, and what a node hands over to the next, outside of messages (`serialize_state` of
    Strands 1.42 to 1.62). They go where the message is a prompt that gives them to a node. What is handed over goes
    with the tool use that hands it over, too.
    """
    copies = _ErasedCopies(message, ERASED)
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


class Renaming:
    """Names of tools and ids of tool uses that go with an erased message, and what takes their places.

    A name goes with its id where the message's result says that there is no such tool: the model made both up. A name
    or id goes where it holds a text, or a string of a tool's input, of the message. Use and result get the same new id.

    Args:
        messages: The message and those beside it, in which its tool uses or results may be: each version, by position.
        said: The versions of the message that is erased.
    """

    def __init__(self, messages: Mapping[int, Sequence[Mapping[str, Any]]], said: Sequence[Mapping[str, Any]]) -> None:
        blocks = [
            (f"{_RENAMED}_{position}_{at}", mapping(block.get("toolUse") or block.get("toolResult")))
            for position in sorted(messages)
            for message in messages[position]
            for at, block in enumerate(message["content"])
        ]
        unknown = {(block.get("toolUseId"), _unknown_tool(block)) for _, block in blocks}
        secrets = [text for message in said for text in _strings(message["content"]) if len(text) >= _SHORTEST]
        self._names: set[str] = set()
        """The ids of the uses whose tools' names go."""
        self._texts: set[str] = set()
        """The results that quote these names."""
        self.ids: dict[str, str] = {}
        """The ids that go, and their successors."""
        for successor, block in blocks:
            number, name = str(block.get("toolUseId", "")), str(block.get("name", ""))
            is_made_up = bool(name) and (number, name) in unknown
            if is_made_up or any(secret in name for secret in secrets):
                self._names.add(number)
                self._texts.add(f"{_UNKNOWN}{name}")
            if number and (is_made_up or any(secret in number for secret in secrets)):
                self.ids.setdefault(number, successor)

    def applied(self, value: Any) -> Any:
        """A copy of a document, in which they are renamed."""
        if not self._names and not self.ids:
            return value
        if isinstance(value, str):
            if value in self._texts:
                return f"{_UNKNOWN}{_RENAMED}"
            # As Strands' interrupt ids hold the id of the tool use: v1:tool_call:<toolUseId>:<uuid>.
            found = next((number for number in self.ids if f":{number}:" in value or value == number), None)
            return value if found is None else value.replace(found, self.ids[found])
        if isinstance(value, list):
            return [self.applied(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        item = cast("dict[str, Any]", value)
        new = {self.applied(name): self.applied(each) for name, each in item.items()}
        return {**new, "name": _RENAMED} if "name" in item and item.get("toolUseId") in self._names else new


def _unknown_tool(result: Mapping[str, Any]) -> str:
    """The name of the tool of which a result says that there is none."""
    blocks = cast("list[Any]", result.get("content") or [])
    texts = (str(mapping(block).get("text", "")) for block in blocks)
    return next((text.removeprefix(_UNKNOWN) for text in texts if text.startswith(_UNKNOWN)), "")


def _strings(value: Any) -> Iterator[str]:
    """The texts of content blocks, and the strings in tools' inputs and results."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        item = cast("dict[str, Any] | list[Any]", value)
        for name, each in item.items() if isinstance(item, dict) else enumerate(item):
            if name not in ("name", "toolUseId", "status"):
                yield from _strings(each)


class _ErasedCopies(Copies):
    def message(self, message: Message) -> Message | None:
        ours, theirs = self._message.get("tracking_id"), message.get("tracking_id")
        if ours and theirs:
            is_copy = ours == theirs
        else:
            is_copy = message["role"] == self._message["role"] and canonical(message["content"]) == self._content
        return erased(message) if is_copy else None

    def _use(self, use: dict[str, Any]) -> dict[str, Any]:
        return _erased_use(use)

    def _result(self, result: dict[str, Any], at: int) -> dict[str, Any]:
        return _erased_result(result)

    def _block(self, block: dict[str, Any]) -> dict[str, Any]:
        return _erased_block(block)

    def without_reasons(self, value: Any) -> Any:
        """A copy of a document without the reasons of the interrupts that the message's tool uses raised."""
        if isinstance(value, list):
            return [self.without_reasons(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        item = cast("dict[str, Any]", value)
        cleared = {key: self.without_reasons(each) for key, each in item.items()}
        uses = [mapping(block.get("toolUse")).get("toolUseId") for block in self._message["content"]]
        # Strands' interrupt ids hold the id of the tool use: v1:tool_call:<toolUseId>:<uuid>.
        if item.get("reason") is not None and any(use and str(use) in str(item.get("id", "")) for use in uses):
            cleared["reason"] = ERASED
        return cleared
