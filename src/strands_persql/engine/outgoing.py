"""The rows that one session's writer sends, as values, and what it knows of what is stored. Pure: no I/O, no agent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..database.encoding import REDACTED, Document, encode, is_message, now
from ..database.retention import KEPT_FOR_EVER, Keeping, SessionFacts

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ..client import Statement
    from ..database.decoding import StoredMessage
    from ..database.tables import ChunkKind, Tables
    from .copies import RedactedCopies
    from .tracing import BatchSpan

MAX_STATEMENTS = 100
"""Statements in one batch (PerSQL, "Platform limits")."""

MAX_BODY_BYTES = 4_000_000
"""Bytes of parameters in one batch. PerSQL names no limit for a request's body; its public endpoints take 1 MB."""

DocumentKey: TypeAlias = "tuple[ChunkKind, str, int]"
Key: TypeAlias = "DocumentKey | tuple[Literal['redaction'], str, int]"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message of the transcript; `new` where no row stands at its position yet.

    Attributes:
        agent_id: Whose.
        message_id: Its position.
        document: What was said; None where that stays as it is stored.
        new: Whether no row stands there yet.
        live: What the model sees now; None where it sees what was said.
    """

    agent_id: str
    message_id: int
    document: Document | None
    new: bool
    live: Document | None = None

    @property
    def key(self) -> DocumentKey:
        """What a newer content replaces."""
        return ("message", self.agent_id, self.message_id)

    @property
    def documents(self) -> list[Document]:
        """What is written of it."""
        return [document for document in (self.document, self.live) if document is not None]

    @property
    def has_parts(self) -> bool:
        """Whether any of it is laid out in parts."""
        return bool(self.document and self.document.parts) or bool(self.live and self.live.parts)

    def stands_in(self, data: str, live: str | None) -> bool:
        """Whether a stored row holds what this one writes."""
        said = self.document is None or self.document.data == data
        return said and live == (None if self.live is None else self.live.data)


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent's state and live window."""

    agent_id: str
    window: str | None
    document: Document

    @property
    def key(self) -> DocumentKey:
        """What a newer content replaces."""
        return ("agent", self.agent_id, 0)

    @property
    def has_parts(self) -> bool:
        """Whether it is laid out in parts."""
        return bool(self.document.parts)


