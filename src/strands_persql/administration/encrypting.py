"""Moves sessions from clear to encrypted and back, and wraps their data keys anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..database.data_keys import DESTROYED, DataKeys, Moving, check_standing, store_context
from ..database.faults import GUARDS, fault_of
from ..database.query import Row
from ..database.resealing import Resealing
from ..database.sealing import Cipher
from ..database.tables import (
    ResealingTables,
    SessionObjects,
    StoredTable,
    StoreKeys,
    WrappedKey,
    find_stored,
    session_of,
)
from ..database.vault import Vault
from ..engine.options import checked_session_id
from ..errors import EncryptionError, SessionConflictError, SessionDataError, named
from ..stores import Objects, UnreadableError, move_memories, move_objects
from .missing import no_session
from .searchable import Searchable

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables

Stored: TypeAlias = Literal["objects", "memories"]
"""What is stored besides sessions."""

_STORES = {"objects": move_objects, "memories": move_memories}

_ROWS = 50
"""Rows that one transaction stores anew."""

_BYTES = 3_000_000
"""Bytes of documents that one transaction stores anew, less the last row."""

_KEYS = 100
"""Data keys that one request wraps anew."""


class Sealable(Searchable):
    """A database of sessions, and the keys that they are encrypted with; see `PerSQLSessions`."""

    def encrypt(self, session_id: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Encrypt a session that is stored in clear, a few megabytes in each request.

        From the first request on nobody else opens the session, and a live agent gets `SessionConflictError` at its
        next write. Run again after an interruption, it goes on; of a session that is encrypted already it encrypts the
        objects that an agent without the key has stored since. It goes on with a fork or a renaming that was
        interrupted, too.

        Args:
            session_id: The session.
            progress: Called after each request with the number of rows looked at so far.

        Raises:
            SessionException: There is no such session.
            EncryptionError: No key was given, or it can't be opened with the key given.
        """
        move(self._store, checked_session_id(session_id), seals=True, progress=progress)

    def decrypt(self, session_id: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Store a session that is encrypted in clear; as `encrypt` in all else.

        Args:
            session_id: The session.
            progress: Called after each request with the number of rows looked at so far.

        Raises:
            SessionException: There is no such session.
            EncryptionError: No key was given, or it can't be opened with the key given.
        """
        move(self._store, checked_session_id(session_id), seals=False, progress=progress)

    def encrypt_store(self, name: Stored, *, progress: Callable[[int], None] | None = None) -> int:
        """Encrypt what is stored in clear besides sessions.

        Give the agents that use it the key first: one without it can't read what has been encrypted, and what it still
        writes stays in clear until this runs again. Nothing that an agent writes meanwhile is lost. Run again after an
        interruption, it goes on. Words in full-text indexes go.

        Args:
            name: `"objects"`, those that are no session's (those of a session go with it); or `"memories"`, all of
                them, which get other ids.
            progress: Called after each page with the number of rows looked at so far.

        Returns:
            How many were encrypted; none are left in clear once that is 0.

        Raises:
            EncryptionError: No key was given, or not the one that others of them are encrypted with.
            ValueError: There is no such store.
        """
        return _move_store(self._store, name, seals=True, progress=progress)

    def decrypt_store(self, name: Stored, *, progress: Callable[[int], None] | None = None) -> int:
        """Store in clear what is encrypted besides sessions; as `encrypt_store` in all else.

        The data key stays, so that what an agent with the key writes meanwhile can still be read.

        Args:
            name: `"objects"` or `"memories"`.
            progress: Called after each page with the number of rows looked at so far.

        Returns:
            How many were decrypted.

        Raises:
            EncryptionError: No key was given, or one of them can't be opened with it.
            ValueError: There is no such store.
        """
        return _move_store(self._store, name, seals=False, progress=progress)

    def rotate(self, *, progress: Callable[[int], None] | None = None) -> int:
        """Wrap all data keys under the newest key that was given; no document is read or written.

        A row is written for each session that was not wrapped under it, 100 in a request. Agents go on undisturbed.
        Run again after an interruption, it goes on. Afterwards the older keys are needed for earlier copies of the
        database alone.

        Args:
            progress: Called after each request with the number of sessions looked at so far.

        Returns:
            How many data keys were wrapped anew.

        Raises:
            EncryptionError: No key was given, or one of the data keys can't be unwrapped with those given.
        """
        return rotate(self._store, progress)


def keys_of(store: Connector[Tables]) -> DataKeys:
    """The data keys.

    Raises:
        EncryptionError: No key was given.
    """
    seals = store.tables.seals
    if not isinstance(seals, Vault):
        raise EncryptionError(
            "Encrypting, decrypting and rotating need the key: PerSQLSessions(…, encryption=Encryption(key)), or "
            "--key-file on the command line. Nothing was changed."
        )
    return seals.keys


def _move_store(store: Connector[Tables], name: Stored, *, seals: bool, progress: Callable[[int], None] | None) -> int:
    if name not in _STORES:
        raise ValueError(f"name must be one of {', '.join(_STORES)}; got {named(name)}")
    keys_of(store)
    encryption = store.tables.encryption
    assert encryption is not None
    try:
        return _STORES[name](store.database, store.tables.prefix, encryption, seals=seals, progress=progress)
    except UnreadableError as error:
        raise SessionDataError(f"An object can't be read: {error}") from error


def move(
    store: Connector[Tables], session_id: str, *, seals: bool, progress: Callable[[int], None] | None = None
) -> None:
    """See `Sealable.encrypt` and `decrypt`; `seals` tells which."""
    keys, statements = keys_of(store), ResealingTables(store.tables)
    row = _row(store, session_id)
    moving = Moving.of(row["data_key"])
    if moving is not None:
        _go_on(store, keys, session_id, moving, progress)
        row = _row(store, session_id)
    stored: str | None = row["data_key"]
    if stored is not None:
        check_standing(stored, f"Session {named(session_id)}")
        keys.unwrapped(session_id, stored)  # a wrong key is told before anything is changed
    if (stored is not None) is seals:
        if stored is not None:  # an agent without the key may have stored objects in clear since
            _move_objects(store, session_id, Resealing(None, keys.unwrapped(session_id, stored).cipher))
        return
    moving = Moving(stored, keys.made(session_id) if seals else None)
    try:
        store.carry_out(statements.begin(session_id, stored, moving.stored))
    except Exception as error:
        if fault_of(error) not in GUARDS:
            raise
        if _row(store, session_id)["data_key"] != moving.stored:  # else an answer was lost
            raise _moved_by_another(session_id) from error
    _go_on(store, keys, session_id, moving, progress)


def _row(store: Connector[Tables], session_id: str) -> Row:
    row = store.ask(ResealingTables(store.tables).data_key(session_id), versioned=True)
    if row is None:
        raise no_session(session_id)
    return row


def _go_on(
    store: Connector[Tables],
    keys: DataKeys,
    session_id: str,
    moving: Moving,
    progress: Callable[[int], None] | None,
) -> None:
    """Seal each document with the new key, and then have it stand in the session's row."""

    def cipher(stored: str | None, sealed_as: str | None = None) -> Cipher | None:
        return None if stored is None else keys.unwrapped(session_id, stored, sealed_as).cipher

    resealing = Resealing(cipher(moving.old, moving.sealed_as), cipher(moving.new))
    prefix, seen = store.tables.prefix, 0
    for table in store.ask(find_stored(prefix)):
        if table.key[0] != "session_id" or table.name == f"{prefix}sessions":
            continue
        after: Row | None = None
        while page := store.ask(table.page(after, session_id)):
            _put(store, resealing, table, page)
            after = page[-1]
            seen += len(page)
            if progress is not None:
                progress(seen)
    _move_objects(store, session_id, resealing)
    changes = resealing.changes("sessions", _row(store, session_id))
    ended = ResealingTables(store.tables).end(session_id, moving.stored, {**changes, "data_key": moving.new})
    if not store.carry_out(ended):
        row = store.ask(ResealingTables(store.tables).data_key(session_id))
        if row is None or row["data_key"] != moving.new:  # else an answer was lost, or somebody else has ended it
            raise _moved_by_another(session_id)
    keys.forget(session_id)


def _move_objects(store: Connector[Tables], session_id: str, resealing: Resealing) -> None:
    """The objects below the session's own prefix, and what broken-off writes have left there."""
    objects = Objects(store.database, store.tables.prefix)
    for key in store.ask(SessionObjects(store.tables.prefix, session_id).keys()):
        if session_of(key) == session_id:
            objects.replace(key, resealing.value)
    objects.drop_broken_off(session_id)


def _moved_by_another(session_id: str) -> SessionConflictError:
    return SessionConflictError(
        f"Session {named(session_id)} was deleted, or somebody else has moved it to another key, meanwhile. See "
        "what it is, and call again.",
        session_id=session_id,
        agent_id="",
    )


def _put(store: Connector[Tables], resealing: Resealing, table: StoredTable, page: list[dict[str, object]]) -> None:
    name = table.name.removeprefix(store.tables.prefix)
    batch: list[tuple[Row, dict[str, str]]] = []
    size = 0
    for row in page:
        changes = resealing.changes(name, row)
        if not changes:
            continue
        batch.append((row, changes))
        size += sum(map(len, changes.values()))
        if len(batch) == _ROWS or size > _BYTES:
            store.carry_out(ResealingTables(store.tables).put(table, batch))
            batch, size = [], 0
    if batch:
        store.carry_out(ResealingTables(store.tables).put(table, batch))


def rotate(store: Connector[Tables], progress: Callable[[int], None] | None) -> int:
    """See `Sealable.rotate`."""
    keys, statements = keys_of(store), ResealingTables(store.tables)
    after, seen, count = "", 0, 0
    store.ask(find_stored(store.tables.prefix), versioned=True)
    while page := store.ask(statements.wrapped(after, _KEYS)):
        changed = [(key, new) for key in page if (new := _rewrapped(keys, *key)) is not None]
        if changed:
            store.carry_out(statements.rewrap(changed))
        after, seen, count = page[-1].session_id, seen + len(page), count + len(changed)
        if progress is not None:
            progress(seen)
    return count + _rotate_stores(store)


def _rotate_stores(store: Connector[Tables]) -> int:
    """The same of the data keys of free objects and of memories."""
    encryption, keys = store.tables.encryption, StoreKeys(store.tables.prefix)
    assert encryption is not None
    try:
        found = store.ask(keys.wrapped())
    except Exception as error:
        if fault_of(error) != "unknown_table":
            raise
        return 0  # nothing of these was encrypted yet
    changed: list[tuple[WrappedKey, str]] = []
    for key in found:
        if not encryption.is_current(key.data_key):
            context = store_context(key.session_id)
            data_key = encryption.unwrapped(key.data_key, context, f"The store {named(key.session_id)}")
            changed.append((key, encryption.wrapped(data_key, context)))
    if changed:
        store.carry_out(keys.rewrap(changed))
    return len(changed)


def _rewrapped(keys: DataKeys, session_id: str, stored: str) -> str | None:
    """A data key under the newest key; None where it is that already, or gone."""
    if stored == DESTROYED:
        return None
    moving = Moving.of(stored)
    if moving is None:
        return keys.rewrapped(session_id, stored)
    old, new = (None if key is None else keys.rewrapped(session_id, key) or key for key in (moving.old, moving.new))
    rewrapped = Moving(old, new, moving.sealed_as).stored
    return None if rewrapped == stored else rewrapped
