"""The administrative face: sessions listed, read, searched, counted, renamed, forked, rewound, erased and deleted.

```python
sessions = PerSQLSessions(client.database("acme/agent-state"))
for summary in sessions.list(prefix="user-").sessions:
    print(summary.session_id, summary.last_active, summary.messages)
```

Each call is one request, or one for each page. All of them are safe beside a live agent: what reads takes nothing away
from it, and what changes its rows raises their revision, so that the agent gets `SessionConflictError` at its next
write instead of writing over the change.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from os import PathLike
from typing import TYPE_CHECKING, TextIO

from ..database.connector import Store
from ..database.encoding import LARGEST_NUMBER
from ..database.tables import Administration, Search, Tables
from ..engine.options import checked_session_id
from . import searching
from .forking import Alteration
from .results import (
    Deletion,
    SearchResult,
    SessionDetail,
    SessionPage,
    SessionSummary,
    TranscriptMessage,
    Transfer,
    Usage,
)
from .transcripts import (
    list_sessions,
    moment,
    read_detail,
    read_transcript,
    read_usage,
)
from .transfer import Importable, export, import_from

if TYPE_CHECKING:
    from ..client import Database

__all__ = ["PerSQLSessions"]


class PerSQLSessions:
    """The sessions of one database, for the people who run its agents.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table, as the session managers have it.
        create_tables: Create the tables when a statement finds none; False sends no DDL, but for `enable_search`.

    Raises:
        TypeError: `database` is no synchronous handle.
        ValueError: `table_prefix` is not safe inside SQL.
    """

    def __init__(self, database: Database, *, table_prefix: str = "strands_", create_tables: bool = True) -> None:
        self._store = Store(database, Tables(table_prefix), create_tables=create_tables)
        self._administration = Administration(self._store.tables)
        self._index = Search(table_prefix)
        self._alteration = Alteration(self._store, self._administration, self._index)

    # Reading

    def list(
        self,
        *,
        prefix: str = "",
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int = 50,
        after: str | None = None,
        bytes: bool = False,
    ) -> SessionPage:
        """A page of sessions in the order of their ids; one request, which reads the rows of that page alone.

        With `since` or `until` a page looks at no more than 1,000 sessions (or `limit`, where that is more), so it may
        hold fewer than `limit`, or none, although more follow: go on while `after` is not None.

        Args:
            prefix: Only sessions whose id begins with it.
            since: Only sessions last active at this time or later. A string is ISO 8601, UTC where it names no zone; a
                `datetime` without a zone is local time, as everywhere in Python.
            until: Only sessions last active before this time.
            limit: The most sessions in the page, 1 to 1000.
            after: `SessionPage.after` of the page before.
            bytes: Add up the bytes of each session's documents, which reads all its rows.

        Raises:
            ValueError: An argument can't be used.
            TypeError: An argument is of the wrong type.
        """
        return list_sessions(
            self._store,
            self._administration,
            prefix=_text("prefix", prefix),
            since=None if since is None else _time("since", since),
            until=None if until is None else _time("until", until),
            limit=_count("limit", limit),
            after=None if after is None else _text("after", after),
            sizes=bytes,
        )

    def get(self, session_id: str, *, bytes: bool = False) -> SessionDetail:
        """All of a session but its messages; one request.

        Args:
            session_id: The session.
            bytes: Add up the bytes of its documents, which reads all its rows.

        Raises:
            SessionException: There is no such session.
            SessionDataError: A stored row can't be read.
        """
        return read_detail(self._store, self._administration, checked_session_id(session_id), sizes=bytes)

    def transcript(
        self, session_id: str, agent_id: str | None = None, *, live: bool = False, page_size: int = 100
    ) -> Iterator[builtins.list[TranscriptMessage]]:
        """An agent's messages in pages, a request each (and one before the first), read as the iterator is advanced.

        Args:
            session_id: The session.
            agent_id: The agent; None for all agents of the session, one after the other in the order of their ids. No
                page holds messages of two agents.
            live: The live window alone: what the model sees, in its order, with the messages that stand in no
                transcript (summaries; their `message_id` is None). Else the whole transcript, each message marked.
            page_size: The most messages in a page, 1 to 1000. Pages of long messages are shorter.

        Raises:
            SessionException: There is no such session, or no such agent in it; raised by the call itself.
            SessionDataError: A stored row can't be read.
        """
        return read_transcript(
            self._store,
            self._administration,
            checked_session_id(session_id),
            None if agent_id is None else _text("agent_id", agent_id),
            live=live,
            page_size=_count("page_size", page_size),
        )

    def search(
        self, text: str, *, session_id: str | None = None, limit: int = 20, max_scanned: int = 10_000
    ) -> SearchResult:
        """Messages that hold all words of a text, whatever their case.

        With the index of `enable_search`: words that begin with the given ones, best match first. Without it: messages
        are scanned in the order of session, agent and position, and words are found inside others too. Either way what
        is searched is the text of messages, the input of tool uses and the text of tool results.

        Args:
            text: Words. Nothing in it is syntax.
            session_id: Search this session alone.
            limit: The most hits, 1 to 1000.
            max_scanned: The most messages to look at without an index; with one, the most of those stored in parts
                (longer than a row may be), which no index holds.

        Raises:
            ValueError: `text` holds no word, or a number is out of range.
            SessionException: There is no such session.
        """
        if not any(character.isalnum() for character in _text("text", text)):
            raise ValueError("text must hold a word to search for; got none")
        return searching.search(
            self._store,
            self._index,
            text,
            session_id=None if session_id is None else checked_session_id(session_id),
            limit=_count("limit", limit),
            max_scanned=_count("max_scanned", max_scanned, most=None),
        )

    def has_search(self) -> bool:
        """Whether the database has the full-text index, with every message in it; one request."""
        return searching.has_index(self._store, self._index)

    def enable_search(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Create the full-text index, and fill it with what is stored; takes an admin token.

        From then on triggers keep it current, whoever writes. Run again after an interruption, it goes on; until
        it has run to its end, `search` looks at each message.

        Each new message then writes about eleven rows where it wrote one (measured with SQLite 3.40 and messages of 50
        words), and its text is stored a second time. What is rewritten, erased or deleted leaves the index for good:
        at once from SQLite 3.42 on, as PerSQL has it; before, in that the index is merged, which takes the longer the
        larger it is. A local file whose index was made by 3.42 or later can't be written to by older ones. Words are
        told apart by spaces and punctuation, which some scripts don't have: there only beginnings are found. A message
        that holds half a surrogate pair is in no index.

        Args:
            progress: Called after each page with the number of messages looked at so far.

        Returns:
            How many messages were looked at.

        Raises:
            PermissionDeniedError: The token may not run DDL.
        """
        return searching.create_index(self._store, self._index, progress)

    def disable_search(self) -> None:
        """Drop the full-text index, its triggers and all that it holds; nothing else. Takes an admin token."""
        searching.drop_index(self._store, self._index)

    def usage(self, session_id: str) -> Usage:
        """What a session has used, as far as its messages tell; one request.

        Raises:
            SessionException: There is no such session.
        """
        return read_usage(self._store, self._administration, checked_session_id(session_id))

    # Changing

    def rename(self, session_id: str, new_id: str) -> SessionSummary:
        """Give a session another id, in one transaction; live agents of the old one get `SessionConflictError`.

        Raises:
            SessionException: There is no such session, or `new_id` exists already; nothing was changed.
            ValueError, TypeError: `new_id` is no session id.
        """
        return self._alteration.rename(*_two_ids(session_id, new_id))

    def fork(
        self, session_id: str, new_id: str, *, agent_id: str | None = None, at: int | None = None
    ) -> SessionSummary:
        """Copy a session inside the database, in one transaction; no message passes through this process.

        The copy is independent, and opens like any other session.

        Args:
            session_id: The session.
            new_id: The copy's.
            agent_id: Copy this agent alone; None for all agents, Graphs and Swarms.
            at: Copy the agent's messages up to and including this position; its history then ends there. Takes
                `agent_id`, unless the session has one agent only; Graphs and Swarms are not copied. What the agent
                keeps beside its messages (`agent.state`) is copied as it is now.

        Raises:
            SessionException: There is no such session, agent or message, or `new_id` exists already; nothing was
                changed.
            ValueError, TypeError: An argument can't be used.
        """
        return self._alteration.fork(
            *_two_ids(session_id, new_id),
            agent_id=None if agent_id is None else _text("agent_id", agent_id),
            at=None if at is None else _position("at", at),
        )

    def rewind(self, session_id: str, agent_id: str, *, to: int) -> None:
        """Set an agent's history back so that it ends with an earlier message; what came after stays in the transcript.

        Where the message is in the live window, the window is cut after it. Where it was trimmed, the history is the
        whole transcript up to it. The next message goes to the transcript's end. Open interrupts, and what the model's
        own server keeps, are dropped; `agent.state` stays. A live agent gets `SessionConflictError`.

        Args:
            session_id: The session.
            agent_id: The agent.
            to: The position of the message that is to be the last.

        Raises:
            SessionException: There is no such session, agent or message.
            SessionConflictError: A live agent wrote at the same time, again and again; call again.
        """
        self._alteration.rewind(checked_session_id(session_id), _text("agent_id", agent_id), to=_position("to", to))

    def delete(self, session_id: str, *, progress: Callable[[int], None] | None = None) -> Deletion:
        """Delete all of a session, a page of rows in each request; run again after an interruption, it goes on.

        Args:
            session_id: The session.
            progress: Called after each page with the number of rows deleted so far.

        Raises:
            SessionException: There is no such session.
        """
        return self._alteration.delete(checked_session_id(session_id), progress=progress)

    def prune(
        self,
        *,
        older_than: datetime | timedelta | str,
        prefix: str = "",
        dry_run: bool = False,
        multi_agents: bool = False,
        progress: Callable[[Deletion], None] | None = None,
    ) -> Deletion:
        """Delete the sessions that were last active before a time; run again after an interruption, it goes on.

        A session that becomes active meanwhile stays; where that happens between two requests, the newest of its old
        messages are gone, and a warning is logged. Those with a Graph or Swarm stay too, and are named in
        `Deletion.skipped`, unless `multi_agents` says otherwise: their rows don't tell when they ran last.

        Args:
            older_than: The time, or how long ago; a string is ISO 8601, UTC where it names no zone.
            prefix: Only sessions whose id begins with it.
            dry_run: Count, and delete nothing.
            multi_agents: Delete sessions with a Graph or Swarm too, by what is known of their activity.
            progress: Called after each session with what was deleted so far.

        Raises:
            ValueError, TypeError: `older_than` is no time.
        """
        until = (
            datetime.now(timezone.utc) - older_than
            if isinstance(older_than, timedelta)
            else _time("older_than", older_than)
        )
        return self._alteration.prune(
            until=until, prefix=_text("prefix", prefix), dry_run=dry_run, multi_agents=multi_agents, progress=progress
        )

    def erase(self, session_id: str, agent_id: str, message_id: int) -> None:
        """Overwrite the content of one message for good: its row and parts, the search index, and every copy of it.

        Copies stand in the live window, and in what the agent's interrupts and the session's Graphs and Swarms keep.
        Texts, inputs and results become `"[erased]"`; the ids of tool uses and results stay, so that models take the
        history. Other messages that hold the same words are left alone: a summary, `agent.state`, forks, and so are
        backups of the database. A live agent gets `SessionConflictError`, so that it can't write the content back.
        Harmless when run again.

        Args:
            session_id: The session.
            agent_id: The agent.
            message_id: The message's position in the transcript.

        Raises:
            SessionException: There is no such session, agent or message.
            SessionConflictError: A live agent wrote at the same time, again and again; call again.
        """
        self._alteration.erase(
            checked_session_id(session_id), _text("agent_id", agent_id), _position("message_id", message_id)
        )

    # Bringing in, taking out

    def import_from(
        self,
        source: Importable,
        *,
        session_id: str | None = None,
        new_id: str | None = None,
        agent_ids: Sequence[str] | None = None,
        multi_agent_ids: Sequence[str] | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> tuple[Transfer, ...]:
        """Bring sessions in from Strands' other managers or from a file, every document as it is.

        It goes on where an earlier call was cut off, sends nothing twice, and restores to no agent before it is whole.
        What was written is read back, and compared with the source by its checksum.

        Args:
            source: The folder of Strands' `FileSessionManager` (its `storage_dir`, or the folder of one session), a
                `.jsonl` file that `export` wrote or its lines, one of Strands' session managers (files, S3, or over a
                repository), any `SessionRepository`, or a `PerSQLSessions` of another database.
            session_id: The session to bring in; None for all that the source has, or the one that a manager is for.
            new_id: What to call it here; for one session alone.
            agent_ids: The session's agents, for a repository that has no method `list_agents(session_id)`.
            multi_agent_ids: Its Graphs and Swarms, for a repository with no `list_multi_agents(session_id)`.
            progress: Called with the messages done and how many there are; None where nothing tells.

        Returns:
            What was brought in, session by session.

        Raises:
            SessionConflictError: Something else is stored under this id, or somebody writes to it. It was not changed.
            SessionDataError: The source has no such session, or something in it can't be read; names the file or line.
            PerSQLError: The database refused, or could not be reached; call again.
            TypeError: An argument is of the wrong type.
            ValueError: An argument can't be used.
        """
        return import_from(
            self._store,
            source,
            session_id=session_id,
            new_id=new_id,
            agent_ids=agent_ids,
            multi_agent_ids=multi_agent_ids,
            progress=progress,
        )

    def export(
        self,
        session_id: str,
        target: str | PathLike[str] | TextIO,
        *,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Transfer:
        """Take a session out, into a file or folder; nothing in the database is changed.

        What was written is read back, and compared by its checksum, before it is moved to its place. A folder has no
        room for live windows: Strands' manager restores from it by its own rule, which skips as many messages as the
        conversation manager counts as removed. A `.jsonl` file keeps them.

        Args:
            session_id: The session.
            target: A path that ends in `.jsonl`, an open stream of text, or a folder, which Strands'
                `FileSessionManager` then reads as its `storage_dir`.
            progress: Called with the messages done and how many there are.

        Raises:
            SessionConflictError: An agent wrote to the session meanwhile; call again.
            SessionDataError: There is no such session, one of its rows can't be read, or the place is taken.
            PerSQLError: The database refused, or could not be reached; call again.
            TypeError: `target` is neither a path nor a stream.
            ValueError: The session's id, or an agent's, can't be a folder's name.
        """
        return export(self._store, session_id, target, progress=progress)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid Unicode: it holds a lone surrogate") from error
    return value


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    return value


def _count(name: str, value: object, *, most: int | None = 1000) -> int:
    number = _whole(name, value)
    if number < 1 or (most is not None and number > most):
        raise ValueError(f"{name} must be {'1 or more' if most is None else f'1 to {most}'}, got {number}")
    return number


def _position(name: str, value: object) -> int:
    number = _whole(name, value)
    if not 0 <= number < LARGEST_NUMBER:
        raise ValueError(f"{name} must be the position of a message, 0 or more, got {number}")
    return number


def _time(name: str, value: object) -> datetime:
    found = moment(value) if isinstance(value, str) else value
    if isinstance(found, datetime):
        return found if found.tzinfo is not None else found.astimezone()
    if isinstance(value, str):
        raise ValueError(f"{name} must be a time such as '2025-01-31' or '2025-01-31T12:00:00+00:00', got {value!r}")
    raise TypeError(f"{name} must be a datetime or a string in ISO 8601, got {type(value).__name__}")


def _two_ids(session_id: object, new_id: object) -> tuple[str, str]:
    old, new = checked_session_id(session_id), checked_session_id(new_id)
    if old == new:
        raise ValueError(f"new_id must be another id than the session's own, {old!r}")
    return old, new
