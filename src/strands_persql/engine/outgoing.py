"""What one session's writer is sending, and what it knows of what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from .planner import Batch, Key, MessageRow, MultiAgentRow, Redaction, Row, Stored
from .tracing import BatchSpan

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ..client import Statement

__all__ = ["Attempts", "Outgoing", "Rows"]

Rows: TypeAlias = dict[Key, Row]


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


class Outgoing:
    """The rows that a turn of a writer sends.

    Attributes:
        session_id: The session.
        rows: The rows, by their keys.
        known: What is stored, as far as this writer knows.
        attempts: What earlier attempts have sent.
        parent: The context of the event that asked for the turn: its spans belong there.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.rows: Rows = {}
        self.known = Stored()
        self.attempts = Attempts()
        self.parent: Context | None = None

    def span(self, name: str, statements: Sequence[Statement], rows: Iterable[Row] | None = None) -> BatchSpan:
        """A span round a request for these rows; for all, where none are named."""
        rows = self.rows.values() if rows is None else rows
        owners = (row.multi_agent_id if isinstance(row, MultiAgentRow) else row.agent_id for row in rows)
        return BatchSpan(name, statements, session_id=self.session_id, agent_ids=owners, parent=self.parent)

    def sends_parts(self) -> None:
        """The rows are about to be sent, some of them in parts.

        Parts are sent before the row they belong to: should that never be written, the next writing drops them.
        """
        self.known.in_parts.update(
            row.key for row in self.rows.values() if not isinstance(row, Redaction) and row.document.parts
        )

    def was_sent(self, key: Key) -> bool:
        """Whether a row's content has left this process, or is leaving it."""
        return key in self.rows or key in self.attempts.rows

    def attempted(self, batch: Batch) -> None:
        """A batch was sent, and may be stored although it failed."""
        self.attempts.add([self.rows[key] for key in batch.completes], batch)

    def is_stored(self, key: Key) -> None:
        """A row is stored."""
        row = self.rows.pop(key)
        if isinstance(row, MessageRow):
            self.known.pass_message(row.agent_id, row.message_id)
        if not isinstance(row, Redaction):
            (self.known.in_parts.add if row.document.parts else self.known.in_parts.discard)(key)
