"""Rows read back: documents whole, with their parts joined, or an error that names the row. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from ..errors import EncryptionError, SessionDataError, named
from .encoding import LARGEST_NUMBER, PARTS_MARKER, SEALED, decode, is_message
from .retention import NO_FACTS, SessionFacts

if TYPE_CHECKING:
    from .query import Row, Rows


class Part(NamedTuple):
    """One part of a document: of which writing of it, which part, and its text."""

    generation: str
    number: int
    text: str


class FoundParts:
    """The parts that an answer holds, by the document that they belong to.

    Args:
        rows: The rows: `owner, message_id, generation, part`, and `data`.
    """

    def __init__(self, rows: Rows = ()) -> None:
        self._parts: dict[tuple[str, int], list[Part]] = {}
        for row in rows:
            key = (row["owner"], row["message_id"])
            self._parts.setdefault(key, []).append(Part(row["generation"], row["part"], row["data"]))

    def of(self, owner: str, message_id: int = 0) -> list[Part]:
        """The parts of one document; none of one that stands in its row."""
        return self._parts.get((owner, message_id), [])

    def messages(self) -> Iterable[tuple[str, int]]:
        """The messages of which there are parts: agent and position."""
        return self._parts


@dataclass(frozen=True, slots=True)
class Marker:
    """What the `data` of a row holds whose document is stored in parts."""

    count: int
    generation: str
    created_at: str


def is_in_parts(data: str) -> bool:
    """Whether the `data` of a row is the marker of a document in parts."""
    return isinstance(data, str) and data.startswith(PARTS_MARKER)  # pyright: ignore[reportUnnecessaryIsInstance]


def marker_of(data: str, *, what: str) -> Marker:
    """The marker in a row's `data`.

    Raises:
        SessionDataError: It can't be read.
    """
    try:
        marker: dict[str, Any] = json.loads(data)
        count, generation, created_at = marker["persql_parts"], marker["generation"], marker.get("created_at", "")
        if isinstance(count, int) and count > 0 and isinstance(generation, str) and isinstance(created_at, str):
            return Marker(count, generation, created_at)
    except (ValueError, KeyError):
        pass
    raise SessionDataError(
        f"{what} is stored in parts, and what names them can't be read. Nothing was changed. Look at the column data "
        "of that row, and mend it, delete it, or use another session id."
    )


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as its rows hold it; it is decoded when it is asked for.

    Attributes:
        what: What it is, for errors: "The row of agent 'default'".
        data: What its row holds.
        parts: The parts that were found for it, of any generation.
    """

    what: str
    data: str
    parts: Sequence[Part] = ()

    @property
    def marker(self) -> Marker:
        """What names its parts.

        Raises:
            SessionDataError: It can't be read.
        """
        return marker_of(self.data, what=self.what)

    @property
    def in_parts(self) -> bool:
        """Whether parts of it are stored, or should be."""
        return bool(self.parts) or is_in_parts(self.data)

    def text(self) -> str:
        """The whole text.

        Raises:
            SessionDataError: A part is missing.
        """
        if not is_in_parts(self.data):
            if not isinstance(self.data, str):  # pyright: ignore[reportUnnecessaryIsInstance] - changed by hand
                raise SessionDataError(unreadable(self.what, "it is no text"))
            if self.data.startswith(SEALED):  # opened where a key was given
                raise sealed_error(self.what)
            return self.data
        marker = self.marker
        parts = {part.number: part.text for part in self.parts if part.generation == marker.generation}
        # The count is not to be trusted with a loop: it may have been changed by hand.
        if len(parts) < marker.count or not all(number in parts for number in range(marker.count)):
            raise SessionDataError(
                f"{self.what} is stored in {marker.count} parts, of which {len(parts)} are there. Nothing was changed. "
                "Look at its rows in the chunks table, delete the row, or use another session id."
            )
        return "".join(parts[number] for number in range(marker.count))

    def fields(self, *, with_bytes: bool = True) -> dict[str, Any]:
        """The document.

        Args:
            with_bytes: Decode bytes; False leaves them as JSON has them.

        Raises:
            SessionDataError: It can't be read.
        """
        text = self.text()
        try:
            value = decode(text) if with_bytes else json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SessionDataError(unreadable(self.what, "it is no JSON")) from error
        if not isinstance(value, dict):
            raise SessionDataError(unreadable(self.what, "it is no JSON object"))
        document = cast("dict[str, Any]", value)
        if is_in_parts(self.data):  # an update keeps the marker's, as it keeps a whole document's
            created_at = self.marker.created_at
            if created_at:
                document["created_at"] = created_at
        return document


@dataclass(frozen=True, slots=True)
class StoredMessage(StoredDocument):
    """A message of the transcript as its rows hold it.

    Attributes:
        position: Its `message_id`.
        live: The message as the model sees it now, where that is something else, and was read.
    """

    position: int = 0
    live: StoredMessage | None = None

    @classmethod
    def of(cls, row: Row, agent_id: str, parts: FoundParts) -> StoredMessage:
        """The message in a row of an agent: `message_id, data`, and `live` where that is asked for."""
        position: int = row["message_id"]
        what = f"Message {position} of agent {named(agent_id)}"
        own = parts.of(agent_id, position)
        live: str | None = row.get("live")
        return cls(
            what,
            row["data"],
            own,
            position,
            None if live is None else cls(f"{what}, as it is seen now,", live, own, position),
        )

    def record(self, *, with_bytes: bool = True) -> dict[str, Any]:
        """The fields of Strands' `SessionMessage`, among them a message that is one.

        Raises:
            SessionDataError: It can't be read, or holds no message.
        """
        fields = self.fields(with_bytes=with_bytes)
        if not is_message(shown(fields)):
            raise SessionDataError(
                unreadable(self.what, "it holds no message with a role and a list of content blocks")
            )
        return fields

    def missing(self, limit: int) -> range:
        """The next parts to be read, from the first that is not there, and at most so many.

        Raises:
            SessionDataError: Its marker can't be read.
        """
        if not is_in_parts(self.data):
            return range(0)
        marker = self.marker
        there = {part.number for part in self.parts if part.generation == marker.generation}
        first = next(number for number in range(len(there) + 1) if number not in there)
        return range(first, min(marker.count, first + limit))

    def with_parts(self, parts: Iterable[Part]) -> StoredMessage:
        """The same, with more of its parts."""
        return replace(self, parts=[*self.parts, *parts])


