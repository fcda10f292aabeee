"""Copies of a message in other messages and in documents: what a redaction or an erasure takes along. Pure.

A Graph or Swarm doesn't only copy. It keeps its task, what a node has answered and what one hands over to the next, and
quotes all three in the prompts of its nodes (`_build_node_input` of Strands 1.42 to 1.62).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ..database.encoding import Message, copied, decode, encode, is_message, mapping
from ..errors import SessionDataError

SWARM_PROMPT = "Context:\n"
"""How the prompt of a Swarm's node begins."""

_GRAPH_TASK = "Original Task:"
_GRAPH_RESULTS = "\nInputs from previous nodes:"
_GRAPH_RESULT = "  - Agent: "
_SWARM_HANDOFF = re.compile(r"\AContext:\nHandoff Message: (.*?)\n\n(?=User Request: )", re.DOTALL)
_SWARM_TASK = re.compile(
    r"(?:\AContext:\n|\n\n)User Request: (?:(.*?)\n\n"
    r"(?:Previous agents who worked|Shared knowledge from|Other agents available|You have access to swarm)"
    r"|(.*?)(?:\n\n|\Z))",
    re.DOTALL,
)

Blocks = list[dict[str, Any]]


class _Quoted(NamedTuple):
    """What a message's content says, if it is the prompt of a node.

    Attributes:
        tasks: The content itself, and the task that it quotes, each as JSON: two messages that share one say the same.
        handoff: What another node has handed over.
        results: What other nodes have answered.
        shared: The text that lists what the nodes of a Swarm know.
    """

    tasks: frozenset[str]
    handoff: str = ""
    results: frozenset[str] = frozenset()
    shared: str = ""

    @classmethod
    def by(cls, content: Blocks) -> _Quoted:
        first = _text(content[0]) if content else ""
        task: Any = ""
        if first.startswith(_GRAPH_TASK):
            end = next((at for at, block in enumerate(content) if _text(block) == _GRAPH_RESULTS), len(content))
            task = content[1:end] if first == _GRAPH_TASK else first[len(_GRAPH_TASK) + 1 :]
            texts = [_text(block) for block in content[end:]]
            results = [text[len(_GRAPH_RESULT) : -1] for text in texts if text.startswith(_GRAPH_RESULT)]
            return cls(_tasks(content, task), results=frozenset(filter(str.strip, results)))
        if first.startswith(SWARM_PROMPT):
            found, handed = _SWARM_TASK.search(first), _SWARM_HANDOFF.search(first)
            task = content[1:] if len(content) > 1 else (found[1] or found[2]) if found else ""
            return cls(_tasks(content, task), handed[1] if handed else "", shared=first)
        return cls(_tasks(content))


