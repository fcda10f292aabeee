"""What an examination finds, and the words it is told in."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ...errors import SessionDataError
from ..values import many

if TYPE_CHECKING:
    from ...client import Statement


__all__ = ["Finding", "Severity", "line_of", "many", "quoted", "reason_of", "unreadable_row"]

Severity = Literal["error", "warning", "info", "ok"]


@dataclass(frozen=True)
class Finding:
    """One thing that an examination found.

    Attributes:
        severity: `"error"`: an agent can't go on, or something stored can't be read. `"warning"`: something is left
            over, or missing, that restoring works around. `"info"`: worth knowing. `"ok"`: what was checked, and found
            in order.
        check: Which check found it: `"connection"`, `"role"`, `"layout"`, `"rows"`, `"unreadable-row"`,
            `"unreadable-window"`, `"revision"`, `"missing-messages"`, `"orphan-parts"`, `"no-session"`, `"no-agent"`,
            `"empty-session"`, `"tool-results"`, `"roles"`, `"empty-messages"`, `"search-index"`.
        what: What was found.
        remedy: What to do about it; empty where nothing is to be done.
        session_id: Where it was found; None where it concerns the whole database.
        agent_id: The agent, Graph or Swarm it concerns, where there is one.
        message_id: The message's position in the transcript, where there is one.
        mending: The statements with which `mend` mends it; none where it can't without a loss.
    """

    severity: Severity
    check: str
    what: str
    remedy: str = ""
    session_id: str | None = None
    agent_id: str | None = None
    message_id: int | None = None
    mending: tuple[Statement, ...] = field(default=(), repr=False, compare=False)

    @property
    def mendable(self) -> bool:
        """Whether `mend` mends it."""
        return bool(self.mending)

    @property
    def where(self) -> str:
        """The place in words: `session 'a', agent 'b', message 3`."""
        if self.session_id is None:
            return "database"
        places = [f"session {self.session_id!r}"]
        if self.agent_id is not None:
            places.append(f"agent {self.agent_id!r}")
        if self.message_id is not None:
            places.append(f"message {self.message_id}")
        return ", ".join(places)


def unreadable_row(
    session_id: str, agent_id: str | None = None, what: str = "", check: str = "unreadable-row"
) -> Finding:
    remedy = "Restore the row from a backup, or look at its column data and mend it."
    return Finding("error", check, what, remedy, session_id, agent_id)


def reason_of(error: SessionDataError) -> str:
    """What is wrong with a row, without the words that name it and the remedy."""
    first = str(error).split(". ", 1)[0]
    return first.rpartition("can't be read: ")[2] or first


def line_of(error: BaseException) -> str:
    return " ".join(str(error).split())


def quoted(text: str) -> str:
    """A word for a shell."""
    return shlex.quote(text)
