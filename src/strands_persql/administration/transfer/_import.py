"""Sessions brought into the tables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...database.about import About
from ...database.tables import Kind, SessionObjects
from ...engine.options import checked_session_id
from ...errors import SessionConflictError, named
from ...stores import objects_beside
from ..results import Transfer
from ._batch import Batch
from ._items import Checksum, Document, Item, MessageItem, ObjectItem, Progress, StateItem, canonical, malformed
from ._jsonl import JsonlSource
from ._progress import Reporter
from ._sources import Opened
from ._tables import START, Connection, Head

if TYPE_CHECKING:
    from ...database.connector import Connector
    from ...database.tables import Tables


def import_from(
    store: Connector[Tables],
    opened: Opened,
    *,
    session_id: str | None = None,
    new_id: str | None = None,
    progress: Progress | None = None,
) -> tuple[Transfer, ...]:
    """Import sessions, a few megabytes at a time. See `PerSQLSessions.import_from`.

    A session's agents get their rows in the last transaction, so nothing restores from half of it. An import that runs
    again after a failure compares what is stored with the source, and goes on behind it. What was written is read back,
    and compared by its checksum.
    """
    source = opened.source
    session_id = opened.session_id if session_id is None else session_id
    if new_id is not None:
        checked_session_id(new_id)
    known = [session_id] if session_id is not None else source.session_ids()
    if new_id is not None and known is not None and len(known) > 1:
        raise ValueError(_ONE_ID.format(len(known)))
    total = source.count(known) if progress is not None and known is not None else None
    reporter = Reporter(progress, total)
    if isinstance(source, JsonlSource):
        source.check(session_id)
    transfers: list[Transfer] = []
    for session in source.sessions(session_id):
        if new_id is not None and transfers:
            raise ValueError(_ONE_ID.format("several"))
        target = checked_session_id(session.session_id if new_id is None else new_id)
        transfers.append(_Import(Connection(store), target, reporter).run(session.items))
    return tuple(transfers)


_ONE_ID = "new_id is for one session, and the source has {}. Name the one: session_id=…"


class _Import:
    """One session's import: the source is read once, and compared with the stored rows, which are in the same order."""

    def __init__(self, connection: Connection, session_id: str, progress: Reporter) -> None:
        self._connection = connection
        self._session_id = session_id
        self._progress = progress
        self._batch = Batch(connection, session_id, progress)
        self._stored = Head.read(connection, session_id)
        self._stored_messages = self._stored.messages(connection)
        self._checksum = Checksum()
        self._session: Document = {}
        self._states: dict[tuple[Kind, str], StateItem] = {}
        self._last: dict[str, int] = {}
        self._objects: set[str] = set()
        self._end = START  # the last message that was stored before
        self._up_to_end: Checksum | None = None  # of the messages up to it; None as long as none was added

    def run(self, items: Iterable[Item]) -> Transfer:
        for item in items:
            if isinstance(item, MessageItem):
                self._message(item)
            elif isinstance(item, StateItem):
                self._state(item)
            elif isinstance(item, ObjectItem):
                self._object(item)
            else:
                self._head({**item.data, "session_id": self._session_id}, item.about)
        self._check_nothing_else()
        self._finish()
        self._progress.tell()
        return self._checksum.transfer(
            self._session_id, written=self._batch.written, requests=self._connection.requests
        )

    def _head(self, document: Document, about: About) -> None:
        self._session = document
        stored = self._stored
        if stored.session is not None:
            if canonical(stored.session) != canonical(document):
                raise self._conflict("it was begun at another time, or by another program")
            return
        if stored.states or stored.last:
            raise self._conflict("it has rows, but none of its own in the table of sessions")
        self._batch.session(document, about)

    def _state(self, item: StateItem) -> None:
        _check_id(item, self._session_id)
        key = (item.kind, item.owner)
        stored = self._stored.states.get(key)
        if stored is not None and stored.text != item.text:
            raise self._conflict(f"{item.name} has another state", item.owner)
        self._states[key] = item
        self._checksum.add(item)

    def _object(self, item: ObjectItem) -> None:
        store = self._connection.store
        key = SessionObjects(store.tables.prefix, self._session_id).absolute(item.key)
        objects = objects_beside(store)
        self._objects.add(key)
        self._connection.requests += 1
        stored = objects.read(key)
        if stored == item.value:
            return
        if self._stored.states:
            raise self._conflict(f"its object {named(key)} is another one")
        if store.tables.seals.is_on:
            self._batch.send()  # the session's row first: it holds the data key that the object is sealed with
        self._connection.requests += 1
        objects.write(key, item.value)

    def _message(self, item: MessageItem) -> None:
        text = canonical(item.data)
        place = (item.agent_id, item.message_id)
        stored = next(self._stored_messages, None)
        if stored is not None:
            if (stored.agent_id, stored.message_id) != place or (canonical(stored.data), stored.live) != (
                text,
                item.live,
            ):
                raise self._conflict(f"{stored.name} is another one", stored.agent_id, stored.message_id)
            self._end = place
            self._progress.add(1)
        elif self._stored.states:
            raise self._conflict(f"{item.name} is not there", *place)
        else:
            self._up_to_end = self._up_to_end or self._checksum.of_messages()
            self._batch.message(item)
        self._last[item.agent_id] = item.message_id
        self._checksum.add_message(item, text)

    def _check_nothing_else(self) -> None:
        """Check that the source has all that is stored."""
        more = next(self._stored_messages, None)
        if more is not None:
            raise self._conflict(f"it has a {more.name}, and the source has none", more.agent_id, more.message_id)
        for kind, owner in self._stored.states:
            if (kind, owner) not in self._states:
                raise self._conflict(f"it has {named(owner)}, and the source has not", owner)

    def _finish(self) -> None:
        fault: SessionConflictError | None = None
        try:
            for key, item in self._states.items():
                if key not in self._stored.states:
                    self._batch.state(item, self._last.get(item.owner))
            self._batch.send()
        except SessionConflictError as error:
            fault = error  # perhaps the refused rows are our own, and their answer was lost: reading back tells
        if self._batch.sent or fault is not None:
            self._read_back(fault)
            self._batch.confirm()

    def _read_back(self, fault: SessionConflictError | None) -> None:
        """Check that source and database hold the same."""
        now = Head.read(self._connection, self._session_id)
        found, given = self._up_to_end or self._checksum.of_messages(), self._checksum
        for message in now.messages(self._connection, after=self._end):
            found.add(message)
        for state in now.states.values():
            found.add(state)
        why = ""
        if (canonical(now.session), found.hexdigest(), found.windows()) != (
            canonical(self._session),
            given.hexdigest(),
            given.windows(),
        ):
            why = f"its checksum is {found.hexdigest()}, the source's {given.hexdigest()}"
        elif self._objects:  # who deletes the session takes those along that were stored by then
            of_session = SessionObjects(self._connection.store.tables.prefix, self._session_id)
            keys = self._connection.ask(of_session.keys())
            gone = self._objects.difference(keys)
            why = f"it has no object {named(min(gone))}" if gone else ""
        if why:
            raise fault or SessionConflictError(
                f"What was read back of session {named(self._session_id)} is not what the source holds: {why}. "
                "Somebody else wrote to the session meanwhile, or to the source. See what it holds, and delete it or "
                "import under another name (new_id=…).",
                session_id=self._session_id,
                agent_id=next((owner for kind, owner in self._states if kind == "agent"), ""),
            )

    def _conflict(self, why: str, agent_id: str = "", message_id: int | None = None) -> SessionConflictError:
        return SessionConflictError(
            f"Session {named(self._session_id)} is stored here already, and it is no earlier import of this source: "
            f"{why}. Nothing of it was changed. Import under another name (new_id=…), or delete it first.",
            session_id=self._session_id,
            agent_id=agent_id,
            message_id=message_id,
        )


def _check_id(item: StateItem, session_id: str) -> None:
    """Check that an agent, Graph or Swarm can be opened by its id once it is stored.

    Raises:
        SessionDataError: It can't.
    """
    name = item.name
    where = f"{name[0].upper()}{name[1:]} of session {named(session_id)}"
    try:
        item.owner.encode()
    except UnicodeEncodeError as error:
        raise malformed(where, "its id is no valid Unicode: it holds a lone surrogate") from error
    # Strands checks agents' ids when they are built (`strands/_identifier.py`), and takes an empty one for 'default'.
    if item.kind == "agent" and (not item.owner or os.path.basename(item.owner) != item.owner):
        raise malformed(where, "Strands builds no agent with this id, which is empty or holds a path separator")