class Copies(ABC):
    """Finds the copies of a message, and clears them.

    Args:
        message: The message, with the content that is to go.
        words: What stands in the place of a text.
    """

    def __init__(self, message: Mapping[str, Any], words: str) -> None:
        content = cast("Blocks", message["content"])
        self.found = False
        """Whether a copy of the whole message was found, which is apt to be quoted elsewhere."""
        self._message = message
        self._words = words
        self._content = canonical(content)
        self._blocks = {canonical(block) for block in _said(content)}
        self._quoted = _Quoted.by(content if message["role"] == "user" else [])
        self._uses = {canonical(block["toolUse"]) for block in content if isinstance(block.get("toolUse"), dict)}
        self._results = {
            canonical(block["toolResult"]): at
            for at, block in enumerate(content)
            if isinstance(block.get("toolResult"), dict)
        }
        inputs = [mapping(block["toolUse"].get("input")) for block in content if isinstance(block.get("toolUse"), dict)]
        self._handed = {
            (key, canonical(value))
            for handed in inputs
            for key, value in (*handed.items(), *mapping(handed.get("context")).items())
        }
        self._told = [text for block in content for text in _texts(mapping(block.get("toolResult")).get("content"))]

    @abstractmethod
    def message(self, message: Message) -> Message | None:
        """A message that is a copy, cleared; None for any other."""

    @abstractmethod
    def _use(self, use: dict[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    def _result(self, result: dict[str, Any], at: int) -> dict[str, Any]: ...

    def _block(self, block: dict[str, Any]) -> dict[str, Any]:
        return {"text": self._words}

    def cleared(self, value: Any) -> Any:
        """A copy of a document, in which the copies of the message are cleared."""
        if isinstance(value, list):
            return [self.cleared(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        item = cast("dict[str, Any]", value)
        if is_message(item):
            message = self.message(item)
            if message is not None:
                self.found = True
                return message
        if self._uses and "toolUseId" in item and "input" in item and canonical(item) in self._uses:
            return self._use(item)
        if self._results and "toolUseId" in item and "content" in item and canonical(item) in self._results:
            return self._result(item, self._results[canonical(item)])
        if isinstance(item.get("shared_context"), dict):
            item = {**item, "shared_context": self.shared_context(item["shared_context"])}
        return {key: self._field(key, each) for key, each in item.items()}

    def _field(self, key: str, value: Any) -> Any:
        if key == "current_task":
            return self.task(value)
        if key == "handoff_message" and isinstance(value, str):
            return self.handoff(value)
        return self.cleared(value)

    def task(self, task: Any) -> Any:
        """The task of a Graph or Swarm, words or content blocks; cleared where the message gives it to a node."""
        if isinstance(task, str):
            return self._words if _key(task) in self._quoted.tasks else self.cleared(task)
        if not isinstance(task, list):
            return self.cleared(task)
        blocks = cast("list[Any]", task)
        given = _key([mapping(block) for block in blocks]) in self._quoted.tasks
        return [self._task_block(block, given=given) for block in blocks]

    def _task_block(self, block: Any, *, given: bool) -> Any:
        if not isinstance(block, dict):
            return block
        item = cast("dict[str, Any]", block)
        is_media = self._quoted.tasks and "text" not in item and canonical(item) in self._blocks
        return self._block(item) if given or is_media else self.cleared(item)

    def handoff(self, words: str) -> str:
        """What a node of a Swarm hands over; cleared where the message hands it over, or gives it to the next one."""
        told = any(text.startswith("Handing off to ") and text.endswith(f": {words}") for text in self._told)
        gone = told or words == self._quoted.handoff or ("message", canonical(words)) in self._handed
        return self._words if words and gone else words

    def shared_context(self, nodes: dict[str, Any]) -> dict[str, Any]:
        """What the nodes of a Swarm have handed over, by node and by name."""
        kept = dict(nodes)
        for node, handed in nodes.items():
            known = mapping(handed)
            listed = bool(known) and f"• {node}: {handed}\n" in self._quoted.shared
            gone = {name for name, value in known.items() if listed or (name, canonical(value)) in self._handed}
            if gone:
                kept[node] = {name: self._words if name in gone else value for name, value in known.items()}
        return kept


class RedactedCopies(Copies):
    """The copies of a prompt that was blocked.

    A copy holds the prompt, alone or beside other blocks; or it is some of the prompt's blocks; or both give a node the
    same task. What other nodes have answered goes where the prompt quotes it.

    Args:
        raw: What was blocked.
        redacted: The same message, redacted.
    """

    def __init__(self, raw: Message, redacted: Message) -> None:
        content = cast("Blocks", redacted["content"])
        super().__init__(raw, next((_text(block) for block in content if _text(block)), "[redacted]"))
        self.role = str(raw["role"])
        self._redacted = content

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said, or nothing of it redacted."""
        return not self._blocks or self._content == canonical(self._redacted)

    @property
    def key(self) -> int:
        """Tells apart what was blocked."""
        return hash((self.role, self._content))

    @property
    def lengths(self) -> list[int]:
        """How many characters the JSON of a block may have that stands in a copy, plain or with all but ASCII escaped.

        The prompt of a Swarm's node may be longer: it begins with `SWARM_PROMPT`.
        """
        tasks = [block for task in self._quoted.tasks for block in cast("Blocks", decode(task))]
        texts = {f"{_GRAPH_TASK} {text}" for text in map(_text, tasks) if text} | self._quoted.results
        blocks = self._blocks | {canonical(block) for block in (*tasks, *({"text": text} for text in texts))}
        return sorted({length for block in blocks for length in (len(block), _escaped_length(block))})

    def message(self, message: Message) -> Message | None:
        """A message that is a copy, redacted; None for any other."""
        content = cast("Blocks", message["content"])
        if message["role"] != self.role:
            answer = "\n".join(
                _text(block) for block in content if "text" in block
            )  # as `str` of its result, but an end
            return {**message, "content": [{"text": self._words}]} if answer in self._quoted.results else None
        theirs = [canonical(block) for block in _said(content)]
        if self.role == "user" and self._quoted.tasks & _Quoted.by(content).tasks:
            return self._whole(message)
        if theirs and self._blocks.issuperset(theirs):
            return self._whole(message)
        if self._blocks and self._blocks.issubset(theirs):
            blocks = [block for block in content if canonical(block) not in self._blocks]
            at = next(place for place, block in enumerate(content) if canonical(block) in self._blocks)
            return {**message, "content": [*blocks[:at], *copied(self._redacted), *blocks[at:]]}
        return None

    def _whole(self, message: Message) -> Message:
        return {**message, "content": copied(self._redacted)}

    def _use(self, use: dict[str, Any]) -> dict[str, Any]:
        return use

    def _result(self, result: dict[str, Any], at: int) -> dict[str, Any]:
        new = mapping(self._redacted[at]).get("toolResult") if at < len(self._redacted) else None
        return copied(new) if isinstance(new, dict) else {**result, "content": [{"text": self._words}]}


def _said(content: Blocks) -> Blocks:
    """Content blocks that say something."""
    return [block for block in content if "cachePoint" not in block]


def _tasks(*given: str | Blocks) -> frozenset[str]:
    return frozenset(filter(None, map(_key, given)))


def _key(task: str | Blocks) -> str:
    """A task as JSON; empty where it says nothing."""
    blocks = [{"text": task}] if isinstance(task, str) else _said(task)
    return canonical(blocks) if any("text" not in block or str(block["text"]).strip() for block in blocks) else ""


def _text(block: dict[str, Any]) -> str:
    words = block.get("text")
    return words if isinstance(words, str) else ""


def _texts(content: Any) -> list[str]:
    blocks = cast("list[Any]", content) if isinstance(content, list) else []
    return [_text(mapping(block)) for block in blocks]


def canonical(value: Any) -> str:
    """Something as JSON, the same for what is equal."""
    try:
        return encode(_sorted(value), what="a message")
    except (SessionDataError, TypeError, RecursionError):  # it can't be stored: nothing stored equals it
        return repr(value)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in sorted(cast("dict[str, Any]", value).items())}
    return [_sorted(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _escaped_length(text: str) -> int:
    """How long a JSON text is with all but ASCII escaped, as where a part of its document has to be."""
    return len(text) if text.isascii() else sum(1 if each < "\x80" else 6 if each <= "\uffff" else 12 for each in text)
