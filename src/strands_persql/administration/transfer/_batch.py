"""The requests of an import: many statements in each, inside the service's limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...database.about import About
from ...database.encoding import Document as Rows
from ...database.encoding import encode
from ...database.faults import GUARDS, fault_of
from ...database.query import unanswered
from ...database.tables import AgentColumns
from ...engine.outgoing import MAX_STATEMENTS
from ...errors import SessionConflictError, named
from ._items import Document, MessageItem, StateItem
from ._progress import Reporter
from ._tables import Connection

if TYPE_CHECKING:
    from ...client import Statement

BATCH_BYTES = 3_000_000
"""Bytes of parameters in a request. PerSQL names no limit for a request's body; escapes make it longer on the way."""

GROUP_BYTES = 1_000_000
"""Bytes of the one parameter that carries many messages; the service takes 2 MB."""

LARGE_BYTES = 100_000
"""A document this long goes in a statement of its own: among others it would be escaped twice."""


class Batch:
    """The statements of the next request, in their order. A full request is sent before more is added.

    Args:
        connection: Where to.
        session_id: The session.
        progress: Told of the messages that are stored.

    Attributes:
        written: How many messages are stored.
        sent: Whether any request was.
    """

    def __init__(self, connection: Connection, session_id: str, progress: Reporter) -> None:
        self.written = 0
        self.sent = False
        self._connection = connection
        self._session_id = session_id
        self._progress = progress
        self._statements: list[Statement] = []
        self._size = self._messages = 0
        self._group: list[tuple[int, str]] = []  # short messages of one agent, for one statement
        self._group_of = ""
        self._group_size = 0

    def session(self, document: Document, about: About) -> None:
        """Add the session's own row."""
        data = encode(document, what=f"session {named(self._session_id)}")
        self._add([self._connection.store.tables.sessions.ensure(self._session_id, data, about)])

    def message(self, item: MessageItem) -> None:
        """Add a message: its parts, then its row, among others where it is short."""
        rows = _rows(item.data, item.name)
        ids = (self._session_id, item.agent_id)
        parts = self._connection.store.tables.parts
        self._add(parts.add(ids[0], "message", ids[1], item.message_id, rows))
        live = None if item.live is None else _rows(item.live, item.name)
        if live is not None:
            self._add(parts.add(ids[0], "live", ids[1], item.message_id, live))
        if live is not None or len(rows.data) > LARGE_BYTES:
            self._close_group()
            seen = None if live is None else live.data
            self._add([self._connection.tables.import_message(*ids, item.message_id, rows.data, seen)], messages=1)
            return
        text = json.dumps(rows.data, ensure_ascii=False)
        size = _size(text) + 20
        if item.agent_id != self._group_of or self._group_size + size > GROUP_BYTES:
            self._close_group()
        self._group_of = item.agent_id
        self._group.append((item.message_id, text))
        self._group_size += size

    def state(self, item: StateItem, last: int | None) -> None:
        """Add the row of an agent, whose `last` message was added before, or of a Graph or Swarm."""
        self._close_group()
        rows = _rows(item.data, item.name)
        ids, tables = (self._session_id, item.owner), self._connection.tables
        if item.kind == "agent":
            own = AgentColumns(None if item.window is None else item.window.render(), item.rewinds.render())
            self._add(tables.import_agent(*ids, rows, own=own, last=last))
        else:
            self._add(tables.import_multi_agent(*ids, rows, updated_at=item.updated_at))

    def send(self) -> None:
        """Send what is left.

        Raises:
            SessionConflictError: Somebody else writes to the session.
        """
        self._close_group()
        self._send()

    def confirm(self) -> None:
        """Note that all that was added last is stored."""
        self.sent = True
        self.written += self._messages
        self._progress.add(self._messages)
        self._statements, self._size, self._messages = [], 0, 0

    def _close_group(self) -> None:
        if self._group:
            group, self._group, self._group_size = self._group, [], 0
            statement = self._connection.tables.import_messages(self._session_id, self._group_of, group)
            self._add([statement], messages=len(group))

    def _add(self, statements: Iterable[Statement], *, messages: int = 0) -> None:
        for statement in statements:
            size = sum(_size(value) if isinstance(value, str) else 8 for value in statement.get("params", ()))
            if len(self._statements) >= MAX_STATEMENTS or self._size + size > BATCH_BYTES:
                self._send()
            self._statements.append(statement)
            self._size += size
        self._messages += messages

    def _send(self) -> None:
        if not self._statements:
            return
        try:
            # A request that is sent twice changes nothing: each row may stand there already, if it is the same.
            self._connection.carry_out(unanswered(*self._statements))
        except Exception as error:
            if fault_of(error) not in GUARDS:
                raise
            raise SessionConflictError(
                f"Session {named(self._session_id)} is being written to, or was deleted, while it is imported. "
                "Nothing of the other writer's was changed. Import under another name (new_id=…), or delete the "
                "session first.",
                session_id=self._session_id,
                agent_id=self._group_of,
            ) from error
        self.confirm()


def _rows(document: Document, what: str) -> Rows:
    """How a document is laid out. Each import of it gives its parts the same names, so that none is left over."""
    text = encode(document, what=what)
    created_at = document.get("created_at")
    return Rows.of(
        text,
        generation=hashlib.sha256(text.encode()).hexdigest()[:32],
        created_at=created_at if isinstance(created_at, str) else "",
    )


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
