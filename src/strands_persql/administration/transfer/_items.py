"""What a session consists of while it is imported or exported, how it is checked, and the checksum over it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

from ...database.about import About
from ...database.encoding import LARGEST_NUMBER, is_message
from ...database.encoding import why as because
from ...database.live_window import LiveWindow
from ...database.rewinds import Rewinds
from ...database.tables import Kind
from ...engine.agent_state import Restorable
from ...errors import SessionDataError, brief, named
from ..results import Transfer

Document: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[int, "int | None"], object]
"""Called with the number of messages that are done, and of all messages; None where that is not known."""


@dataclass(frozen=True, slots=True)
class HeadItem:
    """The session's own document, whose it is, and what people call it.

    Attributes:
        messages: How many messages follow; None where that was not asked for.
    """

    data: Document
    about: About = field(default_factory=About)
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class StateItem:
    """The state of an agent, whose messages follow, or of a Graph or Swarm.

    Attributes:
        kind: `"agent"`; `"multi_agent"` for a Graph or Swarm.
        owner: Its id.
        data: Its document.
        window: An agent's live window; None for Strands' own rule.
        updated_at: When a Graph's or Swarm's state was stored last; empty where nothing tells.
        rewinds: An agent's rewinds.
    """

    kind: Kind
    owner: str
    data: Document
    window: LiveWindow | None = None
    updated_at: str = ""
    rewinds: Rewinds = field(default_factory=Rewinds)

    @property
    def name(self) -> str:
        """What it is, for errors: `agent 'default'`."""
        return f"{self.kind.replace('_', '-')} {named(self.owner)}"

    @property
    def live_window(self) -> Any:
        """The live window as decoded JSON."""
        return None if self.window is None else json.loads(self.window.render())

    @property
    def history(self) -> str:
        """Its live window and its rewinds, if any, as canonical JSON."""
        rewinds = f" {canonical(self.rewinds.items)}" if self.rewinds.items else ""
        return f"{canonical(self.live_window)}{rewinds}"

    @property
    def text(self) -> str:
        """Its document, its live window and its rewinds: equal for equal states."""
        return f"{canonical(self.data)} {self.history}"


@dataclass(frozen=True, slots=True)
class MessageItem:
    """A message of the agent before it.

    Attributes:
        agent_id: The agent.
        message_id: Its position.
        data: Its document, as it was said.
        live: The document of what the model sees in its place, where that is something else.
    """

    agent_id: str
    message_id: int
    data: Document
    live: Document | None = None

    @property
    def name(self) -> str:
        """What it is, for errors: `message 3 of agent 'default'`."""
        return f"message {self.message_id} of agent {named(self.agent_id)}"

    @property
    def both(self) -> Document:
        """Its document with what the model sees, as exports have it: readers of Strands' pass over the field."""
        return self.data if self.live is None else {**self.data, "live": self.live}


@dataclass(frozen=True, slots=True)
class ObjectItem:
    """Something else that Strands has stored for the session, such as an offloaded result.

    Attributes:
        key: Its key as it is in all sessions (`SessionObjects.relative`).
        value: The value.
    """

    key: str
    value: bytes


Item: TypeAlias = HeadItem | StateItem | MessageItem | ObjectItem


@dataclass(frozen=True, slots=True)
class SourceSession:
    """One session of a source.

    Attributes:
        session_id: What it is called there.
        items: All of it, in the order that this package's docstring tells. Reading raises `SessionDataError` where
            something is missing or can't be read.
    """

    session_id: str
    items: Iterator[Item]


class Source(Protocol):
    """Where sessions come from."""

    def session_ids(self) -> list[str] | None:
        """The ids of its sessions; None where they are known only after reading it all."""
        ...

    def count(self, session_ids: Iterable[str]) -> int | None:
        """How many messages these sessions have; None where that is known only after reading them."""
        return None

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        """One session, or all of them, each to be read before the next.

        Raises:
            SessionDataError: There is no such session.
        """
        ...


class Target(Protocol):
    """Where a session is written to.

    Attributes:
        counts: Whether the number of messages is written too, at the beginning.
        again: Whether files of an earlier export are used: then a wrong checksum is worth a second try without them.
        for_people: Whether the agents stand in the order in which people look at them, and not in that of their ids.
    """

    counts: bool
    again: bool = False
    for_people: bool = False

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        """Write a session of so many messages, and read it back.

        Returns:
            The checksum of what is then there, and how many messages were written.

        Raises:
            SessionDataError: Something else stands in its place.
            ValueError: An agent's id can't be written there.
        """
        ...

    def finish(self) -> None:
        """Put what was written in its place."""
        ...

    def discard(self) -> None:
        """Delete what was written, but nothing that stood in its place before."""
        ...


