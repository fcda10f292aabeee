"""The findings of an examination, and their words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ...errors import SessionDataError, named

if TYPE_CHECKING:
    from ...database.query import Query

Severity = Literal["error", "warning", "info", "ok"]


@dataclass(frozen=True)
class Finding:
    """One thing that an examination found.

    Attributes:
        severity: `"error"`: an agent can't go on, or something stored can't be read. `"warning"`: something is left
            over, or missing, that restoring works around. `"info"`: worth knowing. `"ok"`: was checked, and is in
            order.
        check: Which check found it: `"connection"`, `"role"`, `"file-mode"`, `"layout"`, `"rows"`, `"unreadable-row"`,
            `"unreadable-window"`, `"revision"`, `"missing-messages"`, `"orphan-parts"`, `"no-session"`, `"no-agent"`,
            `"empty-session"`, `"tool-results"`, `"roles"`, `"empty-messages"`, `"search-index"`, `"unreadable-labels"`.
        what: What was found.
        remedy: What to do about it; empty where nothing is to be done.
        session_id: Where it was found; None where it concerns the whole database.
        agent_id: The agent, Graph or Swarm it concerns, where there is one.
        message_id: The message's position in the transcript, where there is one.
        mending: What `mend` carries out; its result is whether anything was changed. None where nothing can be mended
            without a loss.
    """

    severity: Severity
    check: str
    what: str
    remedy: str = ""
    session_id: str | None = None
    agent_id: str | None = None
    message_id: int | None = None
    mending: Query[bool] | None = field(default=None, repr=False, compare=False)

    @property
    def mendable(self) -> bool:
        """Whether `mend` mends it."""
        return self.mending is not None

    @property
    def where(self) -> str:
        """The place in words: `session 'a', agent 'b', message 3`."""
        if self.session_id is None:
            return "database"
        places = [f"session {named(self.session_id)}"]
        if self.agent_id is not None:
            places.append(f"agent {named(self.agent_id)}")
        if self.message_id is not None:
            places.append(f"message {self.message_id}")
        return ", ".join(places)


def unreadable_row(what: str, session_id: str, agent_id: str | None = None) -> Finding:
    """A row that can't be read."""
    remedy = "Restore the row from a backup, or look at its column data and mend it."
    return Finding("error", "unreadable-row", what, remedy, session_id, agent_id)


def reason_of(error: SessionDataError) -> str:
    """What is wrong with a row, without the words that name it and the remedy."""
    first = str(error).split(". ", 1)[0]
    return first.rpartition("can't be read: ")[2] or first


def line_of(error: BaseException) -> str:
    """An error's message in one line."""
    return " ".join(str(error).split())
