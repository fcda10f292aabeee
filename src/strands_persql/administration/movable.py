"""The part of the administrative face that brings sessions in, takes them out, and copies the whole database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from .backing_up import back_up
from .inspectable import Inspectable
from .results import Transfer
from .transfer import Exportable, Form, Importable, export, import_from, opened


class Movable(Inspectable):
    """A database of sessions that come and go; see `PerSQLSessions`."""

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
        """Bring sessions in from Strands' other managers, from files, or from other libraries.

        It goes on where an earlier call was cut off, sends nothing twice, and restores to no agent before it is whole.
        What was written is read back, and compared with the source by its checksum.

        Args:
            source: The folder of Strands' `FileSessionManager` (its `storage_dir`, or the folder of one session), a
                `.jsonl` file that `export` wrote or its lines (encrypted ones under the keys of this
                `PerSQLSessions`, or in an `EncryptedExport(…)` with others), one of Strands' session managers (files,
                S3, snapshots, or over a repository), any `SessionRepository`, a storage of snapshots
                (`Snapshots(storage)`), the SQLite file of openai-agents, LangGraph, Google's ADK or agno,
                `AgentCoreMemory(…)`, or a `PerSQLSessions` of another database.
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
            EncryptionError: The source is encrypted, and its key is missing or another, or it was changed.
            PerSQLError: The database refused, or could not be reached; call again.
            TypeError: An argument is of the wrong type.
            ValueError: An argument can't be used.
        """
        return import_from(
            self._store,
            opened(
                source,
                target=self._store.database,
                agent_ids=agent_ids,
                multi_agent_ids=multi_agent_ids,
                encryption=self._store.tables.encryption,
            ),
            session_id=session_id,
            new_id=new_id,
            progress=progress,
        )

    def export(
        self,
        session_id: str,
        target: Exportable,
        *,
        form: Form | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Transfer:
        """Take a session out, into a file, a folder or a storage; nothing in the database is changed.

        What was written is read back, and compared by its checksum, before it is moved to its place. A folder has no
        room for live windows: Strands' manager restores from it by its own rule, which skips as many messages as the
        conversation manager counts as removed. A `.jsonl` file keeps them.

        Args:
            session_id: The session.
            target: A path that ends in `.jsonl`, an open stream of text, or either in an `EncryptedExport(…)` with the
                keys that it is to be encrypted with; a folder, which Strands' `FileSessionManager` then reads as its
                `storage_dir`; or a `SnapshotSessionManager` or its storage,
                where each agent's newest snapshot is written.
            form: For a file or stream in another form, from which nothing is imported again: `"openai"` (a line for
                each agent, `{"messages": […]}`), `"anthropic"` (the same, as Anthropic's messages), `"markdown"`,
                `"otel"` (spans of OpenTelemetry in JSON, a line for each prompt) or `"otel-events"` (the same, with
                messages as events, as Strands' tracer makes them by default). What was redacted stays so.
            progress: Called with the messages done and how many there are.

        Raises:
            SessionConflictError: An agent wrote to the session meanwhile; call again.
            SessionDataError: There is no such session, one of its rows can't be read, or the place is taken.
            PerSQLError: The database refused, or could not be reached; call again.
            TypeError: `target` is neither a path nor a stream nor a storage.
            ValueError: The session's id, or an agent's, can't be a folder's name; or there is no such form.
        """
        return export(self._store, session_id, target, form=form, progress=progress)

    def backup(self, path: str | PathLike[str]) -> None:
        """Copy the database into a local SQLite file, while agents use it; `PerSQL(local=path)` opens the copy.

        A local database is copied whole, as it is at one moment, by SQLite's online backup. Of any other, all rows of
        this package's tables are read page by page: sessions, objects and memories. What was written to meanwhile is
        read again, so that each session is as it was at one moment. The full-text indexes of messages and objects are
        not copied (see `enable_search`). The file is its owner's alone, and replaces an earlier copy once it is whole.

        Args:
            path: The file. Its folder is made where it is missing.

        Raises:
            SessionConflictError: A session was written to each time that it was read; call again.
            PerSQLError: The database refused, or could not be reached; call again.
            ValueError: At this path stands something else than a file, or a database that is in use.
            OSError: The file can't be written.
        """
        back_up(self._store, path)
