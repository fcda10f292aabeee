"""Changes whose a session is, what people call it, and how long it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..database.about import COLUMNS, About
from ..database.encoding import now
from ..database.query import together
from ..database.tables import Listing
from ..errors import SessionConflictError, named
from .listing import summary_of
from .missing import no_session

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables
    from .results import SessionSummary


def update(store: Connector[Tables], session_id: str, changes: Mapping[str, Any]) -> SessionSummary:
    """See `PerSQLSessions.update`; `changes` are those that were named."""
    listing = Listing(store.tables)
    columns = dict(zip(COLUMNS, About.of(**changes).columns(now()), strict=True))
    summary, key = listing.summary(session_id), store.tables.keys.load(session_id)
    if changes:
        if store.tables.seals.is_on:
            store.ask(key, versioned=True)
        names = [*changes, *(["expires"] if "retention" in changes else [])]
        changed = {name: columns[name] for name in names}
        last_active = listing.last_active(session_id)
        written = store.tables.sessions.update(session_id, changed, last_active)
        is_written, row = store.carry_out(together(written, summary))
        if row is not None and not is_written:
            store.ask(key)
            raise SessionConflictError(
                f"Session {named(session_id)} was encrypted, decrypted or begun anew meanwhile. Nothing of it was "
                "changed. Call again.",
                session_id=session_id,
                agent_id="",
            )
    else:
        row = store.ask(summary)
    if row is None:
        raise no_session(session_id)
    return summary_of(row)
