"""A session as Markdown, for people: what was said as quotations, so that nothing in it changes the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Set

from ....database.encoding import mapping
from ...agents import multi_agent_of
from ...nodes import nodes_of
from ...results import MultiAgentSummary
from ...values import sequence
from .._items import Document, HeadItem, Item, MessageItem, StateItem
from ._content import Media, Said, result_text, text_of

_ROLES = {"user": "User", "assistant": "Assistant"}


def chunks(items: Iterable[Item]) -> Iterator[str]:
    """A session's text, piece by piece. Agents come before Graphs and Swarms."""
    agents: set[str] = set()
    for item in items:
        if isinstance(item, HeadItem):
            yield _head(item)
        elif isinstance(item, StateItem):
            if item.kind == "agent":
                agents.add(item.owner)
                yield f"\n## Agent {_plain(item.owner)}\n"
            else:
                yield f"\n## Graph or Swarm {_plain(item.owner)}\n"
                yield from _nodes(multi_agent_of(item.owner, item.data), agents)
        elif isinstance(item, MessageItem):
            yield _message(item.message_id, Said.of(item))


def _head(item: HeadItem) -> str:
    about, session_id = item.about, _plain(str(item.data.get("session_id", "")))
    facts = [
        ("Session", session_id),
        ("Created", _plain(str(item.data.get("created_at", "")))),
        ("User", _plain(about.user or "")),
        ("Tags", _plain(", ".join(about.tags))),
    ]
    lines = "".join(f"- {name}: {value}\n" for name, value in facts if value)
    return f"# {_plain(about.title or '') or session_id}\n\n{lines}"


def _nodes(group: MultiAgentSummary, agents: Set[str]) -> Iterator[str]:
    """The nodes in their order, with the results of those whose conversations are not in the session."""
    if group.nodes:
        yield f"\n- Status: {_plain(group.status)}\n- Nodes: {', '.join(map(_plain, group.nodes))}\n"
    for name, node in nodes_of([group], without=agents).items():
        yield f"\n### Result of {_plain(name)}\n"
        for message in node.said:
            yield _blocks(map(mapping, sequence(message.get("content"))))


def _message(position: int, said: Said) -> str:
    role = "Tool" if said.results and not said.texts else _ROLES.get(said.role, _plain(said.role))
    at = f" · {_plain(said.at)}" if said.at else ""
    return f"\n### {position} · {role}{at}\n{_blocks(said.content)}"


def _blocks(content: Iterable[Document]) -> str:
    return "".join(f"\n{text}\n" for text in map(_block, content) if text)


def _block(block: Document) -> str:
    media = Media.of(block)
    if media is not None:
        return f"*{_plain(media.label)}*"
    if "toolUse" in block:
        use = mapping(block["toolUse"])
        given = json.dumps(use.get("input", {}), ensure_ascii=False, indent=2)
        name, use_id = _plain(str(use.get("name", ""))), _plain(str(use.get("toolUseId", "")))
        return f"**Calls {name}** ({use_id})\n\n{_fenced(given)}"
    if "toolResult" in block:
        result = mapping(block["toolResult"])
        word = "Error" if result.get("status") == "error" else "Result"
        return f"**{word}** ({_plain(str(result.get('toolUseId', '')))})\n\n{_fenced(result_text(result))}"
    thought = mapping(mapping(block.get("reasoningContent")).get("reasoningText")).get("text")
    if isinstance(thought, str) and thought:
        return f"*Thinks:*\n\n{_quoted(thought)}"
    return _quoted(text_of(block)) if text_of(block) else ""


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in re.split(r"\r\n|\r|\n", text))


def _fenced(text: str) -> str:
    """A text in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _plain(text: str) -> str:
    """A text on one line in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>|~&])", r"\\\1", " ".join(text.split()))