@dataclass(frozen=True, slots=True)
class MultiAgentRow:
    """A Graph's or Swarm's state."""

    multi_agent_id: str
    document: Document

    @property
    def key(self) -> DocumentKey:
        """What a newer content replaces."""
        return ("multi_agent", self.multi_agent_id, 0)

    @property
    def has_parts(self) -> bool:
        """Whether it is laid out in parts."""
        return bool(self.document.parts)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Content to be overwritten wherever the transcripts of a session's agents hold it.

    The rows that may hold it are read and compared here: what is redacted is sent nowhere.

    Attributes:
        agent_id: The agent whose message was redacted.
        copies: What was redacted.
        before: The agents, and for each the position after its last message at that time: a newer message may hold it
            again.
    """

    agent_id: str
    copies: RedactedCopies
    before: Mapping[str, int]

    @property
    def key(self) -> Key:
        """What a newer content replaces."""
        return ("redaction", self.agent_id, self.copies.key)

    def rewritten(self, agent_id: str, stored: StoredMessage) -> MessageRow | None:
        """The new content of a stored message, if it holds what is to be redacted, as it was said or as it is seen now.

        Raises:
            SessionDataError: The message can't be read.
        """
        fields = stored.fields()
        versions = [fields] if stored.live is None else [fields, stored.live.fields()]
        messages = [version["message"] for version in versions if is_message(version.get("message"))]
        redacted = next(filter(None, map(self.copies.message, messages)), None)
        if redacted is None:
            return None
        fields.pop("live", None)
        text = encode({**fields, "message": redacted, "updated_at": now(), REDACTED: True}, what="a message")
        document = Document.of(text, created_at=str(fields.get("created_at", "")))
        return MessageRow(agent_id, stored.position, document, new=False)


Row: TypeAlias = MessageRow | AgentRow | MultiAgentRow | Redaction
Rows: TypeAlias = dict[Key, Row]


@dataclass(slots=True)
class Stored:
    """What a writer knows of what is stored.

    Attributes:
        agents: The revision of each agent's row; 0 or absent: there is none.
        multi_agents: The same of Graphs and Swarms.
        next_ids: The position after each agent's last message.
        in_parts: The rows of which parts are stored, or may be: of a message, in either version.
        has_user: Whether the session is somebody's.
        keeping: How long it is kept.
        written: When something of it was written last, of `time.monotonic`.
    """

    agents: dict[str, int] = field(default_factory=lambda: {})
    multi_agents: dict[str, int] = field(default_factory=lambda: {})
    next_ids: dict[str, int] = field(default_factory=lambda: {})
    in_parts: set[Key] = field(default_factory=lambda: set())
    has_user: bool = False
    keeping: Keeping = KEPT_FOR_EVER
    written: float = field(default_factory=time.monotonic)

    def learn(self, facts: SessionFacts) -> None:
        """Take in what its row tells."""
        self.has_user |= facts.has_user
        self.keeping = facts.keeping

    def go_on_from(self, agent_id: str, revision: int, next_id: int = 0, in_parts: Iterable[Key] = ()) -> None:
        """Go on from an agent's stored row (0: none) and transcript, some of which is stored in parts."""
        self.agents[agent_id] = revision
        self.next_ids[agent_id] = next_id
        self.in_parts.update(in_parts)

    def go_on_from_multi_agent(self, multi_agent_id: str, revision: int, *, in_parts: bool) -> None:
        """Go on from a Graph's or Swarm's stored row (0: none)."""
        self.multi_agents[multi_agent_id] = revision
        if in_parts:
            self.in_parts.add(("multi_agent", multi_agent_id, 0))

    def pass_message(self, agent_id: str, message_id: int) -> None:
        """A message stands at this position."""
        self.next_ids[agent_id] = max(self.next_ids.get(agent_id, 0), message_id + 1)


@dataclass(slots=True)
class Batch:
    """The statements of one transaction, and what is stored when it is through.

    Attributes:
        statements: At most `MAX_STATEMENTS`.
        completes: The rows that are stored whole.
        agents: The new revisions of agents, which no other writer makes.
        multi_agents: The new revisions of Graphs and Swarms.
        has_parts: Whether parts of documents are among its statements.
        notes_activity: Whether the session's place among its user's is up to date when it is through.
    """

    statements: list[Statement] = field(default_factory=lambda: [])
    completes: list[Key] = field(default_factory=lambda: [])
    agents: dict[str, int] = field(default_factory=lambda: {})
    multi_agents: dict[str, int] = field(default_factory=lambda: {})
    has_parts: bool = False
    notes_activity: bool = False


def merged(older: Row | None, newer: Row) -> Row:
    """The newer of two rows of one key, which is still new if the older was not stored."""
    if not isinstance(older, MessageRow) or not isinstance(newer, MessageRow):
        return newer
    return replace(newer, document=newer.document or older.document, new=older.new or newer.new)


@dataclass(slots=True)
class Attempts:
    """What was sent since the last success, refused or unanswered: it may be stored all the same, or yet be.

    A row that is sent again and again, while the database can't be reached, stands here once.

    Attributes:
        rows: The contents that were sent for each row.
        agents: The agents' revisions that were sent.
        multi_agents: The same of Graphs and Swarms.
    """

    rows: dict[Key, list[Row]] = field(default_factory=lambda: {})
    agents: set[tuple[str, int]] = field(default_factory=lambda: set())
    multi_agents: set[tuple[str, int]] = field(default_factory=lambda: set())

    def add(self, rows: Iterable[Row], batch: Batch) -> None:
        """A batch was sent, with these rows."""
        for row in rows:
            contents = self.rows.setdefault(row.key, [])
            if not any(row is content for content in contents):
                contents.append(row)
        self.agents.update(batch.agents.items())
        self.multi_agents.update(batch.multi_agents.items())

    def clear(self) -> None:
        """All that was pending is stored."""
        self.rows.clear()
        self.agents.clear()
        self.multi_agents.clear()


