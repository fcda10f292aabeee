"""What other libraries' sessions are made of, and how that becomes a session of Strands'. Pure: no I/O."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal

from ....database.about import LONGEST_METADATA, LONGEST_NAME, LONGEST_TITLE, About, checked_metadata
from ....database.encoding import mapping
from ....database.live_window import LiveWindow
from ....errors import named
from .._items import Document, HeadItem, Item, MessageItem, agent_item, canonical, message_item

MANAGER = {"__name__": "SlidingWindowConversationManager", "removed_message_count": 0}
"""What an agent with Strands' usual conversation manager has stored at its beginning."""

AGENT_ID = "default"
"""The agent of a session that has one: as Strands calls an agent that was built without a name."""

BEGINNING = "1970-01-01T00:00:00+00:00"
"""The time of what has none: the same in each import, or an interrupted one could not go on."""


@dataclass(frozen=True)
class Piece:
    """A message of another library's, or a part of one.

    Attributes:
        kind: `"prompt"`, `"answer"` of the model, or `"results"` of tools. Answers in a row make one message of
            Strands', and so do results; each prompt is one by itself.
        blocks: What it says, as content blocks of Strands'; bytes as Strands writes them into JSON.
        at: When it was said: ISO 8601; empty where nothing tells.
        rest: What Strands has no place for.
        usage: The tokens of the model's call, as Strands counts them; empty where nothing tells.
    """

    kind: Literal["prompt", "answer", "results"]
    blocks: list[Document]
    at: str = ""
    rest: Document = field(default_factory=lambda: {})
    usage: Document = field(default_factory=lambda: {})


@dataclass(frozen=True)
class Conversation:
    """The history of one agent.

    Attributes:
        pieces: What was said, in order.
        agent_id: The agent.
        state: What it keeps beside its messages (`agent.state`).
        document: Its own, where Strands has written one: it takes the place of all but `state`.
    """

    pieces: Iterable[Piece]
    agent_id: str = AGENT_ID
    state: Document = field(default_factory=lambda: {})
    document: Document | None = None


@dataclass(frozen=True)
class ForeignSession:
    """A session of another library's, but for what was said in it.

    Attributes:
        writer: The library that wrote it: the key under which what has no place is kept.
        session_id: Its id there.
        created_at: When it began: ISO 8601; empty where nothing tells.
        updated_at: When it was written last.
        user: Whose it is; None where nothing tells.
        title: Its title; None where it has none.
        rest: What Strands has no place for.
    """

    writer: str
    session_id: str
    created_at: str = ""
    updated_at: str = ""
    user: str | None = None
    title: str | None = None
    rest: Document = field(default_factory=lambda: {})

    def items(self, conversations: Iterable[Conversation], where: str) -> Iterator[Item]:
        """The session as it is imported.

        Args:
            conversations: In the order of their agents' ids.
            where: What it is, for errors.

        Raises:
            SessionDataError: A piece holds something that is no JSON.
        """
        created_at = self.created_at or BEGINNING
        times = {"created_at": created_at, "updated_at": self.updated_at or created_at}
        about, overflow = about_of(self.writer, self.rest, user=self.user, title=self.title)
        document = {"session_id": self.session_id, "session_type": "AGENT", **times}
        yield HeadItem(document, replace(about, active=times["updated_at"]))
        for each in conversations:
            each, unsaid = _unsaid(each)
            kept = {**mapping(each.state.get(self.writer)), **overflow, **({"messages": unsaid} if unsaid else {})}
            state = {**each.state, **({self.writer: kept} if kept else {})}
            data = {
                "agent_id": each.agent_id,
                "state": state,
                "conversation_manager_state": dict(MANAGER),
                "_internal_state": {},
                **times,
            }
            window: object = LiveWindow().render()
            if each.document is not None:  # Strands' own rule skips what its conversation manager has taken out
                data, window = {**each.document, "agent_id": each.agent_id, "state": state}, None
            yield agent_item(each.agent_id, data, f"Agent {named(each.agent_id)} of {where}", window)
            yield from _messages(self.writer, each, created_at, where)
            overflow = {}


def agent_ids(names: Iterable[str], main: str, taken: Iterable[str] = ()) -> dict[str, str]:
    """The ids that agents have in Strands, by what a library calls them: none twice, and none with a slash in it.

    Args:
        names: What the library calls them.
        main: The one among them that becomes the agent `default`.
        taken: The ids of other agents.
    """
    ids = {main: AGENT_ID}
    used = {AGENT_ID, *taken}
    for name in sorted(set(names) - {main}):
        wanted = name.replace("/", "-").replace("\\", "-") or "agent"
        numbered = (f"{wanted}-{number}" for number in itertools.count(2))
        ids[name] = next(each for each in itertools.chain([wanted], numbered) if each not in used)
        used.add(ids[name])
    return ids


