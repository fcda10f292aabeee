"""Every row, session by session: all tables are read side by side, in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote

from strands.types.session import Session, SessionType

from ...database.connector import Connector
from ...database.decoding import shown
from ...database.encoding import LARGEST_NUMBER, SEALED, encode
from ...database.live_window import LiveWindow, removed_by_rule
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
from ...engine.entries import Entry
from ...engine.window import Window
from ...errors import EncryptionError, SessionDataError, named
from ..values import many
from ._findings import Finding, line_of, reason_of, unreadable_row
from ._history import check_history, shape_of, shape_of_row
from ._pages import Pages

PENDING = 50
"""Suspicions that are checked again together, in one request."""


@dataclass
class _Session:
    """What is known of the session that is being looked at.

    Attributes:
        session_id: The session.
        exists: Whether it has a row of its own.
        agents: The rows of its agents.
    """

    session_id: str
    exists: bool
    agents: dict[str, CheckedAgent]


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
        session = _Session(session_id, bool(rows), {row.agent_id: row for row in self._agents.of(session_id)})
        multi_agents = list(self._multi_agents.of(session_id))
        if rows and rows[0].sealed and (closed := self._closed(session_id)) is not None:
            yield closed
            return
        if rows and not rows[0].sound:
            yield unreadable_row("its row is no session of Strands'", session_id)
        if rows and not rows[0].labelled:
            yield Finding(
                "error",
                "unreadable-labels",
                "its tags, metadata or retention can't be read, or it has a user and no place among that user's "
                "sessions",
                f"Give it new ones, with an empty text for none: strands-persql update {quote(session_id)}",
                session_id=session_id,
            )
        if session.agents and not session.exists:
            self._suspect_no_session(session_id, next(iter(session.agents)))
        for row in multi_agents:
            yield from self._multi_agent(row)
        yield from self._transcripts(session)
        if session.exists and not session.agents and not multi_agents:
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
        yield from (self._orphans(parts) for parts in self._parts.of(session_id) if parts.orphaned)

    def _closed(self, session_id: str) -> Finding | None:
        """What keeps an encrypted session from being looked at; its rows are then passed over."""
        try:
            self._store.ask(self._tables.keys.load(session_id))
        except EncryptionError as error:
            for pages in (self._messages, self._parts):
                for _ in pages.of(session_id):
                    pass
            return Finding(
                "warning",
                "encrypted",
                f"it could not be looked at: {line_of(error)}",
                "Give the key: --key-file, or PERSQL_ENCRYPTION_KEY.",
                session_id=session_id,
            )
        return None

    def _suspect_no_session(self, session_id: str, agent_id: str) -> None:
        fields = Session(session_id=session_id, session_type=SessionType.AGENT).to_dict()
        self._suspect(
            Finding(
                "warning",
                "no-session",
                "its agents stand there, and its own row doesn't",
                "Agents go on all the same; lists leave the session out. --fix adds the row.",
                session_id=session_id,
                mending=self._tables.add_missing_session(
                    session_id, encode(fields, what=f"session {named(session_id)}")
                ),
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
                yield from self._agent(session.agents[agent_id])
            else:
                self._suspect_no_agent(session.session_id, agent_id)
                for row in self._messages.of(session.session_id, agent_id):
                    yield from self._message(row, {}, live=False)

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

    def _agent(self, row: CheckedAgent) -> Iterator[Finding]:
        ids = (row.session_id, row.agent_id)
        yield from self._revision("agent", *ids, row.revision)
        if not row.sound:
            yield from self._agent_document(ids)
        text = row.live_window
        if row.long_window or (text is not None and SEALED in text):
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
        if window is None and self._tables.seals.is_on:  # SQLite could not tell it
            removed = self._removed(ids)
        shapes: dict[int, Entry] = {}
        last, whole = -1, True
        for place, message in enumerate(self._messages.of(*ids)):
            last = max(last, message.message_id)
            live = place >= removed if window is None else window.holds(message.message_id)
            for finding in self._message(message, shapes, live=live):
                whole = False
                yield finding
        if not whole:  # the history without these messages would only lead to more findings about them
            return
        restored, missing = Window.restored(window, shapes, what=f"agent {named(row.agent_id)}", next_id=last + 1)
        if missing and window is not None and text is not None:
            self._suspect_missing(ids, (window, text), shapes, last, missing)
        yield from check_history(ids, restored)

    def _removed(self, ids: tuple[str, str]) -> int:
        with suppress(SessionDataError):  # a document that can't be read is told by now
            found = self._store.ask(self._tables.agents.read(*ids))
            return 0 if found is None else removed_by_rule(found.document.fields())
        return 0

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

    def _message(self, row: CheckedMessage, shapes: dict[int, Entry], *, live: bool) -> Iterator[Finding]:
        """Check a message; the shape of one in a live window is added to `shapes`.

        A message in parts is read whole for its shape alone: outside the live window it is enough that they are there.
        """
        if not row.sound and (live or not row.has_parts):
            yield from self._read_message(row, shapes, live=live)
        elif live:
            shapes[row.message_id] = shape_of_row(row)

    def _read_message(self, row: CheckedMessage, shapes: dict[int, Entry], *, live: bool) -> Iterator[Finding]:
        """Check a message by reading all of it."""
        place = (row.session_id, row.agent_id, row.message_id)
        stored = self._store.ask(self._tables.messages.read(*place))
        if stored is None:
            return
        try:
            versions = [stored] if stored.live is None else [stored, stored.live]
            *_, seen = [Entry.stored(shown(version.record()), row.message_id, "") for version in versions]
            shape = shape_of(seen.message)
        except SessionDataError as error:
            outcome = "so the agent can't be restored" if live else "outside the live window, so the agent can go on"
            yield Finding(
                "error" if live else "warning",
                "unreadable-row",
                f"{reason_of(error)}; {outcome}",
                f"Restore the row from a backup, or look at its column data in {self._tables.prefix}messages and mend "
                "or delete it; a live window leaves out what isn't there.",
                *place,
            )
            return
        if live:
            shapes[row.message_id] = shape

    # Graphs and Swarms, revisions, parts

    def _multi_agent(self, row: CheckedMultiAgent) -> Iterator[Finding]:
        ids = (row.session_id, row.multi_agent_id)
        unusable = list(self._revision("multi_agent", *ids, row.revision))
        yield from unusable
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
                f"the revision of its row is {named(revision)}, after which none can come; somebody changed it by hand",
                "--fix gives it one to begin with.",
                session_id,
                owner,
                mending=self._tables.begin_revision(kind, session_id, owner),
            )

    def _orphans(self, parts: CheckedParts) -> Finding:
        return Finding(
            "warning",
            "orphan-parts",
            f"{many(parts.parts, 'part')} of a long document that no row names: a process died between them and "
            "their row" + ("" if parts.deletable else ", or is writing just now"),
            "--fix deletes them."
            if parts.deletable
            else "They take up room, and nothing else. Run the import again if there was one; they go with the "
            f"session: strands-persql delete {quote(parts.session_id)}",
            parts.session_id,
            *parts.place,
            mending=self._tables.drop_orphans(parts) if parts.deletable else None,
        )
