"""How the tables are laid out, step by step, and where their revisions begin."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbits
from typing import TYPE_CHECKING

from ._objects import OBJECT_COLUMNS
from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement


def _first_layout(p: str) -> tuple[str, ...]:
    key = "PRIMARY KEY"
    return (
        f"CREATE TABLE IF NOT EXISTS {p}sessions (session_id TEXT NOT NULL {key}, data TEXT NOT NULL, user TEXT, "
        "active TEXT, title TEXT, tags TEXT, metadata TEXT, retention INTEGER, expires TEXT, origin TEXT, "
        "data_key TEXT) WITHOUT ROWID",
        # A session that is nobody's, or no copy, has no row in them, and costs nothing for them.
        f"CREATE INDEX IF NOT EXISTS {p}recent ON {p}sessions (user, active) WHERE user IS NOT NULL",
        f"CREATE INDEX IF NOT EXISTS {p}copies ON {p}sessions (origin) WHERE origin IS NOT NULL",
        f"CREATE TABLE IF NOT EXISTS {p}agents (session_id TEXT NOT NULL, agent_id TEXT NOT NULL, "
        f"revision INTEGER NOT NULL, live_window TEXT, data TEXT NOT NULL, rewinds TEXT, {key} (session_id, agent_id)) "
        "WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}messages (session_id TEXT NOT NULL, agent_id TEXT NOT NULL, "
        f"message_id INTEGER NOT NULL, data TEXT NOT NULL, live TEXT, {key} (session_id, agent_id, message_id)) "
        "WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}multi_agents (session_id TEXT NOT NULL, multi_agent_id TEXT NOT NULL, "
        "revision INTEGER NOT NULL, updated_at TEXT NOT NULL DEFAULT '', data TEXT NOT NULL, "
        f"{key} (session_id, multi_agent_id)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}chunks (session_id TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, "
        "message_id INTEGER NOT NULL, generation TEXT NOT NULL, part INTEGER NOT NULL, data TEXT NOT NULL, "
        f"{key} (session_id, kind, owner, message_id, generation, part)) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}objects ({OBJECT_COLUMNS}) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL {key}) WITHOUT ROWID",
    )


STEPS: tuple[Callable[[str], tuple[str, ...]], ...] = (_first_layout,)
"""How the layout came about: what each version added to the one before, given the prefix. Steps are only ever appended;
the table `schema` is the ledger of those that were taken, and the number of the last is the layout's version."""


def first_revision() -> int:
    """A revision to begin with. All stay exact where numbers are JavaScript's: below 2^53."""
    return 1 + randbits(50)


def revision_step() -> int:
    """How far the next revision is from the last."""
    return 1 + randbits(28)


def read_version(prefix: str) -> Statement:
    """The layout's version: one row, `version`."""
    return statement(f"SELECT max(version) AS version FROM {prefix}schema")
