"""Changes sessions for the people who run them: renames, forks, rewinds, deletes, erases.

What a live agent could write over is changed under its revision, and raises it: the agent's next write is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from strands.types.exceptions import SessionException

from ..database.connector import fault_of
from ..database.decoding import stored_document, stored_multi_agents, unreadable
from ..database.encoding import Message, decode, encode, now
from ..database.tables import Document, is_in_parts
from ..engine.planner import (
    AgentRow,
    Batch,
    Key,
    MessageRow,
    MultiAgentRow,
    Row,
    Stored,
    plan,
)
from ..errors import SessionConflictError, SessionDataError
from .erasing import erased, without_copies
from .results import Deletion, SessionSummary
from .searching import scrub_index
from .transcripts import (
    list_sessions,
    missing,
    no_agent,
    no_session,
    session_message,
    summary_of,
)

if TYPE_CHECKING:
    from ..client import Statement
    from ..database.connector import Row as StoredRow
    from ..database.connector import Store
    from ..database.tables import Administration, Search, Tables

__all__ = ["Alteration"]

logger = logging.getLogger(__name__)

_GUARDS = ("unique_violation", "not_null_violation")
"""How the database refuses a transaction of which a condition does not hold."""

_ATTEMPTS = 5
"""How often something is read, changed and written, while a live agent changes it too."""

_MESSAGES, _PARTS = 1000, 50
"""Rows deleted in one request. Parts are of up to 1 MB."""

_PARTS_SENT = 3
"""Parts sent in one request. One is of up to 1 MB."""

_SESSIONS = 1000
"""Sessions looked at in one request of a pruning."""

_COUNTED = 100
"""Sessions of which the rows are counted in one request: a statement each."""


class Alteration:
    """What changes the sessions of one database.

    Args:
        store: The tables.
        administration: Their statements.
        index: The search index's, whose words have to go along.
    """

    def __init__(self, store: Store[Tables], administration: Administration, index: Search) -> None:
        self._store = store
        self._tables = store.tables
        self._administration = administration
        self._index = index

    # Moving and copying

    def rename(self, session_id: str, new_id: str) -> SessionSummary:
        """See `PerSQLSessions.rename`."""
        return self._move(session_id, new_id, self._administration.rename(session_id, new_id, now=now()))

    def fork(self, session_id: str, new_id: str, *, agent_id: str | None, at: int | None) -> SessionSummary:
        """See `PerSQLSessions.fork`."""
        statements = self._administration.fork(session_id, new_id, agent_id=agent_id, at=at, now=now())
        if at is None:
            return self._move(session_id, new_id, statements, agent_id)
        try:
            return summary_of(self._store.write(statements)[-1][0])
        except Exception as error:
            if fault_of(error) not in _GUARDS:
                raise
            self._check_move(session_id, new_id, agent_id)
            if agent_id is None:
                agent_id = self._only_agent(session_id)
            absent = missing(self._store, session_id, agent_id, at)
            if absent is not None:
                raise absent from error
        # What is left is a document that SQLite can't change, since it stands in parts.
        for _ in range(_ATTEMPTS):
            cut = self._cut(session_id, agent_id, at, forked=True)
            sent = self._send_parts(session_id, agent_id, cut)
            if sent is None:
                continue
            statements = self._administration.fork(
                session_id,
                new_id,
                agent_id=agent_id,
                at=at,
                now=now(),
                document=cut.document,
                sent=sent,
                revision=cut.revision,
            )
            try:
                return summary_of(self._store.write(statements)[-1][0])
            except Exception as error:
                if fault_of(error) not in _GUARDS:
                    raise
                self._drop_parts(session_id, agent_id, cut, sent)
                self._check_move(session_id, new_id, agent_id)
        self._conflict(session_id, agent_id)

    def _send_parts(self, session_id: str, agent_id: str, cut: _Cut) -> int | None:
        """Write a fork's first parts, where all are too many for one request; how many that were.

        They wait beside the agent they are made from, which doesn't name them, until the fork takes them along. None
        where the agent has been written to.
        """
        parts = self._tables.parts.add(session_id, "agent", agent_id, 0, cut.document, revision=cut.revision)
        sent = 0
        while len(parts) - sent > _PARTS_SENT:
            if not self._written(parts[sent : sent + _PARTS_SENT]):
                self._drop_parts(session_id, agent_id, cut, sent)
                return None
            sent += _PARTS_SENT
        return sent

    def _drop_parts(self, session_id: str, agent_id: str, cut: _Cut, sent: int) -> None:
        if sent:
            self._store.write([self._administration.drop_generation(session_id, agent_id, cut.document.generation)])

    def _move(
        self, session_id: str, new_id: str, statements: Sequence[Statement], agent_id: str | None = None
    ) -> SessionSummary:
        try:
            return summary_of(self._store.write(statements)[-1][0])
        except Exception as error:
            if fault_of(error) not in _GUARDS:
                raise
            self._check_move(session_id, new_id, agent_id)
            raise

    def _check_move(self, session_id: str, new_id: str, agent_id: str | None) -> None:
        """Raise what keeps a session from being copied or moved, where it can be told.

        Raises:
            SessionException: It is missing, or the new id is taken.
        """
        absent = missing(self._store, session_id, agent_id)
        if absent is not None:
            raise absent
        rows, counts = self._store.read(self._tables.sessions.read(new_id), self._administration.count_rows(new_id))
        if rows or counts[0]["rows"]:
            raise SessionException(
                f"Session {new_id!r} exists already. Choose another id, or delete that session first. Nothing was "
                "changed."
            )

    def _only_agent(self, session_id: str) -> str:
        (rows,) = self._store.read(self._administration.list_agents(session_id))
        if len(rows) == 1:
            return str(rows[0]["agent_id"])
        agents = ", ".join(repr(row["agent_id"]) for row in rows) or "none"
        raise SessionException(
            f"Session {session_id!r} has {len(rows)} agents ({agents}), so `at` alone names no message: say which with "
            "agent_id=. Nothing was changed."
        )

    # Rewinding

    def rewind(self, session_id: str, agent_id: str, *, to: int) -> None:
        """See `PerSQLSessions.rewind`."""
        guard = self._administration.require_version()
        try:
            done = self._store.write([guard, self._administration.rewind(session_id, agent_id, to, now=now())])[-1]
        except Exception as error:
            if fault_of(error) in _GUARDS:
                self._store.read_versioned([self._tables.read_version()])
            raise
        if done:
            return
        absent = missing(self._store, session_id, agent_id, to)
        if absent is not None:
            raise absent
        for _ in range(_ATTEMPTS):
            cut = self._cut(session_id, agent_id, to, forked=False)
            row = AgentRow(agent_id, cut.window, cut.document)
            known = Stored({agent_id: cut.revision}, next_ids={agent_id: cut.next_id}, in_parts={row.key})
            if all(self._written(batch.statements) for batch in plan([row], self._tables, session_id, "", known)):
                return
        self._conflict(session_id, agent_id)

    def _cut(self, session_id: str, agent_id: str, at: int, *, forked: bool) -> _Cut:
        rows, chunks = self._store.read(
            *self._administration.read_cut(session_id, agent_id, at, forked=forked),
        )
        if not rows:
            absent = missing(self._store, session_id, agent_id, at)
            raise absent if absent is not None else no_agent(session_id, agent_id)
        fields = stored_document(rows[0]["data"], chunks, what=f"The row of agent {agent_id!r}")
        return _Cut(rows[0], fields, at, forked=forked)

    # Deleting

    def delete(self, session_id: str, *, progress: Callable[[int], None] | None) -> Deletion:
        """See `PerSQLSessions.delete`."""
        absent = missing(self._store, session_id)
        if absent is not None:
            (counted,) = self._store.read(self._administration.count_rows(session_id))
            if not counted[0]["rows"]:
                raise absent  # else rows that somebody has left without their session
        rows, _ = self._delete(session_id, None, progress)
        scrub_index(self._store, self._index)
        return Deletion((session_id,), rows)

    def prune(
        self,
        *,
        until: datetime,
        prefix: str,
        dry_run: bool,
        multi_agents: bool,
        progress: Callable[[Deletion], None] | None,
    ) -> Deletion:
        """See `PerSQLSessions.prune`."""
        total = Deletion((), 0, dry_run)
        after: str | None = None
        while True:
            page = list_sessions(
                self._store,
                self._administration,
                prefix=prefix,
                since=None,
                until=until,
                limit=_SESSIONS,
                after=after,
                sizes=False,
            )
            chosen = [each for each in page.sessions if multi_agents or not each.multi_agents]
            skipped = tuple(each.session_id for each in page.sessions if each.multi_agents and not multi_agents)
            total = Deletion(total.session_ids, total.rows, dry_run, (*total.skipped, *skipped))
            if dry_run:
                for start in range(0, len(chosen), _COUNTED):
                    some = chosen[start : start + _COUNTED]
                    counts = self._store.read(*(self._administration.count_rows(each.session_id) for each in some))
                    for each, count in zip(some, counts, strict=True):
                        total = _added(total, each.session_id, count[0]["rows"], progress)
            else:
                for each in chosen:
                    idle = self._administration.require_idle(each.session_id, each.last_active)
                    rows, whole = self._delete(each.session_id, idle, None)
                    if whole:
                        total = _added(total, each.session_id, rows, progress)
                    else:
                        total = replace(total, rows=total.rows + rows)
            after = page.after
            if after is None:
                break
        if total.rows and not dry_run:
            scrub_index(self._store, self._index)
        return total

    def _delete(
        self, session_id: str, idle: Statement | None, progress: Callable[[int], None] | None
    ) -> tuple[int, bool]:
        """Delete a session page by page; how many rows that were, and whether that was all of them.

        It is not where `idle`, a condition, does not hold, or somebody wrote to the session between two pages.
        """
        page = self._administration.delete_page(session_id, messages=_MESSAGES, parts=_PARTS)
        rows = 0
        guards = [self._administration.require_version(), *([] if idle is None else [idle])]
        while True:
            try:
                answers = self._store.write([*guards, *page])
            except Exception as error:
                if not guards or fault_of(error) not in _GUARDS:
                    raise
                self._store.read_versioned([self._tables.read_version()])
                if idle is None:
                    raise
                if rows:
                    logger.warning(
                        "session_id=<%s>, rows=<%d> | the session became active while it was pruned: it stays, without "
                        "the newest of its old messages, and its history begins after the others",
                        session_id,
                        rows,
                    )
                return rows, False
            counted, _, _, agents, _, parts, state, gone = answers[len(guards) :]
            deleted = int(counted[0]["rows"]) + len(agents) + len(parts) + len(gone)
            rows += deleted
            if progress is not None:
                progress(rows)
            if gone or not deleted:
                return rows, True
            guards = [] if idle is None else [self._administration.require_state(session_id, str(state[0]["state"]))]

    # Erasing

    def erase(self, session_id: str, agent_id: str, message_id: int) -> None:
        """See `PerSQLSessions.erase`."""
        for _ in range(_ATTEMPTS):
            if all(self._written(batch.statements) for batch in self._erasure(session_id, agent_id, message_id)):
                return
        self._conflict(session_id, agent_id)

    def _erasure(self, session_id: str, agent_id: str, message_id: int) -> list[Batch]:
        """What overwrites a message and its copies as they are now; nothing where there is nothing left of it.

        Where it takes several batches, the message comes after its copies: they are found by it.
        """
        tables = self._tables
        sessions, messages, chunks, agents, agent_chunks, multi_rows, multi_chunks = self._store.read_versioned(
            [
                tables.read_version(),
                tables.sessions.read(session_id),
                *tables.messages.read(session_id, agent_id, message_id),
                *self._administration.read_agents(session_id, agent_id),
                *tables.multi_agents.read(session_id),
            ]
        )
        if not sessions:
            raise no_session(session_id)
        if not agents or not messages:
            absent = missing(self._store, session_id, agent_id, message_id)
            raise absent if absent is not None else no_agent(session_id, agent_id)
        row = agents[0]
        known = Stored(agents={agent_id: row["revision"]}, next_ids={agent_id: (row["last_message_id"] or 0) + 1})
        rows: list[Row] = []
        own: list[Row] = []
        stored = session_message(messages[0]["data"], chunks, agent_id, message_id)
        message: Message = stored["message"]
        blank = erased(message)
        if chunks:
            known.in_parts.add(("message", agent_id, message_id))
        if blank != message or is_in_parts(messages[0]["data"]):
            fields = {**stored, "message": blank, "redact_message": None, "updated_at": now()}
            created_at = str(stored.get("created_at", ""))
            own.append(MessageRow(agent_id, message_id, _laid_out(fields, created_at), new=False))
        agent = self._agent_without(message, row, agent_chunks, agent_id)
        if agent is not None:
            rows.append(agent)
        if agent_chunks:
            known.in_parts.add(("agent", agent_id, 0))
        for owner, multi_agent in stored_multi_agents([multi_rows, multi_chunks]).items():
            known.multi_agents[owner] = multi_agent.revision
            state = without_copies(multi_agent.state, message)
            if state != multi_agent.state:
                rows.append(MultiAgentRow(owner, _laid_out(state)))
                key: Key = ("multi_agent", owner, 0)
                if multi_agent.in_parts:
                    known.in_parts.add(key)
        batches = plan([*rows, *own], tables, session_id, "", known)
        if len(batches) < 2 or not rows:
            return batches
        batches = plan(rows, tables, session_id, "", known)
        for batch in batches:
            known.agents.update(batch.agents)
        return [*batches, *plan(own, tables, session_id, "", known)]

    def _agent_without(
        self, message: Message, row: StoredRow, chunks: Sequence[StoredRow], agent_id: str
    ) -> AgentRow | None:
        """An agent's row without the copies of a message in its live window and its state; None where none are."""
        fields = stored_document(row["data"], chunks, what=f"The row of agent {agent_id!r}")
        kept = {name: value for name, value in fields.items() if name != "state"}  # the user's own
        blank = {**fields, **without_copies(kept, message)}
        window = _window_without(message, row["live_window"], agent_id)
        if blank == fields and window == row["live_window"]:
            return None
        return AgentRow(agent_id, window, _laid_out(blank, str(fields.get("created_at", ""))))

    def _written(self, statements: Sequence[Statement]) -> bool:
        """Write a batch; False where it was built on what is no longer stored."""
        try:
            self._store.write(statements)
        except Exception as error:
            if fault_of(error) in _GUARDS:
                return False
            raise
        return True

    def _conflict(self, session_id: str, agent_id: str) -> NoReturn:
        raise SessionConflictError(
            f"Session {session_id!r}: agent {agent_id!r} is being written to all the time, so it could not be changed. "
            "Nothing of it was overwritten. Stop the agent, or call again.",
            session_id=session_id,
            agent_id=agent_id,
        )


