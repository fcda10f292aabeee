"""What tells that something was written to an agent since it was last asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..query import Query, rows_as
from ._listing import newest_message
from ._statements import statement

if TYPE_CHECKING:
    from ._tables import Tables


class Newest(NamedTuple):
    """An agent's newest message.

    Attributes:
        agent_id: The agent.
        last: The message's position; -1 where there is none.
        revision: What every other write to the agent changes.
    """

    agent_id: str
    last: int
    revision: int


def newest(tables: Tables, session_id: str, agent_id: str | None) -> Query[list[Newest]]:
    """The newest message of each agent of a session, or of the one named; it reads two rows for each."""
    p = tables.prefix
    which, params = ("", (session_id,)) if agent_id is None else (" AND a.agent_id = ?", (session_id, agent_id))
    found = statement(
        f"SELECT a.agent_id AS agent_id, coalesce({newest_message(p)}, -1) AS last, a.revision AS revision "
        f"FROM {p}agents AS a WHERE a.session_id = ?{which} ORDER BY a.agent_id",
        *params,
    )
    return rows_as(Newest, found)
