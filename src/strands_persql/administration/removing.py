"""The part of the administrative face that removes: sessions deleted, those pruned that are old, messages erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from ..engine.options import checked_session_id
from . import arguments, deleting, erasing
from .conversations import Conversations
from .listing import Chosen
from .results import Deletion


class Removing(Conversations):
    """A database of sessions, and how they go; see `PerSQLSessions`."""

    def delete(self, session_id: str, *, progress: Callable[[int], None] | None = None) -> Deletion:
        """Delete all of a session, a page of rows in each request; run again after an interruption, it goes on.

        Args:
            session_id: The session.
            progress: Called after each page with the number of rows deleted so far.

        Raises:
            SessionException: There is no such session.
        """
        return deleting.delete(self._store, self._index, checked_session_id(session_id), progress=progress)

    def prune(
        self,
        *,
        older_than: datetime | timedelta | str | None = None,
        expired: bool = False,
        prefix: str = "",
        dry_run: bool = False,
        progress: Callable[[Deletion], None] | None = None,
    ) -> Deletion:
        """Delete the sessions that were last active before a time, or that have expired.

        Run again after an interruption, it goes on. A session that becomes active meanwhile, or gets another retention,
        stays; where that happens between two requests, the newest of its old
        messages are gone, and a warning is logged.

        Args:
            older_than: The time, or how long ago; a string is ISO 8601, UTC where it names no zone.
            expired: Instead of `older_than`: those whose own retention has ended, by this machine's clock; see
                `SessionSummary.expiry`. Sessions without a retention stay.
            prefix: Only sessions whose id begins with it.
            dry_run: Count, and delete nothing.
            progress: Called after each session with what was deleted so far.

        Raises:
            ValueError: `older_than` is no time; or neither it nor `expired` was given, or both.
        """
        if (older_than is None) is not expired:
            raise ValueError("say which sessions are to go: with older_than=, or with expired=True")
        now = datetime.now(timezone.utc)
        until = now if older_than is None else arguments.before("older_than", older_than, now)
        chosen = Chosen(arguments.text("prefix", prefix), until=until, is_expired=expired)
        return deleting.prune(self._store, self._index, chosen, dry_run=dry_run, progress=progress)

    def erase(self, session_id: str, agent_id: str, message_id: int) -> None:
        """Overwrite the content of one message for good: its row and parts, the search index, and every copy of it.

        Copies stand in the live window, and in what the agent's interrupts and the session's Graphs and Swarms keep.
        Texts, inputs and results become `"[erased]"`; the ids of tool uses and results and the names of tools stay, so
        that models take the history. Those that hold a text of the message, or that the model made up (there is no such
        tool), are renamed, in the message that has the other half too. Other messages that hold the same words are left
        alone: a summary, `agent.state`, forks, and so are backups of the database. A live agent gets
        `SessionConflictError`, so that it can't write the content back. Harmless when run again.

        Args:
            session_id: The session.
            agent_id: The agent.
            message_id: The message's position in the transcript.

        Raises:
            SessionException: There is no such session, agent or message.
            SessionConflictError: A live agent wrote at the same time, again and again; call again.
        """
        erasing.erase(
            self._store,
            self._index,
            checked_session_id(session_id),
            arguments.text("agent_id", agent_id),
            arguments.position("message_id", message_id),
        )
