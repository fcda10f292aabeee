"""Every row: in the order of the keys, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, cast

from strands.types.session import Session, SessionType

from ...database.connector import Row, Store
from ...database.decoding import Marker, marker_of, shown
from ...database.encoding import LARGEST_NUMBER, Message, copied, encode
from ...database.live_window import LiveWindow
from ...database.tables._doctor import CheckedTable, DoctorTables
from ...engine.agent_state import Restorable
from ...engine.repair import repair
from ...engine.window import Entry, Window
from ...errors import SessionDataError
from ._findings import Finding, line_of, many, quoted, reason_of, unreadable_row

if TYPE_CHECKING:
    from ...client import Statement
    from ...database.tables import ChunkKind

__all__ = ["PAGE", "Rows"]

PAGE = 1_000
"""Rows of one request. SQLite looks into each document where it is; a request may take 30 seconds of its time (PerSQL,
"Platform limits")."""

PENDING = 50
"""Suspicions that are asked again together, in one request."""


class _Pages:
    """A table's rows in the order of its key, a page a request, with a look at the next."""

    def __init__(
        self, store: Store[DoctorTables], table: CheckedTable, session_id: str | None, progress: Callable[[int], None]
    ) -> None:
        self._store = store
        self._table: CheckedTable = table
        self._session_id = session_id
        self._progress = progress
        self._rows: list[Row] = []
        self._at = 0
        self._is_last = False
        self.seen = 0

    def peek(self) -> Row | None:
        """The next row; None where there is none."""
        if self._at == len(self._rows) and not self._is_last:
            key = DoctorTables.key_of(self._table)
            last = tuple(self._rows[-1][column] for column in key) if self._rows else None
            page = self._store.tables.page(self._table, last, PAGE, self._session_id)
            self._rows, self._at = self._store.read(page)[0], 0
            self._is_last = len(self._rows) < PAGE
            self.seen += len(self._rows)
            self._progress(len(self._rows))
        return self._rows[self._at] if self._at < len(self._rows) else None

    def of(self, **key: str) -> Iterator[Row]:
        """The next rows, as long as they have these values."""
        while (row := self.peek()) is not None and all(row[column] == value for column, value in key.items()):
            self._at += 1
            yield row


@dataclass
class _Session:
    """What is known of the session that is being looked at."""

    session_id: str
    exists: bool
    agents: dict[str, Row]
    multi_agents: dict[str, Row]
    markers: dict[tuple[str, str, int], Marker | None] = field(default_factory=lambda: {})
    """The documents in parts; None for one whose marker can't be read."""
    unchecked: dict[tuple[str, int], int] = field(default_factory=lambda: {})
    """How many parts messages outside live windows should have."""