class _Cut:
    """An agent's document, changed here where SQLite can't: as it is to be when its history ends with a message."""

    def __init__(self, row: StoredRow, fields: dict[str, Any], at: int, *, forked: bool) -> None:
        self.revision: int = row["revision"]
        self.window: str | None = row["live_window"]
        self.next_id: int = row["next_id"]
        internal = _mapping(fields.get("_internal_state"))
        manager = _mapping(fields.get("conversation_manager_state"))
        is_live = bool(row["is_live"])
        if not row["is_windowed"]:
            removed = manager.get("removed_message_count")
            skipped = max(removed, 0) if isinstance(removed, int) else 0
            is_live = skipped <= at
            self.window = _cut_by_rule(skipped, manager.get("summary_message"), at, at if forked else self.next_id - 1)
        changes: dict[str, Any] = {"updated_at": now()}
        if not (row["is_last"] and is_live):
            none: dict[str, Any] = {
                "interrupt_state": {"interrupts": {}, "context": {}, "activated": False},
                "model_state": {},
            }
            changes["_internal_state"] = {**internal, **{name: none[name] for name in internal if name in none}}
        if not is_live:
            gone = {"removed_message_count": 0, "summary_message": None}
            changes["conversation_manager_state"] = {
                **manager,
                **{name: gone[name] for name in manager if name in gone},
            }
        self.document: Document = _laid_out({**fields, **changes}, str(fields.get("created_at", "")))


