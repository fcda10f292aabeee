"""What a session is made of while it is on its way, and the checksum over it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from ...database.encoding import LARGEST_NUMBER, is_message
from ...database.live_window import LiveWindow
from ...engine.agent_state import Restorable
from ...errors import SessionDataError

__all__ = [
    "AgentItem",
    "Checksum",
    "Document",
    "HeadItem",
    "Item",
    "MessageItem",
    "MultiAgentItem",
    "Progress",
    "Source",
    "SourceSession",
    "canonical",
    "checked_agent",
    "checked_id",
    "checked_message",
    "checked_position",
    "checked_window",
    "malformed",
    "parsed",
    "shortened",
]

Document: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[int, "int | None"], object]
"""Called with the messages that are done, and how many there are; None where nothing tells."""


@dataclass(frozen=True, slots=True)
class HeadItem:
    """The session's own document."""

    data: Document


@dataclass(frozen=True, slots=True)
class AgentItem:
    """An agent; its messages follow.

    Attributes:
        agent_id: Its id.
        data: Its document.
        window: Its live window, decoded; None for Strands' own rule.
    """

    agent_id: str
    data: Document
    window: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class MessageItem:
    """A message of the agent before."""

    agent_id: str
    message_id: int
    data: Document


@dataclass(frozen=True, slots=True)
class MultiAgentItem:
    """A Graph's or Swarm's state."""

    multi_agent_id: str
    data: Document


Item: TypeAlias = HeadItem | AgentItem | MessageItem | MultiAgentItem


class SourceSession(Protocol):
    """One session of a source."""

    @property
    def session_id(self) -> str:
        """What it is called there."""
        ...

    def items(self) -> Iterator[Item]:
        """All of it, in the order that this package's docstring tells."""
        ...


class Source(Protocol):
    """Where sessions come from."""

    def session_ids(self) -> list[str] | None:
        """Which sessions it has; None where only reading it all would tell."""
        ...

    def count(self, session_ids: Iterable[str]) -> int | None:
        """How many messages these sessions have; None where only reading them would tell."""
        ...

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        """One session, or all of them, each to be read before the next."""
        ...


class Checksum:
    """SHA-256 over a session: its messages in order, then the documents of its agents, Graphs and Swarms.

    Each goes in as canonical JSON, so that neither the spelling of a document nor the session's name count. Live
    windows have one of their own: Strands' formats have none.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._windows = hashlib.sha256()
        self._documents: list[str] = []

    def message(self, agent_id: str, message_id: int, text: str) -> None:
        """Add a message, by its canonical text."""
        self._sha.update(f"[{json.dumps(agent_id)},{message_id},{text}]\n".encode())

    def agent(self, agent_id: str, text: str) -> None:
        """Add an agent's document."""
        self._documents.append(f'["agent",{json.dumps(agent_id)},{text}]\n')

    def multi_agent(self, multi_agent_id: str, text: str) -> None:
        """Add a Graph's or Swarm's."""
        self._documents.append(f'["multi_agent",{json.dumps(multi_agent_id)},{text}]\n')

    def add(self, item: Item) -> None:
        """Add whatever it is."""
        if isinstance(item, MessageItem):
            self.message(item.agent_id, item.message_id, canonical(item.data))
        elif isinstance(item, AgentItem):
            self.agent(item.agent_id, canonical(item.data))
            self._windows.update(f"{canonical(item.window)}\n".encode())
        elif isinstance(item, MultiAgentItem):
            self.multi_agent(item.multi_agent_id, canonical(item.data))

    def of_messages(self) -> Checksum:
        """The same over the messages so far, with no documents, to go on apart."""
        other = Checksum()
        other._sha = self._sha.copy()
        return other

    def hexdigest(self) -> str:
        """The checksum of what was added so far."""
        sha = self._sha.copy()
        for document in self._documents:
            sha.update(document.encode())
        return sha.hexdigest()

    def windows(self) -> str:
        """The checksum of the live windows of the agents that were added, in their order."""
        return self._windows.hexdigest()


def canonical(value: object) -> str:
    """A decoded document in the one way of writing it: keys sorted, ASCII alone, no space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def malformed(where: str, why: str) -> SessionDataError:
    """The error for a source that can't be read.

    Args:
        where: The file, object or line.
        why: What is wrong.
    """
    return SessionDataError(
        f"{where} can't be imported: {why}. Mend it and import again: what has been stored already stays and is not "
        "sent twice, and no agent restores from half a session."
    )


def parsed(text: str, where: str) -> Document:
    """Decode a JSON object; bytes in it stay encoded.

    Raises:
        SessionDataError: It is none.
    """
    try:
        value = json.loads(text)
        canonical(value)  # nested too deep to be written again
    except (ValueError, RecursionError) as error:
        raise malformed(where, f"it is no JSON ({error})") from error
    return checked_object(value, where)


def checked_object(value: object, where: str) -> Document:
    """A decoded value, if it is a JSON object.

    Raises:
        SessionDataError: It is something else.
    """
    if isinstance(value, dict):
        return cast("Document", value)
    raise malformed(where, f"it is no JSON object but {type(value).__name__}")


def checked_message(document: Document, where: str) -> Document:
    """A message's document, if it is one of Strands'.

    Raises:
        SessionDataError: It is something else.
    """
    if is_message(document.get("redact_message") or document.get("message")):
        return document
    raise malformed(where, "it holds no message with a role and a list of content blocks")


def checked_agent(document: Document, where: str) -> Document:
    """An agent's document, if it is one of Strands'.

    Raises:
        SessionDataError: It is something else.
    """
    try:
        Restorable.of(document)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise malformed(where, f"it is no agent of Strands' ({type(error).__name__}: {error})") from error
    return document


def checked_window(value: object, where: str) -> list[Any] | None:
    """A live window's JSON, if it is one that an agent restores from.

    Raises:
        SessionDataError: It is something else.
    """
    if value is None:
        return None
    try:
        LiveWindow.parse(value)
    except ValueError as error:
        raise malformed(where, f"its live window is none ({error})") from error
    return cast("list[Any]", value)


def checked_id(item: AgentItem | MultiAgentItem, session_id: str) -> None:
    """Check that something can be opened by its id once it is stored.

    Raises:
        SessionDataError: It can't.
    """
    kind, owner = ("Agent", item.agent_id) if isinstance(item, AgentItem) else ("Multi-agent", item.multi_agent_id)
    where = f"{kind} {shortened(owner)} of session {shortened(session_id)}"
    try:
        owner.encode()
    except UnicodeEncodeError as error:
        raise malformed(where, "its id is no valid Unicode: it holds a lone surrogate") from error
    # Strands checks agents' ids when they are built (`strands/_identifier.py`), and takes an empty one for 'default'.
    if isinstance(item, AgentItem) and (not owner or os.path.basename(owner) != owner):
        raise malformed(where, "Strands builds no agent with this id, which is empty or holds a path separator")


def shortened(name: str) -> str:
    """A name as errors show it, which may be longer than anybody reads."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def checked_position(value: object, where: str) -> int:
    """A message's position, if it is one.

    Raises:
        SessionDataError: It is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_NUMBER:
        return value
    raise malformed(where, f"a message's position is a number from 0 up, not {value!r}")