class Rows:
    """Looks at all rows: sessions in the order of their ids, all tables side by side."""

    def __init__(self, store: Store[DoctorTables], session_id: str | None, progress: Callable[[int], None]) -> None:
        self._store = store
        self._tables = store.tables
        self._seen = 0
        self._progress = progress
        self._only = session_id
        self._pending: list[tuple[Finding, Statement]] = []
        pages = (_Pages(store, table, session_id, self._count) for table in _ORDER)
        self._sessions, self._agents, self._multi_agents, self._messages, self._chunks = self._pages = tuple(pages)

    def _count(self, rows: int) -> None:
        self._seen += rows
        self._progress(self._seen)

    def findings(self) -> Iterator[Finding]:
        found = 0
        while True:
            heads = [row["session_id"] for pages in self._pages if (row := pages.peek()) is not None]
            if not heads:
                break
            found += 1
            yield from self._session(min(heads))
            if len(self._pending) >= PENDING:
                yield from self._confirmed()
        yield from self._confirmed()
        if self._only is not None and not found:
            yield Finding("error", "rows", "there is no such session", "Check its spelling.", session_id=self._only)
            return
        sessions, agents, multi_agents, messages, chunks = (pages.seen for pages in self._pages)
        yield Finding(
            "ok",
            "rows",
            f"looked at {many(sessions, 'session')}, {many(agents, 'agent')}, {many(messages, 'message')}, "
            f"{many(multi_agents, 'Graph or Swarm', 'Graphs and Swarms')}, {many(chunks, 'long document')}",
            session_id=self._only,
        )

    def _confirmed(self) -> Iterator[Finding]:
        """Those suspicions that are still so in one look at all tables concerned."""
        pending, self._pending = self._pending, []
        if pending:
            answers = self._store.read(*(question for _, question in pending))
            yield from (finding for (finding, _), rows in zip(pending, answers, strict=True) if rows)

    def _suspect(self, finding: Finding, question: Statement) -> None:
        self._pending.append((finding, question))

    def _session(self, session_id: str) -> Iterator[Finding]:
        rows = list(self._sessions.of(session_id=session_id))
        session = _Session(
            session_id,
            bool(rows),
            {row["agent_id"]: row for row in self._agents.of(session_id=session_id)},
            {row["multi_agent_id"]: row for row in self._multi_agents.of(session_id=session_id)},
        )
        if rows and not rows[0]["sound"]:
            yield unreadable_row(session_id, "its row is no session of Strands'")
        for agent_id in session.agents:
            if not session.exists:
                self._suspect_no_session(session_id, agent_id)
                break
        for multi_agent_id, row in session.multi_agents.items():
            yield from self._multi_agent(session, multi_agent_id, row)
        yield from self._transcripts(session)
        if session.exists and not session.agents and not session.multi_agents and not session.markers:
            self._suspect(
                Finding(
                    "info",
                    "empty-session",
                    "nothing but the session's own row: it was never used, or only partly deleted",
                    f"Delete it: strands-persql delete {quoted(session_id)}",
                    session_id=session_id,
                ),
                self._tables.is_empty(session_id),
            )
        yield from self._parts(session)

    def _suspect_no_session(self, session_id: str, agent_id: str) -> None:
        fields = Session(session_id=session_id, session_type=SessionType.AGENT).to_dict()
        self._suspect(
            Finding(
                "warning",
                "no-session",
                "its agents stand there, and its own row doesn't",
                "Agents go on all the same; lists leave the session out. --fix adds the row.",
                session_id=session_id,
                mending=tuple(
                    self._tables.add_missing_session(session_id, encode(fields, what=f"session {session_id!r}"))
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
            owner = head["agent_id"] if head is not None and head["session_id"] == session.session_id else None
            if owner is None and not waiting:
                return
            agent_id = owner if not waiting or (owner is not None and owner < waiting[0]) else waiting.pop(0)
            assert agent_id is not None
            if agent_id in session.agents:
                yield from self._agent(session, agent_id, session.agents[agent_id])
            else:
                self._suspect_no_agent(session.session_id, agent_id)
                for row in self._messages.of(session_id=session.session_id, agent_id=agent_id):
                    yield from self._message(session, row, live=False)

    def _suspect_no_agent(self, session_id: str, agent_id: str) -> None:
        self._suspect(
            Finding(
                "warning",
                "no-agent",
                "its messages stand there, and its own row doesn't: an import or a deletion that did not come to its "
                "end",
                f"Run the import or the deletion again: it goes on. Or: strands-persql delete {quoted(session_id)}",
                session_id=session_id,
                agent_id=agent_id,
            ),
            self._tables.lacks_agent(session_id, agent_id),
        )

    def _agent(self, session: _Session, agent_id: str, row: Row) -> Iterator[Finding]:
        ids = (session.session_id, agent_id)
        yield from self._agent_row(session, agent_id, row)
        text = row["live_window"]
        if row["long_window"]:
            found = self._store.ask(self._tables.agents.read(*ids))
            text = None if found is None else found.window
        what = f"agent {agent_id!r}"
        window_of_row: LiveWindow | None = None
        ranges: list[tuple[int, float]] | None = None
        if text is not None:
            try:
                window_of_row = LiveWindow.of_row(text, agent_id)
                ranges = _ranges(text)
            except SessionDataError:
                yield Finding(
                    "error",
                    "unreadable-window",
                    "its live window can't be read, so the agent can't be restored",
                    "--fix sets it to NULL, which restores the whole transcript, less what its conversation manager "
                    "has removed.",
                    *ids,
                    mending=tuple(self._tables.forget_window(*ids, text)),
                )
                text = None
        removed = row["removed"] if ranges is None and isinstance(row["removed"], int) else 0
        shapes: dict[int, Entry] = {}
        last = -1
        whole = True
        for place, message in enumerate(self._messages.of(session_id=ids[0], agent_id=agent_id)):
            position: int = message["message_id"]
            last = max(last, position)
            live = place >= removed if ranges is None else any(low <= position <= high for low, high in ranges)
            outcome = list(self._message(session, message, live=live, into=shapes))
            whole = whole and not outcome
            yield from outcome
        if not whole:  # the rest would only tell the same again
            return
        window, missing = Window.restored(window_of_row, shapes, what=what, next_id=last + 1)
        if missing and text is not None:
            self._suspect_missing(ids, text, shapes, last, missing)
        yield from self._history(ids, window)

    def _agent_row(self, session: _Session, agent_id: str, row: Row) -> Iterator[Finding]:
        ids = (session.session_id, agent_id)
        yield from self._revision("agent", *ids, row["revision"])
        self._note_marker(session, ("agent", agent_id, 0), row["marker"])
        if row["sound"]:
            return
        found = self._store.ask(self._tables.agents.read(*ids))
        try:
            if found is not None:
                Restorable.of(found.document.fields())
        except SessionDataError as error:
            yield unreadable_row(*ids, what=reason_of(error), check="unreadable-row")
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            yield unreadable_row(
                *ids, what=f"its row is no agent of Strands' ({type(error).__name__}: {line_of(error)})"
            )

    def _message(
        self, session: _Session, row: Row, *, live: bool, into: dict[int, Entry] | None = None
    ) -> Iterator[Finding]:
        agent_id, position = row["agent_id"], row["message_id"]
        shape = _shape_of_row(row) if row["sound"] else None
        if row["marker"] is not None:
            marker = self._note_marker(session, ("message", agent_id, position), row["marker"])
            if marker is not None and not live:
                session.unchecked[agent_id, position] = marker.count
                return
        if shape is None:
            shape, reason = self._look(session.session_id, agent_id, position)
            if reason:
                yield self._unreadable_message(session.session_id, agent_id, position, reason, live=live)
                return
        if live and into is not None and shape is not None:
            into[position] = shape

    def _look(self, session_id: str, agent_id: str, position: int) -> tuple[Entry | None, str]:
        """A message's shape and no reason, or why it can't be read; neither where it is gone."""
        stored = self._store.ask(self._tables.messages.read(session_id, agent_id, position))
        try:
            if stored is None:
                return None, ""
            return _shape_of(Entry.stored(shown(stored.record()), position, "").message), ""
        except SessionDataError as error:
            return None, reason_of(error)

    def _unreadable_message(self, session_id: str, agent_id: str, position: int, reason: str, *, live: bool) -> Finding:
        outcome = "so the agent can't be restored" if live else "outside the live window, so the agent can go on"
        return Finding(
            "error" if live else "warning",
            "unreadable-row",
            f"{reason}; {outcome}",
            f"Restore the row from a backup, or look at its column data in {self._tables.prefix}messages and mend or "
            "delete it; a live window leaves out what isn't there.",
            session_id,
            agent_id,
            position,
        )

    def _suspect_missing(
        self, ids: tuple[str, str], text: str, shapes: dict[int, Entry], last: int, missing: int
    ) -> None:
        for low, high in _ranges(text):
            end = last if high == float("inf") else int(high)
            first = next((position for position in range(low, end + 1) if position not in shapes), None)
            if first is None:
                continue
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

    def _history(self, ids: tuple[str, str], window: Window) -> Iterator[Finding]:
        """Whether models would accept what the agent is restored with."""
        messages = window.messages
        yield from self._roles(ids, window, messages)
        if not any("toolUse" in block or "toolResult" in block for each in messages for block in each["content"]):
            return
        before = copied(messages)
        try:
            changed = repair(messages)
        except (KeyError, TypeError):
            yield Finding(
                "error",
                "tool-results",
                "a tool use or a tool result in its live window has no toolUseId, so the agent can't be restored",
                "Rewind the agent to a message before it: strands-persql rewind "
                f"{quoted(ids[0])} --agent {quoted(ids[1])} --to N",
                *ids,
            )
            return
        if changed:
            pairs = zip(before, messages, strict=False)
            place = next((index for index, (old, new) in enumerate(pairs) if old != new), len(messages) - 1)
            entry = window.entries[min(place, len(window.entries) - 1)]
            yield Finding(
                "info",
                "tool-results",
                "tool uses without results, or results without uses, which no model accepts",
                "Nothing to do: restoring mends it, and the agent's next turn stores that.",
                *ids,
                message_id=entry.message_id,
            )

    def _roles(self, ids: tuple[str, str], window: Window, messages: Sequence[Message]) -> Iterator[Finding]:
        repeats = [index for index, (one, other) in enumerate(pairwise(messages), 1) if one["role"] == other["role"]]
        if repeats:
            yield Finding(
                "info",
                "roles",
                f"in {many(len(repeats), 'place')} of its live window two messages of one role follow each other, as "
                "after a model's failure; some models refuse that",
                "Where a model refuses it, rewind the agent to a message before.",
                *ids,
                message_id=window.entries[repeats[0]].message_id,
            )
        empty = [index for index, message in enumerate(messages) if not message["content"]]
        if empty:
            yield Finding(
                "info",
                "empty-messages",
                f"{many(len(empty), 'message')} of its live window without any content; some models refuse that",
                "Where a model refuses it, rewind the agent to a message before.",
                *ids,
                message_id=window.entries[empty[0]].message_id,
            )

    # Graphs and Swarms, revisions, parts

    def _multi_agent(self, session: _Session, multi_agent_id: str, row: Row) -> Iterator[Finding]:
        ids = (session.session_id, multi_agent_id)
        yield from self._revision("multi_agent", *ids, row["revision"])
        self._note_marker(session, ("multi_agent", multi_agent_id, 0), row["marker"])
        if not row["sound"] and not _bad_number(row["revision"]):
            try:
                self._store.ask(self._tables.multi_agents.read(*ids))
            except SessionDataError as error:
                yield unreadable_row(*ids, what=reason_of(error))

    def _revision(
        self, kind: Literal["agent", "multi_agent"], session_id: str, owner: str, revision: object
    ) -> Iterator[Finding]:
        if _bad_number(revision):
            yield Finding(
                "error",
                "revision",
                f"the revision of its row is {revision!r}, after which none can come; somebody changed it by hand",
                "--fix gives it one to begin with.",
                session_id,
                owner,
                mending=tuple(self._tables.begin_revisions(kind, session_id, owner)),
            )

    def _note_marker(self, session: _Session, key: tuple[ChunkKind, str, int], data: str | None) -> Marker | None:
        """Remember which parts a row names; the marker, or None where there is none that can be read."""
        if data is None:
            return None
        try:
            marker = marker_of(data, what="")
        except SessionDataError:
            marker = None
        session.markers[key] = marker
        return marker

    def _parts(self, session: _Session) -> Iterator[Finding]:
        """Whether each part is named by a row, and each message outside the live windows has its parts."""
        session_id = session.session_id
        there: dict[tuple[str, int], int] = {}
        for row in self._chunks.of(session_id=session_id):
            kind, owner, position, generation = row["kind"], row["owner"], row["message_id"], row["generation"]
            marker = session.markers.get((kind, owner, position))
            if (kind, owner, position) in session.markers and (marker is None or marker.generation == generation):
                there[owner, position] = row["parts"]
            elif kind in ("agent", "message", "multi_agent"):
                self._suspect_orphans(session, kind, owner, position, generation, row["parts"])
        for (agent_id, position), count in session.unchecked.items():
            if there.get((agent_id, position), 0) < count:
                _, reason = self._look(session_id, agent_id, position)
                if reason:
                    yield self._unreadable_message(session_id, agent_id, position, reason, live=False)

    def _suspect_orphans(
        self, session: _Session, kind: ChunkKind, owner: str, position: int, generation: str, parts: int
    ) -> None:
        ids = (session.session_id, kind, owner, position, generation)
        # A writer sends parts before their row. Where the owner's row stands, its revision stops such a writer; where
        # not even the session's does, there is none.
        owners = session.multi_agents if kind == "multi_agent" else session.agents
        is_safe = owner in owners or not session.exists
        self._suspect(
            Finding(
                "warning",
                "orphan-parts",
                f"{many(parts, 'part')} of a long document that no row names: a process died between them and their "
                "row" + ("" if is_safe else ", or is writing just now"),
                "--fix deletes them."
                if is_safe
                else "They take up room, and nothing else. Run the import again if there was one; they go with the "
                f"session: strands-persql delete {quoted(session.session_id)}",
                session.session_id,
                owner,
                position if kind == "message" else None,
                mending=tuple(self._tables.drop_orphans(*ids)) if is_safe else (),
            ),
            self._tables.are_orphans(*ids),
        )


_ORDER: tuple[CheckedTable, ...] = ("sessions", "agents", "multi_agents", "messages", "chunks")


def _ranges(text: str) -> list[tuple[int, float]]:
    items: list[Any] = json.loads(text)
    ranges = (cast("tuple[int, int | None]", item) for item in items if isinstance(item, list))
    return [(low, float("inf") if high is None else high) for low, high in ranges]


def _shape_of_row(row: Row) -> Entry:
    uses, results = (cast("list[Any]", json.loads(row[name] or "[]")) for name in ("uses", "results"))
    return _shape(row["role"], uses, results, row["blocks"] - len(uses) - len(results))


def _shape_of(message: Message) -> Entry:
    tools: dict[str, list[Any]] = {"toolUse": [], "toolResult": []}
    for block in cast("list[dict[str, Any]]", message["content"]):
        for name, ids in tools.items():
            if name in block:
                ids.append(block[name].get("toolUseId") if isinstance(block[name], dict) else None)
    uses, results = tools["toolUse"], tools["toolResult"]
    return _shape(message["role"], uses, results, len(message["content"]) - len(uses) - len(results))


def _shape(role: str, uses: list[Any], results: list[Any], others: int) -> Entry:
    """A message of the same shape: what repairs and models look at, without what it says."""
    content: list[dict[str, Any]] = [{"toolUse": {} if use is None else {"toolUseId": use}} for use in uses]
    content += [{"toolResult": {} if use is None else {"toolUseId": use}} for use in results]
    if others > 0:
        content.append({"text": ""})
    message: Message = {"role": role, "content": content}
    return Entry(message, message)


def _bad_number(revision: object) -> bool:
    return not (isinstance(revision, int) and 1 <= revision < LARGEST_NUMBER)