def _cut_by_rule(skipped: int, summary: object, at: int, last: int) -> str:
    """The live window of a history by Strands' own rule, cut after a message, when the next comes after the `last`."""
    end = at if last > at else None
    items: list[object] = [[0, end]]
    if skipped <= at:
        items = [{"message": summary}, [skipped, end]] if isinstance(summary, dict) else [[skipped, end]]
    if last > at:
        items.append([last + 1, None])
    return encode(items, what="a live window")


def _laid_out(fields: dict[str, Any], created_at: str = "") -> Document:
    return Document.of(encode(fields, what="a changed document"), created_at=created_at)


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _window_without(message: Message, text: str | None, agent_id: str) -> str | None:
    """A live window in which the inline copies of a message are erased."""
    if text is None or "{" not in text:
        return text
    try:
        items = cast("list[Any]", decode(text))
        inline = {
            place: _inline(cast("dict[str, Any]", item)) for place, item in enumerate(items) if isinstance(item, dict)
        }
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SessionDataError(
            unreadable(f"The live window of agent {agent_id!r}", str(error), column="live_window")
        ) from error
    changed = False
    for place, found in inline.items():
        blank = without_copies(found, message)
        if blank != found:
            changed = True
            items[place] = {"message": blank}
    return encode(items, what="a live window") if changed else text


def _inline(item: dict[str, Any]) -> Any:
    """The message of a window's item, in either of its two forms."""
    return item["message"] if "message" in item else decode(item["encoded"])


def _added(total: Deletion, session_id: str, rows: int, progress: Callable[[Deletion], None] | None) -> Deletion:
    more = Deletion((*total.session_ids, session_id), total.rows + rows, total.dry_run, total.skipped)
    if progress is not None:
        progress(more)
    return more
