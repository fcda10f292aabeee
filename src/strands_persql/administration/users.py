"""The sessions of one user, and nobody else's: what an application shows to the people who talk to its agents."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Iterable, Iterator, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import uuid4

from ..database.about import LONGEST_NAME, checked_text
from ..database.connector import Connector
from ..database.tables import Newest, Search, Tables, Within, newest
from ..engine.options import checked_session_id
from . import arguments
from .deleting import delete_rows
from .forking import rewind
from .missing import no_agent, several_agents
from .owned import OwnedDatabase
from .records import ConversationPage, MediaLink, MediaPart
from .results import Deletion, SearchResult, SessionDetail, SessionPage, SessionSummary, Usage
from .searching import scrub_index, search_chosen
from .sessions import PerSQLSessions
from .transfer import export_lines

if TYPE_CHECKING:
    from ..client import Database
    from ..encryption import Encryption


class Everyone(enum.Enum):
    """Who may see the sessions of all users, and those that are nobody's: whoever runs the agents."""

    EVERYONE = "everyone"


EVERYONE = Everyone.EVERYONE


class VersionedDetail(NamedTuple):
    """A session, and which state of it that is.

    Attributes:
        detail: The session.
        version: Another text after every write to the session; `unchanged=` takes it.
    """

    detail: SessionDetail
    version: str


