"""Documents on their way from one data key to another, or to none. Pure: no I/O, no agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import named
from .encoding import PARTS_MARKER
from .sealing import Cipher, is_sealed, items_of, place, unopened
from .tables import object_place
from .vault import DESCRIBING

if TYPE_CHECKING:
    from .query import Row


class Resealing:
    """Documents on their way from one data key to another; None stands for none, and so for a document in clear.

    Args:
        old: What opens those that have not moved yet.
        new: What those that have are sealed with.
    """

    def __init__(self, old: Cipher | None, new: Cipher | None) -> None:
        self._old, self._new = old, new

    def text(self, text: str, what: str, *path: str | int) -> str:
        """A stored document as it is to be stored; itself where it has moved already.

        Raises:
            EncryptionError: It can't be opened with either key.
        """
        at = place(*path)
        if text.startswith(PARTS_MARKER):
            return text
        if not is_sealed(text):
            return text if self._new is None else self._new.seal(text, at)
        why: Exception = ValueError("moved")
        for cipher in (self._new, self._old):
            if cipher is not None:
                try:
                    opened = cipher.open(text, at)
                except ValueError as error:
                    why = error
                    continue
                if cipher is self._new:
                    return text
                return opened if self._new is None else self._new.seal(opened, at)
        raise unopened(what, why, str(path[-1]))

    def value(self, data: bytes, key: str) -> tuple[bytes, int] | None:
        """A stored object as it is to be stored, and its bytes in clear; None where it has moved already."""
        at, text = object_place(key), data.decode("utf-8", "replace")
        if not is_sealed(text):
            return None if self._new is None else (self._new.seal_bytes(data, at).encode(), len(data))
        for cipher in (self._new, self._old):
            if cipher is not None:
                try:
                    opened = cipher.open_bytes(text, at)
                except ValueError:
                    continue
                if cipher is self._new:
                    return None
                return (opened if self._new is None else self._new.seal_bytes(opened, at).encode()), len(opened)
        raise unopened(f"Object {named(key)}", ValueError("moved"), "data")

    def window(self, window: str, agent_id: str) -> str:
        """A live window as it is to be stored."""
        what = f"The live window of agent {named(agent_id)}"
        items = [
            self.text(text, what, "agents", agent_id, "live_window", number) if text.startswith("{") else text
            for number, text in enumerate(items_of(window))
        ]
        return f"[{','.join(items)}]"

    def changes(self, table: str, row: Row) -> dict[str, str]:
        """The columns of a row that are to be stored anew.

        Args:
            table: The table, without its prefix.
            row: The whole row.

        Raises:
            EncryptionError: A document can't be opened with either key.
        """
        path, columns = _PATHS[table]
        head = tuple(row[name] for name in path)
        what = f"The row {', '.join(map(named, head))} of {table}"
        new: dict[str, str] = {}
        for column in columns:
            text: str | None = row[column]
            if text is None:
                continue
            if column == "live_window":
                changed = self.window(text, row["agent_id"]) if "{" in text else text
            else:
                at = (table, *head) if table == "chunks" else (table, *head, column)
                changed = self.text(text, what, *at)
            if changed != text:
                new[column] = changed
        return new


_PATHS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sessions": ((), DESCRIBING),
    "agents": (("agent_id",), ("data", "live_window")),
    "messages": (("agent_id", "message_id"), ("data", "live")),
    "multi_agents": (("multi_agent_id",), ("data",)),
    "chunks": (("kind", "owner", "message_id", "generation", "part"), ("data",)),
}
"""Of each table the columns whose values are in the places of its documents, and the columns of the documents."""
