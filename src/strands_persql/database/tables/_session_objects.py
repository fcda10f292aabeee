"""The objects of one session: under which keys they stand, and the statements that copy, move and delete them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import named
from ..query import Query
from ..sealing import place as place_of
from ._objects import after_prefix
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

_MARK = "{session}"
_OWN = f"sessions/{_MARK}/"
_OF_STRANDS = (f"context/{_MARK}/scopes/", f"session/{_MARK}/scopes/")
"""Strands' stash, and its snapshots."""

_PLACES = (*(_OWN + each for each in (*_OF_STRANDS, f"{_MARK}/scopes/")), _OWN, *_OF_STRANDS)
"""How the keys of a session's objects begin: below the session's own prefix, where Strands may repeat the id, or as
Strands writes them into a storage of no session. One that begins another one follows it."""

_UNSAFE_IN_KEYS = re.compile(r"[\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")
_UNSAFE = re.compile(r"[%/\\\x00-\x1f\ud800-\udfff]")


def session_prefix(session_id: str) -> str:
    """The prefix of a session's own objects; other sessions have others, whatever is in their ids."""
    return f"sessions/{_segment(session_id)}/"


def session_of(key: str) -> str | None:
    """The session that an object is of, by the prefix of a session's own objects; None for no session's."""
    kind, _, rest = key.partition("/")
    segment, slash, _ = rest.partition("/")
    return _unescaped(segment) if kind == "sessions" and slash and segment else None


def drop_broken_off(prefix: str, session_id: str | None) -> Query[None]:
    """Delete what broken-off writes have left under a session's own prefix, or under keys that are no session's.

    A write that is under way begins anew.

    Args:
        prefix: Starts the name of each table.
        session_id: The session; None for no session's.
    """
    which, bounds = "o.key NOT GLOB 'sessions/?*/*'", list[str]()
    if session_id is not None:
        own = session_prefix(session_id)
        which, bounds = "o.key >= ? AND o.key < ?", [own, str(after_prefix(own))]
    is_named = (
        f"EXISTS (SELECT 1 FROM {prefix}objects AS h WHERE h.key = o.key AND h.part = 0 "
        "AND o.part >= h.first AND o.part < h.first + h.parts - 1)"
    )
    drop = statement(f"DELETE FROM {prefix}objects AS o WHERE o.part > 0 AND {which} AND NOT {is_named}", *bounds)
    return Query([drop], lambda answers: None, erases=True)


def object_place(key: str) -> str:
    """The place of an object: its key as it is in all sessions, so that its session may get another id."""
    session_id = session_of(key)
    if session_id is not None:
        return place_of("objects", SessionObjects("", session_id).relative(key))
    kind, _, rest = key.partition("/")
    if kind in ("context", "session") and "/scopes/" in rest:
        return place_of("objects", kind, rest.rpartition("/scopes/")[2])
    return place_of("objects", "", key)


def _unescaped(segment: str) -> str:
    """The name that `_segment` was given."""
    raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), segment.encode("utf-8", "surrogatepass"))
    return raw.decode("utf-8", "surrogatepass")


def agent_prefix(agent_id: str) -> str:
    """The prefix, below that, of objects that are an agent's alone."""
    return f"agents/{_segment(agent_id)}/"


def _segment(name: str) -> str:
    """A name as one segment of a key."""
    escaped = _UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass")), name
    )
    return escaped.replace(".", "%2E") if set(escaped) == {"."} else escaped


def _path(name: str) -> str:
    """A name as Strands puts it into a key, where that is one."""
    is_path = not any(each in ("", ".", "..") for each in name.split("/"))
    return name if is_path and not _UNSAFE_IN_KEYS.search(name) else _segment(name)


def _agent_places(agent_id: str) -> tuple[tuple[str, str], ...]:
    """What a key holds that is an agent's, and what it holds if it is this agent's."""
    return (("/agents/", f"/{agent_prefix(agent_id)}"), ("/scopes/agent/", f"/scopes/agent/{agent_id}/"))