class UserSessions:
    """The sessions of one user.

    A session of somebody else's, or of nobody's, does not exist here: every method raises the same
    `SessionException` as for an id that was never used. Whose a session is gets asked in the very transaction that
    reads or changes it, so a session that changes hands is closed to its former user from that moment on.

    Args:
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        user: The user's id; `EVERYONE` for all sessions.
        table_prefix: Starts the name of each table, as the session managers have it.
        encryption: The keys of sessions that are encrypted.

    Raises:
        TypeError: `database` is no synchronous handle, or `user` no text.
        ValueError: `user` is blank, longer than 500 characters, or no valid Unicode; or `table_prefix` not safe.
    """

    def __init__(
        self,
        database: Database,
        user: str | Everyone,
        *,
        table_prefix: str = "strands_",
        encryption: Encryption | None = None,
    ) -> None:
        self._user = None if user is EVERYONE else checked_text("user", user, LONGEST_NAME)
        self._prefix = table_prefix
        self._encryption = encryption
        self._all = PerSQLSessions(database, table_prefix=table_prefix, encryption=encryption)
        self._store = Connector(database, Tables(table_prefix))
        self._index = Search(table_prefix)

    @property
    def user(self) -> str | None:
        """The user's id; None for everyone."""
        return self._user

    # Reading

    def list(
        self,
        *,
        tag: str | None = None,
        copy_of: str | None = None,
        order: Literal["id", "recent"] | None = None,
        limit: int = 50,
        after: str | None = None,
        user: str | None = None,
    ) -> SessionPage:
        """A page of the user's sessions; see `PerSQLSessions.list`. Of `EVERYONE`'s, `user` may choose one's.

        Without `order`, the newest first; those with `copy_of` in the order of their ids.
        """
        order = order or ("recent" if copy_of is None else "id")
        return self._all.list(user=self._user or user, tag=tag, copy_of=copy_of, order=order, limit=limit, after=after)

    def get(self, session_id: str) -> VersionedDetail:
        """All of a session but its messages; one request.

        Raises:
            SessionException: There is no such session, or it is not the user's.
        """
        owned = self._owned(session_id, versioned=True)
        return VersionedDetail(self._face(owned).get(session_id), owned.version)

    def messages(
        self,
        session_id: str,
        *,
        agent_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
        media: Literal["link", "inline"] | MediaLink = "link",
    ) -> ConversationPage:
        """A page of an agent's messages, from the newest backwards; see `PerSQLSessions.messages`."""
        face = self._face(self._owned(session_id))
        return face.messages(session_id, agent_id=agent_id, before=before, limit=limit, media=media)

    def media(self, session_id: str, record_id: str, place: str, *, agent_id: str | None = None) -> MediaPart:
        """An image, a document, a video or a sound of a message, with its bytes; see `PerSQLSessions.media`."""
        return self._face(self._owned(session_id)).media(session_id, record_id, place, agent_id=agent_id)

    def newest(self, session_id: str, *, agent_id: str | None = None) -> Newest:
        """Where an agent's transcript ends by now; one request, which reads two rows.

        Args:
            session_id: The session.
            agent_id: The agent; None where the session has one alone.

        Raises:
            SessionException: There is no such session, it is not the user's, it has no such agent or several.
        """
        found = self._newest(session_id, agent_id)
        if len(found) == 1:
            return found[0]
        if agent_id is not None:
            raise no_agent(session_id, agent_id)
        raise several_agents(session_id, [each.agent_id for each in found])

    def newest_of_all(self, session_id: str) -> builtins.list[Newest]:
        """Where the transcripts of all of a session's agents end by now; one request, which reads two rows for each.

        Raises:
            SessionException: There is no such session, or it is not the user's.
        """
        return self._newest(session_id, None)

    def _newest(self, session_id: str, agent_id: str | None) -> builtins.list[Newest]:
        store = self._connected(self._owned(session_id))
        return store.ask(newest(store.tables, session_id, agent_id))

    def export(self, session_id: str) -> Iterator[str]:
        """All of a session as the lines of a `.jsonl` file (`PerSQLSessions.export`), each read as it is asked for.

        Raises:
            SessionConflictError: An agent wrote to the session meanwhile: the lines end without the last one.
            SessionDataError: One of its rows can't be read.
            SessionException: There is no such session, or it is not the user's, from any line on.
        """
        return export_lines(self._connected(self._owned(session_id)), session_id)

    def usage(self, session_id: str) -> Usage:
        """What a session has used; see `PerSQLSessions.usage`."""
        return self._face(self._owned(session_id)).usage(session_id)

    def search(
        self, text: str, *, session_id: str | None = None, limit: int = 20, max_scanned: int = 10_000
    ) -> SearchResult:
        """Messages that hold all words of a text, whatever their case; see `PerSQLSessions.search`.

        Of one user, messages are read and looked into, also where there is an index: no row of anybody else's is read,
        and no more than `max_scanned` of the user's own, in at most 1,000 sessions, the newest.

        Args:
            text: Words.
            session_id: Search this session alone.
            limit: The most hits, 1 to 1000.
            max_scanned: The most messages to read.

        Raises:
            SessionException: There is no such session, or it is not the user's.
            ValueError: `text` holds no word, or a number is out of range.
        """
        if self._user is None:
            return self._all.search(text, session_id=session_id, limit=limit, max_scanned=max_scanned)
        store = self._store if session_id is None else self._connected(self._owned(session_id))
        return search_chosen(
            store,
            self._index,
            arguments.words("text", text),
            Within(session_id, self._user),
            limit=arguments.count("limit", limit),
            max_scanned=arguments.count("max_scanned", max_scanned, most=None),
        )

    # Changing

    def update(
        self,
        session_id: str,
        *,
        title: str | EllipsisType | None = ...,
        tags: Iterable[str] | EllipsisType | None = ...,
        metadata: Mapping[str, Any] | EllipsisType | None = ...,
        unchanged: str | None = None,
    ) -> SessionSummary:
        """Change what a session is called; see `PerSQLSessions.update`.

        Args:
            session_id: The session.
            title: Its title.
            tags: All of its tags.
            metadata: All of its metadata.
            unchanged: Change it only if this is still its version; one request more.

        Raises:
            ChangedError: It has another version by now; nothing was changed.
            SessionException: There is no such session, or it is not the user's.
            TypeError, ValueError: An argument can't be used.
        """
        face = self._face(self._owned(session_id, unchanged=unchanged))
        return face.update(session_id, title=title, tags=tags, metadata=metadata)

    def fork(
        self, session_id: str, *, agent_id: str | None = None, at: int | None = None, unchanged: str | None = None
    ) -> SessionSummary:
        """Copy a session, under an id that nobody can guess; the copy is the same user's.

        See `PerSQLSessions.fork`, and `update` for `unchanged`.
        """
        face = self._face(self._owned(session_id, unchanged=unchanged))
        return face.fork(session_id, str(uuid4()), agent_id=agent_id, at=at)

    def rewind(
        self,
        session_id: str,
        agent_id: str | None,
        *,
        to: int | EllipsisType | None = ...,
        before: int | None = None,
        unchanged: str | None = None,
    ) -> None:
        """Set an agent's history back; see `PerSQLSessions.rewind`, and `update` for `unchanged`.

        Args:
            session_id: The session.
            agent_id: The agent; None where the session has one alone.
            to: The position of the message that is to be the last; None for an empty history.
            before: Instead of `to`, the position of the first message that goes.
            unchanged: See `update`.
        """
        to, kept = arguments.cut(to, before)
        store = self._connected(self._owned(session_id, unchanged=unchanged))
        agent_id = None if agent_id is None else arguments.text("agent_id", agent_id)
        rewind(store, session_id, agent_id, to=to, kept=kept)

    def delete(self, session_id: str, *, unchanged: str | None = None) -> Deletion:
        """Delete all of a session; see `PerSQLSessions.delete`, and `update` for `unchanged`."""
        owned = self._owned(session_id, erases=True, unchanged=unchanged)
        deletion = delete_rows(self._connected(owned), session_id, progress=None)
        scrub_index(self._store, self._index)
        return deletion

    def _owned(self, session_id: str, **options: Any) -> OwnedDatabase:
        return OwnedDatabase(self._store, checked_session_id(session_id), self._user, **options)

    def _face(self, owned: OwnedDatabase) -> PerSQLSessions:
        return PerSQLSessions(owned, table_prefix=self._prefix, create_tables=False, encryption=self._encryption)

    def _connected(self, owned: OwnedDatabase) -> Connector[Tables]:
        return Connector(owned, Tables(self._prefix, self._encryption), create_tables=False)