class Checksum:
    """SHA-256 over a session: its messages in order, then the documents of its agents, Graphs and Swarms.

    Each document is added as canonical JSON, so that its spelling doesn't count; neither does the session's name. What
    the model sees has a checksum of its own, live windows and messages in the place of others: Strands has neither. So
    have the session's objects.

    Attributes:
        agents: How many agents were added.
        messages: How many messages.
        multi_agents: How many Graphs and Swarms.
    """

    def __init__(self) -> None:
        self.agents = self.messages = self.multi_agents = 0
        self._sha = hashlib.sha256()
        self._windows, self._live = hashlib.sha256(), hashlib.sha256()
        self._has_live = False
        self._objects = hashlib.sha256()
        self._documents: list[str] = []

    @classmethod
    def of(cls, items: Iterable[Item]) -> Checksum:
        """The checksum of a whole session."""
        checksum = cls()
        for item in items:
            checksum.add(item)
        return checksum

    def add(self, item: Item) -> None:
        """Add an item."""
        if isinstance(item, MessageItem):
            self.add_message(item, canonical(item.data))
        elif isinstance(item, ObjectItem):
            self._objects.update(f"{json.dumps([item.key, hashlib.sha256(item.value).hexdigest()])}\n".encode())
        elif isinstance(item, StateItem):
            self._documents.append(f'["{item.kind}",{json.dumps(item.owner)},{canonical(item.data)}]\n')
            if item.kind == "agent":
                self.agents += 1
                self._windows.update(f"{item.history}\n".encode())
            else:
                self.multi_agents += 1

    def add_message(self, item: MessageItem, text: str) -> None:
        """Add a message whose canonical text is known."""
        self.messages += 1
        if item.live is not None:
            self._has_live = True
            self._live.update(f"[{json.dumps(item.agent_id)},{item.message_id},{canonical(item.live)}]\n".encode())
        self._sha.update(f"[{json.dumps(item.agent_id)},{item.message_id},{text}]\n".encode())

    def of_messages(self) -> Checksum:
        """A new checksum that begins with the messages added so far, and no other documents."""
        other = Checksum()
        other.messages, other._sha = self.messages, self._sha.copy()
        other._live, other._has_live = self._live.copy(), self._has_live
        return other

    def hexdigest(self) -> str:
        """The checksum of what was added so far."""
        sha = self._sha.copy()
        for document in self._documents:
            sha.update(document.encode())
        return sha.hexdigest()

    def windows(self) -> str:
        """The checksum of what the model sees of the agents added so far: windows, rewinds, and messages' `live`."""
        sha = self._windows.copy()
        if self._has_live:
            sha.update(self._live.digest())
        return sha.hexdigest()

    def objects(self) -> str:
        """The checksum of the session's objects, in their order."""
        return self._objects.hexdigest()

    def transfer(self, session_id: str, *, written: int, requests: int) -> Transfer:
        """What an import or export answers that has brought over what was added."""
        return Transfer(
            session_id, self.agents, self.messages, self.multi_agents, written, requests, checksum=self.hexdigest()
        )


def canonical(value: object) -> str:
    """A decoded document as JSON with sorted keys, ASCII alone and no space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


_BREAKS = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""Characters that JSON allows in a line, and at which `str.splitlines` ends it."""


def one_line(text: str) -> str:
    """JSON that everybody takes for one line."""
    return text if text.isascii() else text.translate(_BREAKS)


def malformed(where: str, why: str) -> SessionDataError:
    """The error for a source that can't be read.

    Args:
        where: The file, object or line.
        why: What is wrong.
    """
    return SessionDataError(
        f"{brief(where)} can't be imported: {why}. Mend it and import again: what has been stored already stays and is "
        "not sent twice, and no agent restores from half a session."
    )


def decoded_object(text: str | bytes, where: str) -> Document:
    """Decode a JSON object in UTF-8; bytes in it stay encoded.

    Raises:
        SessionDataError: It is none.
    """
    try:
        value = json.loads(text if isinstance(text, str) else text.decode())
        canonical(value)  # a value that is nested too deep can be read, but not written again
    except UnicodeDecodeError as error:
        raise malformed(where, "it is not UTF-8") from error
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


def checked_head(line: Document, where: str, versions: Mapping[str, int]) -> Document:
    """A session's first line, if it is of a format, and of its version, among those given.

    Raises:
        SessionDataError: It is something else.
    """
    form = line.get("format")
    if not isinstance(form, str) or form not in versions or not isinstance(line.get("session_id"), str):
        raise malformed(where, "a session's first line, with its format and session_id, should stand here")
    if (version := line.get("version")) != versions[form]:
        reads = f"and this version of strands-persql reads {versions[form]}"
        raise malformed(where, f"it has version {named(version)} of the format, {reads}")
    return line


def checked_about(value: object, where: str) -> About:
    """What is known about a session, from what its `document` made.

    Raises:
        SessionDataError: It is something else.
    """
    try:
        return About.of_document(checked_object(value, where))
    except (TypeError, ValueError) as error:
        raise malformed(where, f"whose the session is, and what it is called, can't be read: {error}") from error


def agent_item(agent_id: str, data: Document, where: str, live_window: object = None) -> StateItem:
    """An agent, from its document and its live window's decoded JSON.

    Raises:
        SessionDataError: The document is no agent of Strands', or no agent restores from the window.
    """
    try:
        window = None if live_window is None else LiveWindow.parse(live_window)
    except ValueError as error:
        raise malformed(where, f"its live window is none ({error})") from error
    try:
        Restorable.of(data)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise malformed(where, f"it is no agent of Strands' ({because(error)})") from error
    return StateItem("agent", agent_id, data, window)


def message_item(agent_id: str, message_id: int, data: Document, where: str) -> MessageItem:
    """A message, from its document, perhaps with what the model sees in its place (see `MessageItem.both`).

    Raises:
        SessionDataError: The document is no message of Strands'.
    """
    said = {name: value for name, value in data.items() if name != "live"}
    live: Document | None = data["live"] if isinstance(data.get("live"), dict) else None
    for document in (said, live):
        if document is not None and not is_message(document.get("redact_message") or document.get("message")):
            raise malformed(where, "it holds no message with a role and a list of content blocks")
    return MessageItem(agent_id, message_id, said, live)


def checked_position(value: object, where: str, *, after: int = -1) -> int:
    """A message's position, if it is one.

    Raises:
        SessionDataError: It is something else, or not greater than the one before it.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST_NUMBER:
        raise malformed(where, f"a message's position is a number from 0 up, not {named(value)}")
    if value <= after:
        raise malformed(where, f"message {value} stands after message {after}")
    return value