class SessionObjects:
    """The statements over the objects of a session, of which there are none where nobody wrote one.

    Args:
        prefix: Starts the name of each table.
        session_id: The session.
    """

    def __init__(self, prefix: str, session_id: str) -> None:
        self._table = f"{prefix}objects"
        self.session_id = session_id
        own = _OWN.replace(_MARK, _segment(session_id))
        self.prefixes = [place.replace(_OWN, own).replace(_MARK, _path(session_id)) for place in _PLACES]
        ends = [str(after_prefix(each)) for each in self.prefixes]
        # What begins with the session's own prefix is one range; the places inside it only tell how keys are renamed.
        self._ranges = [each for each in zip(self.prefixes, ends, strict=True) if not each[0].startswith("sessions/")]
        self._ranges.append((own, str(after_prefix(own))))
        self.held = " OR ".join(["(key >= ? AND key < ?)"] * len(self._ranges))
        """A condition that holds for the session's objects; with `bounds`."""
        self.bounds = [bound for each in self._ranges for bound in each]

    def relative(self, key: str) -> str:
        """A key of the session's as it is in all sessions."""
        for place, prefix in zip(_PLACES, self.prefixes, strict=True):
            if key.startswith(prefix):
                return place + key[len(prefix) :]
        raise ValueError(f"{named(key)} is no key of session {named(self.session_id)}")

    def absolute(self, relative: str) -> str:
        """The key of an object of this session.

        Raises:
            ValueError: It is no object of a session.
        """
        is_path = not any(each in ("", "..") for each in relative.split("/")) and not _UNSAFE_IN_KEYS.search(relative)
        for place, prefix in zip(_PLACES if is_path else (), self.prefixes, strict=False):
            if relative.startswith(place):
                return prefix + relative[len(place) :]
        raise ValueError(f"{named(relative)} is no key of a session's object")

    def of_message(self, keys: Sequence[str], agent_id: str, ids: Sequence[str]) -> list[str]:
        """Which keys of its objects are those of parts of an agent's message: offloaded results and texts.

        Args:
            keys: The keys.
            agent_id: The agent.
            ids: The message's tracking id, and the ids of the tool uses whose results it holds.
        """
        name = re.compile(f"({'|'.join(map(re.escape, ids))})_[0-9]+")  # as Strands names them
        return [
            key
            for key in keys
            if ids
            and name.fullmatch(key.rpartition("/")[2])
            and all(place not in key or own in key for place, own in _agent_places(agent_id))
        ]

    def keys(self) -> Query[list[str]]:
        """The keys of its objects, in order."""
        select = f"SELECT key FROM {self._table} WHERE part = 0 AND ({self.held}) ORDER BY key"
        return Query([statement(select, *self.bounds)], lambda answers: [row["key"] for row in answers[0]])

    def copy(self, new_id: str, agent_id: str | None = None) -> Statement:
        """Copy its objects to another session, or those that are no other agent's; fails where one of them is there."""
        renamed, params = self._renamed(new_id)
        columns = "part, parts, first, encoding, size, data"
        sql = f"INSERT INTO {self._table} (key, {columns}) SELECT {renamed}, {columns} FROM {self._table}"
        if agent_id is None:
            return statement(f"{sql} WHERE {self.held}", *params, *self.bounds)
        whose = [name for pair in _agent_places(agent_id) for name in pair]
        is_its = "(instr(key, ?) = 0 OR instr(key, ?) > 0)"
        return statement(f"{sql} WHERE {is_its} AND {is_its} AND ({self.held})", *params, *whose, *self.bounds)

    def move(self, new_id: str) -> Statement:
        """Move its objects to another session; fails where one of them is there."""
        renamed, params = self._renamed(new_id)
        return statement(f"UPDATE {self._table} SET key = {renamed} WHERE {self.held}", *params, *self.bounds)

    def delete(self, limit: int = -1) -> Statement:
        """Delete its rows of objects, or some of them; one answered row for each."""
        some = f"SELECT key, part FROM {self._table} WHERE {self.held} ORDER BY key DESC, part DESC LIMIT ?"
        sql = f"DELETE FROM {self._table} WHERE (key, part) IN ({some}) RETURNING part"
        return statement(sql, *self.bounds, limit)

    def delete_keys(self, keys: Sequence[str]) -> Statement:
        """Delete objects of at most 100 keys."""
        marks = ", ".join("?" * len(keys))
        return statement(f"DELETE FROM {self._table} WHERE key IN ({marks})", *keys)

    def count(self) -> Statement:
        """How many rows of objects it has: `rows`."""
        return statement(f"SELECT count(*) AS rows FROM {self._table} WHERE {self.held}", *self.bounds)

    def _renamed(self, new_id: str) -> tuple[str, list[str | int]]:
        """SQL for the key of an object in another session."""
        cases: list[str] = []
        params: list[str | int] = []
        for old, new in zip(self.prefixes, SessionObjects("", new_id).prefixes, strict=True):
            cases.append(f"WHEN substr(key, 1, {len(old)}) = ? THEN ? || substr(key, {len(old) + 1})")
            params += [old, new]
        return f"CASE {' '.join(cases)} END", params