def shown(record: Mapping[str, Any]) -> Any:
    """What the model sees of a `SessionMessage`, given its fields."""
    return record.get("redact_message") or record.get("message")


class AgentRecord(NamedTuple):
    """An agent's row.

    Attributes:
        agent_id: Its id.
        revision: Goes up with each write of the row.
        window: The live window's JSON; None where a repository wrote the row, which knows no window.
        document: The fields of Strands' `SessionAgent`.
        last_message_id: The position of its last message; None where it has none.
        last_time: When that was written, where it was read.
        facts: What is known of its session, where that was read.
        rewinds: Its rewinds' JSON, where that was read; None where it has none.
    """

    agent_id: str
    revision: int
    window: str | None
    document: StoredDocument
    last_message_id: int | None
    last_time: str = ""
    facts: SessionFacts = NO_FACTS
    rewinds: str | None = None

    @property
    def last(self) -> int:
        """The position of its last message; -1 where it has none."""
        return -1 if self.last_message_id is None else self.last_message_id

    @classmethod
    def of(cls, row: Row, parts: FoundParts) -> AgentRecord:
        """The agent in a row: `agent_id, revision, live_window, data, last_message_id`."""
        agent_id: str = row["agent_id"]
        document = StoredDocument(f"The row of agent {named(agent_id)}", row["data"], parts.of(agent_id))
        more = (row.get("last_time") or "", SessionFacts.of_column(row.get("facts")), row.get("rewinds"))
        return cls(agent_id, row["revision"], row["live_window"], document, row["last_message_id"], *more)


class StoredMultiAgent(NamedTuple):
    """A Graph's or Swarm's state as it is stored."""

    revision: int
    state: dict[str, Any]
    text: str
    in_parts: bool
    facts: SessionFacts = NO_FACTS

    @property
    def last_active(self) -> str:
        """When its session was last active, as far as its row and the session's tell: ISO 8601, or empty."""
        return self.facts.noted

    @classmethod
    def of(cls, row: Row, parts: FoundParts) -> StoredMultiAgent:
        """The Graph or Swarm in a row: `multi_agent_id, revision, data`.

        Raises:
            SessionDataError: The row can't be read.
        """
        owner: str = row["multi_agent_id"]
        document = StoredDocument(f"The row of multi-agent {named(owner)}", row["data"], parts.of(owner))
        fields = document.fields()
        revision = number(row["revision"], document.what, "revision", least=1)
        return cls(revision, fields, document.text(), document.in_parts, SessionFacts.of_column(row.get("facts")))


class RestorePage(NamedTuple):
    """The first page of a restore.

    Attributes:
        agents: The agents.
        windowed: The messages in their live windows (`agent_id, message_id, data`), in no order: as rows, since there
            may be thousands.
        unwindowed: The messages of agents with no live window by Strands' own rule, less those removed, as far as
            SQLite could read how many: `removed` tells.
        parts: The parts of messages.
        has_all_parts: Whether these are all.
    """

    agents: list[AgentRecord]
    windowed: Rows
    unwindowed: Rows
    parts: FoundParts
    has_all_parts: bool


class Settlement(NamedTuple):
    """What stands in the rows that a refused batch was to write.

    Attributes:
        session_exists: Whether the session has a row.
        agents: The rows of agents, by their ids.
        multi_agents: The revision and the `data` of Graphs and Swarms, by their ids.
        messages: The `data` of messages, by agent and position.
        live: Their `live`.
    """

    session_exists: bool
    agents: dict[str, AgentRecord]
    multi_agents: dict[str, tuple[int, str]]
    messages: dict[tuple[str, int], str]
    live: Mapping[tuple[str, int], str | None] = {}

    def revision(self, kind: Literal["agent", "multi_agent"], owner: str) -> int | None:
        """The revision of an agent, Graph or Swarm; None where it has no row."""
        if kind == "agent":
            return self.agents[owner].revision if owner in self.agents else None
        return self.multi_agents[owner][0] if owner in self.multi_agents else None


def sealed_error(what: str) -> EncryptionError:
    """The error for an encrypted document where no key was given."""
    return EncryptionError(
        f"{what} is encrypted, and no key was given. Nothing was changed. Give the key that it was encrypted with: "
        "encryption=Encryption(key), or --key-file on the command line."
    )


def number(value: object, what: str, name: str, *, least: int = 0) -> int:
    """A revision or a position that can go up: one that was changed by hand may be none.

    Raises:
        SessionDataError: It is no number that is exact in JSON.
    """
    if isinstance(value, int) and least <= value < LARGEST_NUMBER:
        return value
    found = value if isinstance(value, (int, float)) else f"a {type(value).__name__}"
    raise SessionDataError(unreadable(what, f"its {name} is {found}", column=name))


def unreadable(what: str, why: str, *, column: str = "data") -> str:
    """The words for a row that can't be read."""
    return (
        f"{what} can't be read: {why}. Nothing was changed. Look at the column {column} of that row, and mend it, "
        "delete it, or use another session id."
    )
