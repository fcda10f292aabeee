"""The administrative face: sessions listed, read, searched, counted, renamed, forked, rewound, erased and deleted.

```python
sessions = PerSQLSessions(client.database("acme/agent-state"))
for summary in sessions.list(prefix="user-").sessions:
    print(summary.session_id, summary.last_active, summary.messages)
```

Each call is one request, or one for each page. All are safe beside a live agent: what changes its rows raises their
revision, so that the agent gets `SessionConflictError` at its next write instead of writing over the change.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import EllipsisType
from typing import Any, Literal

from ..database.retention import Retention
from ..engine.options import checked_session_id
from . import arguments, describing, forking
from .listing import Chosen, list_recent, list_sessions, read_detail
from .movable import Movable
from .removing import Removing
from .results import SessionDetail, SessionPage, SessionSummary, TranscriptMessage, Usage
from .transcripts import read_transcript
from .usage import read_usage


class PerSQLSessions(Removing, Movable):
    """The sessions of one database, for the people who run its agents.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table, as the session managers have it.
        create_tables: Create the tables when a statement finds none; False sends no DDL, but for `enable_search`.
        encryption: The keys of sessions that are encrypted; with them those in clear are listed, and not opened.

    Raises:
        TypeError: `database` is no synchronous handle.
        ValueError: `table_prefix` is not safe inside SQL.
    """

    # Reading

    def list(
        self,
        *,
        user: str | None = None,
        tag: str | None = None,
        copy_of: str | None = None,
        order: Literal["id", "recent"] = "id",
        prefix: str = "",
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int = 50,
        after: str | None = None,
        bytes: bool = False,
    ) -> SessionPage:
        """A page of sessions; one request, and one more for the newest first of all users.

        It reads the rows of that page alone. With the newest first, the page is exact to 5 minutes, as often as a
        session's place is written anew, and inside the page they stand in the exact order of their last activity. Of
        all users that takes `enable_recent`; else 1,000 sessions at a time are put in order (`SessionPage.in_order`).

        With `tag`, `since` or `until` a page looks at no more than 1,000 sessions (or `limit`, where that is more), so
        it may hold fewer than `limit`, or none, although more follow: go on while `after` is not None.

        Args:
            user: Only this user's sessions, whatever `after` is.
            tag: Only sessions with this tag.
            copy_of: Only sessions that were forked from this one, in the order of their ids.
            order: `"id"`, or `"recent"` for the newest first.
            prefix: Only sessions whose id begins with it.
            since: Only sessions last active then or later. A string is ISO 8601, UTC where it names no zone; a
                `datetime` without a zone is local time.
            until: Only sessions last active before this time.
            limit: The most sessions in the page, 1 to 1000.
            after: `SessionPage.after` of the page before.
            bytes: Add up the bytes of each session's documents, which reads all its rows.

        Raises:
            ValueError: An argument can't be used.
        """
        chosen = Chosen(
            arguments.text("prefix", prefix),
            None if since is None else arguments.time("since", since),
            None if until is None else arguments.time("until", until),
            None if user is None else arguments.text("user", user),
            None if tag is None else arguments.text("tag", tag),
            origin=None if copy_of is None else checked_session_id(copy_of),
        )
        listed = list_recent if arguments.order(order, of_copies=copy_of is not None) == "recent" else list_sessions
        limit = arguments.count("limit", limit)
        after = None if after is None else arguments.text("after", after)
        return listed(self._store, chosen, limit=limit, after=after, sizes=bytes)

    def get(self, session_id: str, *, bytes: bool = False) -> SessionDetail:
        """All of a session but its messages; one request.

        Args:
            session_id: The session.
            bytes: Add up the bytes of its documents, which reads all its rows.

        Raises:
            SessionException: There is no such session.
            SessionDataError: A stored row can't be read.
        """
        return read_detail(self._store, checked_session_id(session_id), sizes=bytes)

    def transcript(
        self, session_id: str, agent_id: str | None = None, *, live: bool = False, page_size: int = 100
    ) -> Iterator[builtins.list[TranscriptMessage]]:
        """An agent's messages in pages, a request each (and one before the first), read as the iterator is advanced.

        Args:
            session_id: The session.
            agent_id: The agent; None for all agents of the session, one after the other: those that are no node of a
                Graph or Swarm in the order of their ids, then nodes as they first ran. No page holds messages of two.
            live: The live window alone: what the model sees, in its order, with the messages that stand in no
                transcript (summaries; their `message_id` is None). Else the whole transcript, each message marked.
            page_size: The most messages in a page, 1 to 1000. Pages of long messages are shorter.

        Raises:
            SessionException: There is no such session, or no such agent in it; raised by the call itself. Or what is
                left of a transcript was deleted while it was read.
            SessionDataError: A stored row can't be read.
        """
        return read_transcript(
            self._store,
            checked_session_id(session_id),
            None if agent_id is None else arguments.text("agent_id", agent_id),
            live=live,
            page_size=arguments.count("page_size", page_size),
        )

    def usage(self, session_id: str) -> Usage:
        """What a session has used, as far as its messages tell; one request.

        Raises:
            SessionException: There is no such session.
        """
        return read_usage(self._store, checked_session_id(session_id))

    # Changing

    def update(
        self,
        session_id: str,
        *,
        title: str | EllipsisType | None = ...,
        user: str | EllipsisType | None = ...,
        tags: Iterable[str] | EllipsisType | None = ...,
        metadata: Mapping[str, Any] | EllipsisType | None = ...,
        retention: timedelta | Retention | EllipsisType | None = ...,
    ) -> SessionSummary:
        """Change whose a session is, what people call it, and how long it is kept; one request, and one row written.

        What is not named stays; None takes it away. Live agents go on undisturbed, and the session counts as no more
        active for it. With `user` it costs one row more, that of its place among the user's others.

        Args:
            session_id: The session.
            title: Its title, 1 to 500 characters; None for what its first prompt begins with.
            user: The id of the user whose session it is, 1 to 500 characters; None for nobody's.
            tags: All of its tags: at most 50, of 1 to 100 characters.
            metadata: All of its metadata: a JSON object of at most 65,536 characters.
            retention: How long it is kept: a `timedelta` after its last activity, or a `Retention`, which says whether
                it slides; None for ever. One that is fixed counts from now.

        Raises:
            SessionException: There is no such session.
            TypeError, ValueError: An argument can't be used.
        """
        changes = {"title": title, "user": user, "tags": tags, "metadata": metadata, "retention": retention}
        return describing.update(
            self._store,
            checked_session_id(session_id),
            {name: value for name, value in changes.items() if value is not ...},
        )

    def rename(self, session_id: str, new_id: str) -> SessionSummary:
        """Give a session another id, in one transaction; live agents of the old one get `SessionConflictError`.

        The documents of an encrypted one are then sealed for the new id, a few megabytes in each request, as `encrypt`
        does: run that with `new_id` after an interruption.

        Raises:
            SessionException: There is no such session, or `new_id` exists already; nothing was changed.
            ValueError, TypeError: `new_id` is no session id.
        """
        return forking.rename(self._store, *arguments.two_ids(session_id, new_id))

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
            ValueError: An argument can't be used.
        """
        return forking.fork(
            self._store,
            *arguments.two_ids(session_id, new_id),
            agent_id=None if agent_id is None else arguments.text("agent_id", agent_id),
            at=None if at is None else arguments.position("at", at),
        )

    def rewind(
        self, session_id: str, agent_id: str, *, to: int | EllipsisType | None = ..., before: int | None = None
    ) -> None:
        """Set an agent's history back to an earlier message; what came after stays in the transcript.

        Where the message is in the live window, that is cut there. Where it was trimmed or taken back, the history is
        what came before it when it was said. The next message goes to the transcript's end. Open interrupts, and what
        the model's own server keeps, are dropped; `agent.state` stays. A live agent gets `SessionConflictError`.

        Args:
            session_id: The session.
            agent_id: The agent.
            to: The position of the message that is to be the last; None for an empty history.
            before: Instead of `to`, the position of the first message that goes, as when a prompt is edited and asked
                again.

        Raises:
            SessionException: There is no such session, agent or message.
            SessionConflictError: A live agent wrote at the same time, again and again; call again.
            ValueError: Both of `to` and `before` were given, or neither, or one that is no position.
        """
        to, kept = arguments.cut(to, before)
        session_id, agent_id = checked_session_id(session_id), arguments.text("agent_id", agent_id)
        forking.rewind(self._store, session_id, agent_id, to=to, kept=kept)
