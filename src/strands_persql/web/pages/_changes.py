"""What forms do. Each ends with the address of the page that shows what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any, TypeAlias

from ...administration.sessions import PerSQLSessions
from ._render import address, line

Form: TypeAlias = Mapping[str, str]
"""What a form sends. What it is about stands in its address, in which no browser changes a character."""


class Changes:
    """The changes that pages offer.

    Args:
        sessions: The database.
    """

    def __init__(self, sessions: PerSQLSessions) -> None:
        self._sessions = sessions

    @property
    def all(self) -> dict[str, Callable[[Form], str]]:
        """Each by the path of its form."""
        return {
            "/rename": self.rename,
            "/fork": self.fork,
            "/rewind": self.rewind,
            "/erase": self.erase,
            "/delete": self.delete,
        }

    def rename(self, form: Form) -> str:
        """Give a session a title, and tags, one a line; what nobody has typed stays as it is by now."""
        changes: dict[str, Any] = {}
        title = form.get("title", "").strip()
        if title != form.get("shown", "").strip():  # what was made of the first prompt stays so until somebody types
            changes["title"] = title or None
        known, shown, typed = self._sessions.get(form["id"]).tags, _lines(form, "tagged"), _lines(form, "tags")
        tags = {tag for tag in known if line(tag) not in shown - typed}
        tags |= {each.strip() for each in typed - shown - {line(tag) for tag in known}}
        if tags != set(known):
            changes["tags"] = tags
        if changes:
            self._sessions.update(form["id"], **changes)
        return address("/session", id=form["id"])

    def fork(self, form: Form) -> str:
        """Copy a session, up to a message where the form names one."""
        copy = f"{form['id'][:100]}-{token_hex(4)}"
        at = form.get("message")
        agent = form.get("agent") if at else None
        self._sessions.fork(form["id"], copy, agent_id=agent, at=int(at) if at else None)
        return address("/session", id=copy)

    def rewind(self, form: Form) -> str:
        """Set an agent's history back to a message."""
        self._sessions.rewind(form["id"], form["agent"], to=int(form["message"]))
        return address("/session", id=form["id"], agent=form["agent"])

    def erase(self, form: Form) -> str:
        """Overwrite a message for good; the form was shown on the page that asks."""
        _require_yes(form)
        self._sessions.erase(form["id"], form["agent"], int(form["message"]))
        return address("/session", id=form["id"], agent=form["agent"])

    def delete(self, form: Form) -> str:
        """Delete a session; the form was shown on the page that asks."""
        _require_yes(form)
        self._sessions.delete(form["id"])
        return "/"


def _lines(form: Form, name: str) -> set[str]:
    """The lines of a field, without blank ones."""
    return {each for each in form.get(name, "").replace("\r\n", "\n").split("\n") if each.strip()}


def _require_yes(form: Form) -> None:
    if form.get("sure") != "yes":
        raise ValueError("Tick the box that says that you are sure. Nothing was changed.")