def _unsaid(conversation: Conversation) -> tuple[Conversation, list[Document]]:
    """The same conversation; and what stands in it if that is nothing that a model would see."""
    ahead: list[Piece] = []
    rest = iter(conversation.pieces)
    for piece in rest:
        ahead.append(piece)
        if piece.blocks:
            return replace(conversation, pieces=itertools.chain(ahead, rest)), []
    return replace(conversation, pieces=()), [piece.rest for piece in ahead if piece.rest]


def about_of(
    library: str, rest: Document, *, user: str | None = None, title: str | None = None
) -> tuple[About, Document]:
    """Whose a session is and what people call it; and what is too much for its metadata.

    Args:
        library: The key in the metadata under which what has no place is kept.
        rest: What has no place.
        user: The user.
        title: The title.
    """
    known_user, known_title = _short(user, LONGEST_NAME), _short(title, LONGEST_TITLE)
    left = {name: value for name, value in (("user", user), ("title", title)) if value not in (known_user, known_title)}
    known: Document = {}
    overflow: Document = {}
    for name, value in {**rest, **left}.items():
        if value in (None, "", [], {}):
            continue
        fits = len(canonical({**known, name: value})) < LONGEST_METADATA - 200 and _is_metadata({name: value})
        (known if fits else overflow)[name] = value
    metadata: Mapping[str, Any] = {library: known} if known else {}
    return About.of(user=known_user, title=known_title, metadata=metadata), overflow


def _short(text: str | None, most: int) -> str | None:
    return text if text and text.strip() and len(text) <= most else None


def _is_metadata(value: Document) -> bool:
    try:
        checked_metadata({"": value})
    except (TypeError, ValueError):
        return False
    return True


def _messages(library: str, conversation: Conversation, at: str, where: str) -> Iterator[MessageItem]:
    """A conversation's pieces, joined into messages whose roles change as models expect it."""
    said: _Message | None = None
    waiting: list[Document] = []
    position = 0
    for piece in conversation.pieces:
        at = piece.at or at
        if not piece.blocks:  # nothing that a model would see: kept with the message before it, or else after it
            if piece.rest:
                (waiting if said is None else said.rest).append(piece.rest)
            continue
        if said is not None and (piece.kind != said.kind or piece.kind == "prompt"):
            yield said.item(library, conversation.agent_id, position, where)
            position, said = position + 1, None
        if said is None:
            said, waiting = _Message(piece.kind, at, rest=waiting), []
        said.take(piece)
    if said is not None:
        yield said.item(library, conversation.agent_id, position, where)


@dataclass
class _Message:
    """A message of Strands' in the making."""

    kind: str
    at: str
    blocks: list[Document] = field(default_factory=lambda: [])
    rest: list[Document] = field(default_factory=lambda: [])
    usage: Document = field(default_factory=lambda: {})

    def take(self, piece: Piece) -> None:
        self.blocks += piece.blocks
        if piece.rest:
            self.rest.append(piece.rest)
        for name, count in piece.usage.items():
            self.usage[name] = self.usage.get(name, 0) + count

    def item(self, library: str, agent_id: str, position: int, where: str) -> MessageItem:
        message: Document = {"role": "assistant" if self.kind == "answer" else "user", "content": self.blocks}
        metadata: Document = {}
        if self.usage:
            metadata["usage"] = self.usage
        if self.rest:
            metadata["custom"] = {library: self.rest}
        if metadata:
            message["metadata"] = metadata
        data = {
            "message": message,
            "message_id": position,
            "redact_message": None,
            "created_at": self.at,
            "updated_at": self.at,
        }
        return message_item(agent_id, position, data, f"Message {position} of {where}")


def time_of_seconds(value: object) -> str:
    """A Unix time in seconds as ISO 8601; empty where it is none."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, timezone.utc).isoformat()
    except (OverflowError, ValueError, OSError):
        pass
    return ""


def time_of_text(value: object) -> str:
    """A time as text, in UTC where it names no zone, as ISO 8601; empty where it is none."""
    try:
        found = datetime.fromisoformat(str(value).replace("Z", "+00:00")) if value else None
    except ValueError:
        return ""
    if found is None:
        return ""
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).isoformat()


def tokens(input_tokens: object, output_tokens: object, *, cached: object = None, written: object = None) -> Document:
    """Tokens as Strands counts them; nothing where neither count is one."""
    counts = [value if isinstance(value, int) and value >= 0 else 0 for value in (input_tokens, output_tokens)]
    if not any(counts):
        return {}
    usage = {"inputTokens": counts[0], "outputTokens": counts[1], "totalTokens": sum(counts)}
    for name, value in (("cacheReadInputTokens", cached), ("cacheWriteInputTokens", written)):
        if isinstance(value, int) and value > 0:
            usage[name] = value
    return usage
