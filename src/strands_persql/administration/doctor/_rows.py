"""Every row, session by session: all tables are read side by side, in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from shlex import quote

from strands.types.session import Session, SessionType

from ...database.connector import Connector
from ...database.decoding import Marker, marker_of, shown
from ...database.encoding import LARGEST_NUMBER, encode
from ...database.live_window import LiveWindow
from ...database.query import Query, each
from ...database.tables import (
    CheckedAgent,
    CheckedMessage,
    CheckedMultiAgent,
    CheckedParts,
    CheckedSession,
    DoctorTables,
    Kind,
)
from ...engine.agent_state import Restorable
from ...engine.window import Entry, Window
from ...errors import SessionDataError
from ..values import many
from ._findings import Finding, line_of, reason_of, unreadable_row
from ._history import check_history, shape_of, shape_of_row
from ._pages import Pages

__all__ = ["Rows"]

PENDING = 50
"""Suspicions that are checked again together, in one request."""


@dataclass
class _Session:
    """What is known of the session that is being looked at.

    Attributes:
        session_id: The session.
        exists: Whether it has a row of its own.
        agents: The rows of its agents.
        multi_agents: The rows of its Graphs and Swarms.
        markers: The documents in parts, by kind, owner and position; None for one whose marker can't be read.
        unread: How many parts the messages outside live windows should have, by agent and position.
    """

    session_id: str
    exists: bool
    agents: dict[str, CheckedAgent]
    multi_agents: dict[str, CheckedMultiAgent]
    markers: dict[tuple[str, str, int], Marker | None] = field(default_factory=lambda: {})
    unread: dict[tuple[str, int], int] = field(default_factory=lambda: {})

    def note_marker(self, kind: str, owner: str, position: int, data: str | None) -> Marker | None:
        """Note which parts a row names: its marker, or None where there is none that can be read."""
        if data is None:
            return None
        try:
            marker = marker_of(data, what="")
        except SessionDataError:
            marker = None
        self.markers[kind, owner, position] = marker
        return marker


class Rows:
    """Looks at all rows of all sessions, or of one.

    Args:
        store: The database.
        session_id: The only session to look at; None for all.
        progress: Called with the number of rows looked at so far.
    """

    def __init__(self, store: Connector[DoctorTables], session_id: str | None, progress: Callable[[int], None]) -> None:
        self._store = store
        self._tables = store.tables
        self._seen = 0
        self._progress = progress
        self._only = session_id
        self._suspected: list[tuple[Finding, Query[bool]]] = []
        self._sessions = Pages(store, CheckedSession, session_id, self._count)
        self._agents = Pages(store, CheckedAgent, session_id, self._count)
        self._multi_agents = Pages(store, CheckedMultiAgent, session_id, self._count)
        self._messages = Pages(store, CheckedMessage, session_id, self._count)
        self._parts = Pages(store, CheckedParts, session_id, self._count)

    def _count(self, rows: int) -> None:
        self._seen += rows
        self._progress(self._seen)

    def findings(self) -> Iterator[Finding]:
        """What is found, session by session."""
        found = False
        tables = (self._sessions, self._agents, self._multi_agents, self._messages, self._parts)
        while heads := [row[0] for pages in tables if (row := pages.peek()) is not None]:
            found = True
            yield from self._session(min(heads))
            if len(self._suspected) >= PENDING:
                yield from self._confirmed()
        yield from self._confirmed()
        if self._only is not None and not found:
            yield Finding("error", "rows", "there is no such session", "Check its spelling.", session_id=self._only)
            return
        yield Finding(
            "ok",
            "rows",
            f"looked at {many(self._sessions.seen, 'session')}, {many(self._agents.seen, 'agent')}, "
            f"{many(self._messages.seen, 'message')}, "
            f"{many(self._multi_agents.seen, 'Graph or Swarm', 'Graphs and Swarms')}, "
            f"{many(self._parts.seen, 'long document')}",
            session_id=self._only,
        )

    def _suspect(self, finding: Finding, question: Query[bool]) -> None:
        """Report a finding if one look at all tables concerned confirms it."""
        self._suspected.append((finding, question))

    def _confirmed(self) -> Iterator[Finding]:
        suspected, self._suspected = self._suspected, []
        if suspected:
            answers = self._store.ask(each([question for _, question in suspected]))
            yield from (finding for (finding, _), is_so in zip(suspected, answers, strict=True) if is_so)

    def _session(self, session_id: str) -> Iterator[Finding]:
        rows = list(self._sessions.of(session_id))
        session = _Session(
            session_id,
            bool(rows),
            {row.agent_id: row for row in self._agents.of(session_id)},
            {row.multi_agent_id: row for row in self._multi_agents.of(session_id)},
        )
        if rows and not rows[0].sound:
            yield unreadable_row("its row is no session of Strands'", session_id)
        if session.agents and not session.exists:
            self._suspect_no_session(session_id, next(iter(session.agents)))
        for row in session.multi_agents.values():
            yield from self._multi_agent(session, row)
        yield from self._transcripts(session)
        if session.exists and not session.agents and not session.multi_agents and not session.markers:
            self._suspect(
                Finding(
                    "info",
                    "empty-session",
                    "nothing but the session's own row: it was never used, or only partly deleted",
                    f"Delete it: strands-persql delete {quote(session_id)}",
                    session_id=session_id,
                ),
                self._tables.is_empty(session_id),
            )
        yield from self._check_parts(session)

    def _suspect_no_session(self, session_id: str, agent_id: str) -> None:
        fields = Session(session_id=session_id, session_type=SessionType.AGENT).to_dict()
        self._suspect(
            Finding(
                "warning",
                "no-session",
                "its agents stand there, and its own row doesn't",
                "Agents go on all the same; lists leave the session out. --fix adds the row.",
                session_id=session_id,
                mending=self._tables.add_missing_session(session_id, encode(fields, what=f"session {session_id!r}")),
            ),
            self._tables.lacks_session(session_id, agent_id),
        )

    # Transcripts and live windows

    def _transcripts(self, session: _Session) -> Iterator[Finding]:
        """All agents of a session and their messages, which stand in the same order."""
        waiting = sorted(session.agents)
        while True:
            head = self._messages.peek()
            owners = [head.agent_id] if head is not None and head.session_id == session.session_id else []
            if not owners and not waiting:
                return
            agent_id = min([*owners, *waiting[:1]])
            if agent_id in session.agents:
                waiting.remove(agent_id)
                yield from self._agent(session, session.agents[agent_id])
            else:
                self._suspect_no_agent(session.session_id, agent_id)
                for row in self._messages.of(session.session_id, agent_id):
                    yield from self._message(session, row, {}, live=False)

    def _suspect_no_agent(self, session_id: str, agent_id: str) -> None:
        self._suspect(
            Finding(
                "warning",
                "no-agent",
                "its messages stand there, and its own row doesn't: an import or a deletion that did not come to its "
                "end",
                f"Run the import or the deletion again: it goes on. Or: strands-persql delete {quote(session_id)}",
                session_id=session_id,
                agent_id=agent_id,
            ),
            self._tables.lacks_agent(session_id, agent_id),
        )

    def _agent(self, session: _Session, row: CheckedAgent) -> Iterator[Finding]:
        ids = (row.session_id, row.agent_id)
        yield from self._revision("agent", *ids, row.revision)
        session.note_marker("agent", row.agent_id, 0, row.marker)
        if not row.sound:
            yield from self._agent_document(ids)
        text = row.live_window
        if row.long_window:
            found = self._store.ask(self._tables.agents.read(*ids))
            text = None if found is None else found.window
        window: LiveWindow | None = None
        try:
            window = LiveWindow.of_row(text, row.agent_id)
        except SessionDataError:
            assert text is not None
            yield Finding(
                "error",
                "unreadable-window",
                "its live window can't be read, so the agent can't be restored",
                "--fix sets it to NULL, which restores the whole transcript, less what its conversation manager "
                "has removed.",
                *ids,
                mending=self._tables.forget_window(*ids, text),
            )
        removed = row.removed if isinstance(row.removed, int) else 0
        shapes: dict[int, Entry] = {}
        last, whole = -1, True
        for place, message in enumerate(self._messages.of(*ids)):
            last = max(last, message.message_id)
            live = place >= removed if window is None else window.holds(message.message_id)
            for finding in self._message(session, message, shapes, live=live):
                whole = False
                yield finding
        if not whole:  # the history without these messages would only lead to more findings about them
            return
        restored, missing = Window.restored(window, shapes, what=f"agent {row.agent_id!r}", next_id=last + 1)
        if missing and window is not None and text is not None:
            self._suspect_missing(ids, (window, text), shapes, last, missing)
        yield from check_history(ids, restored)

    def _agent_document(self, ids: tuple[str, str]) -> Iterator[Finding]:
        """Whether an agent's document can be read, and is Strands'."""
        found = self._store.ask(self._tables.agents.read(*ids))
        try:
            if found is not None:
                Restorable.of(found.document.fields())
        except SessionDataError as error:
            yield unreadable_row(reason_of(error), *ids)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            yield unreadable_row(f"its row is no agent of Strands' ({type(error).__name__}: {line_of(error)})", *ids)

    def _suspect_missing(
        self, ids: tuple[str, str], stored: tuple[LiveWindow, str], shapes: dict[int, Entry], last: int, missing: int
    ) -> None:
        """Report the first gap in a live window, given as it is and as its row holds it."""
        window, text = stored
        for low, high in window.ranges:
            end = last if high is None else high
            first = next((position for position in range(low, end + 1) if position not in shapes), None)
            if first is not None:
                self._suspect(
                    Finding(
                        "warning",
                        "missing-messages",
                        f"its live window names {many(missing, 'message')} without a row, the first at {first}",
                        "Agents are restored without them. Restore the rows from a backup if they matter.",
                        *ids,
                        message_id=first,
                    ),
                    self._tables.lacks_rows(*ids, text, low, end),
                )
                return

    def _message(
        self, session: _Session, row: CheckedMessage, shapes: dict[int, Entry], *, live: bool
    ) -> Iterator[Finding]:
        """Check a message; the shape of one in a live window is added to `shapes`."""
        marker = session.note_marker("message", row.agent_id, row.message_id, row.marker)
        if marker is not None and not live:
            session.unread[row.agent_id, row.message_id] = marker.count
            return
        if not row.sound:
            yield from self._read_message(row.session_id, row.agent_id, row.message_id, shapes, live=live)
        elif live:
            shapes[row.message_id] = shape_of_row(row)

    def _read_message(
        self, session_id: str, agent_id: str, position: int, shapes: dict[int, Entry], *, live: bool
    ) -> Iterator[Finding]:
        """Check a message by reading all of it."""
        stored = self._store.ask(self._tables.messages.read(session_id, agent_id, position))
        if stored is None:
            return
        try:
            shape = shape_of(Entry.stored(shown(stored.record()), position, "").message)
        except SessionDataError as error:
            outcome = "so the agent can't be restored" if live else "outside the live window, so the agent can go on"
            yield Finding(
                "error" if live else "warning",
                "unreadable-row",
                f"{reason_of(error)}; {outcome}",
                f"Restore the row from a backup, or look at its column data in {self._tables.prefix}messages and mend "
                "or delete it; a live window leaves out what isn't there.",
                session_id,
                agent_id,
                position,
            )
            return
        if live:
            shapes[position] = shape

    # Graphs and Swarms, revisions, parts

    def _multi_agent(self, session: _Session, row: CheckedMultiAgent) -> Iterator[Finding]:
        ids = (row.session_id, row.multi_agent_id)
        unusable = list(self._revision("multi_agent", *ids, row.revision))
        yield from unusable
        session.note_marker("multi_agent", row.multi_agent_id, 0, row.marker)
        if not row.sound and not unusable:
            try:
                self._store.ask(self._tables.multi_agents.read(*ids))
            except SessionDataError as error:
                yield unreadable_row(reason_of(error), *ids)

    def _revision(self, kind: Kind, session_id: str, owner: str, revision: object) -> Iterator[Finding]:
        if not isinstance(revision, int) or not 1 <= revision < LARGEST_NUMBER:
            yield Finding(
                "error",
                "revision",
                f"the revision of its row is {revision!r}, after which none can come; somebody changed it by hand",
                "--fix gives it one to begin with.",
                session_id,
                owner,
                mending=self._tables.begin_revision(kind, session_id, owner),
            )

    def _check_parts(self, session: _Session) -> Iterator[Finding]:
        """Whether each part is named by a row, and each message outside the live windows has its parts."""
        there: dict[tuple[str, int], int] = {}
        for row in self._parts.of(session.session_id):
            key = (row.kind, row.owner, row.message_id)
            marker = session.markers.get(key)
            if key in session.markers and (marker is None or marker.generation == row.generation):
                there[row.owner, row.message_id] = row.parts
            elif row.kind in ("agent", "message", "multi_agent"):
                self._suspect_orphans(session, row)
        for (agent_id, position), count in session.unread.items():
            if there.get((agent_id, position), 0) < count:
                yield from self._read_message(session.session_id, agent_id, position, {}, live=False)

    def _suspect_orphans(self, session: _Session, row: CheckedParts) -> None:
        # A writer sends parts before their row. It is stopped by the revision in the owner's row; without that row
        # there may be a writer, unless even the session has none.
        owners = session.multi_agents if row.kind == "multi_agent" else session.agents
        is_safe = row.owner in owners or not session.exists
        self._suspect(
            Finding(
                "warning",
                "orphan-parts",
                f"{many(row.parts, 'part')} of a long document that no row names: a process died between them and "
                "their row" + ("" if is_safe else ", or is writing just now"),
                "--fix deletes them."
                if is_safe
                else "They take up room, and nothing else. Run the import again if there was one; they go with the "
                f"session: strands-persql delete {quote(session.session_id)}",
                session.session_id,
                row.owner,
                row.message_id if row.kind == "message" else None,
                mending=self._tables.drop_orphans(row) if is_safe else None,
            ),
            self._tables.are_orphans(row),
        )