@dataclass(slots=True)
class Joined:
    """A turn's one batch, as a leader has taken it along, or as it was stored at once.

    Attributes:
        batch: The batch.
        rows: All that it stores.
        since: When, in nanoseconds since 1970.
        span: The span round a request of its own.
    """

    batch: Batch
    rows: list[Row]
    since: int = field(default_factory=time.time_ns)
    span: BatchSpan | None = None


class Outgoing:
    """The rows that a turn of a writer sends.

    Attributes:
        session_id: The session.
        system: The database's kind, as its spans name it.
        rows: The rows, by their keys.
        known: What is stored, as far as this writer knows.
        attempts: What earlier attempts have sent.
        parent: The context of the event that asked for the turn: its spans belong there.
    """

    def __init__(self, session_id: str, system: str) -> None:
        self.session_id = session_id
        self.system = system
        self.rows: Rows = {}
        self.known = Stored()
        self.attempts = Attempts()
        self.parent: Context | None = None

    def sends_parts(self) -> None:
        """The rows are about to be sent, some of them in parts.

        Parts are sent before the row they belong to: should that never be written, the next writing drops them.
        """
        self.known.in_parts.update(
            row.key for row in self.rows.values() if not isinstance(row, Redaction) and row.has_parts
        )

    def attempted(self, batch: Batch) -> None:
        """A batch was sent, and may be stored although it failed."""
        self.attempts.add([self.rows[key] for key in batch.completes], batch)

    def noted(self, batch: Batch) -> None:
        """A batch was carried out."""
        self.known.written = time.monotonic()
        for key in batch.completes:
            self.is_stored(key)
        self.known.agents.update(batch.agents)
        self.known.multi_agents.update(batch.multi_agents)

    def is_stored(self, key: Key) -> None:
        """A row is stored."""
        row = self.rows[key]
        if isinstance(row, MessageRow):
            self.known.pass_message(row.agent_id, row.message_id)
        if isinstance(row, Redaction):
            pass
        elif row.has_parts:
            self.known.in_parts.add(key)
        elif row.document is not None:  # else the parts of what was said stay
            self.known.in_parts.discard(key)
        del self.rows[key]  # last: whatever interrupts this, it is sent again, and recognised


def only_new_messages(rows: Sequence[Row], tables: Tables, session_id: str, stored: Stored) -> Batch | None:
    """What agents do nearly always: new messages, a statement each, in one batch; None for anything else."""
    if not 0 < len(rows) <= MAX_STATEMENTS:
        return None
    batch = Batch()
    for row in rows:
        if not isinstance(row, MessageRow) or not row.new or row.has_parts or row.key in stored.in_parts:
            return None
        batch.statements.append(statement_of(row, tables, session_id, revision=stored.agents.get(row.agent_id, 0)))
        batch.completes.append(row.key)
    return batch if len(rows) == 1 or size_of(batch.statements) <= MAX_BODY_BYTES else None


def statement_of(row: MessageRow, tables: Tables, session_id: str, *, revision: int) -> Statement:
    """What writes a message, besides its parts."""
    data = None if row.document is None else row.document.data
    live = None if row.live is None else row.live.data
    if row.new and data is not None:
        return tables.messages.add(session_id, row.agent_id, row.message_id, data, live, revision=revision)
    return tables.messages.put(session_id, row.agent_id, row.message_id, data, live, revision=revision)


def size_of(statements: Iterable[Statement]) -> int:
    """What the parameters of statements take in a request, in bytes."""
    return sum(_size(value) for statement in statements for value in statement.get("params", ()))


def _size(value: object) -> int:
    if not isinstance(value, str):
        return 8
    return len(value) if value.isascii() else len(value.encode())
