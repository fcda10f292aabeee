"""How the documents of sessions are stored: in clear, or sealed under the data key of each. Pure: no I/O, no agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ..errors import EncryptionError, named
from .data_keys import DataKeys
from .decoding import sealed_error
from .encoding import PARTS_MARKER, mapping
from .sealing import items_of, place, unopened

if TYPE_CHECKING:
    from ..encryption import Encryption
    from .query import Row, Rows

DESCRIBING = ("title", "tags", "metadata")
"""The columns of a session's row that hold what people call it."""


class Seals:
    """How the documents of the sessions under one prefix are stored: in clear."""

    is_on = False

    def key(self, session_id: str) -> str | None:
        """The data key in a session's row."""
        return None

    def begin(self, session_id: str) -> str | None:
        """The data key that a session's row is begun with."""
        return None

    def load(self, session_id: str, rows: Rows) -> None:
        """Go on from the data key in a session's row, `data_key`, if it has one.

        Raises:
            EncryptionError: It can't be opened with this.
        """
        for row in rows:
            if row["data_key"] is not None:
                raise sealed_error(f"Session {named(session_id)}")

    def text(self, session_id: str, text: str, *path: str | int) -> str:
        """A document as it is stored at a place."""
        return text

    def agent(self, session_id: str, agent_id: str, window: str | None, data: str) -> tuple[str | None, str]:
        """An agent's live window and document as they are stored."""
        return self.window(session_id, agent_id, window), self.text(session_id, data, "agents", agent_id, "data")

    def window(self, session_id: str, agent_id: str, window: str | None) -> str | None:
        """An agent's live window as it is stored."""
        return window

    def about(self, session_id: str, columns: Mapping[str, str | int | None]) -> Mapping[str, str | int | None]:
        """What people call a session, as it is stored."""
        return columns

    def messages(self, session_id: str, rows: Rows, agent_id: str | None = None) -> Rows:
        """Rows of messages, opened: `message_id`, `data`, perhaps `live`, and `agent_id` where none is given."""
        return rows

    def agents(self, session_id: str, rows: Rows) -> Rows:
        """Rows of agents, opened: `agent_id`, `data`, `live_window`."""
        return _in_clear(session_id, rows)

    def multi_agents(self, session_id: str, rows: Rows, owner: str = "multi_agent_id") -> Rows:
        """Rows of Graphs and Swarms, opened: `data`, and their id."""
        return _in_clear(session_id, rows)

    def parts(self, session_id: str, rows: Rows) -> Rows:
        """Rows of parts, opened: `kind`, `owner`, `message_id`, `generation`, `part`, `data`."""
        return rows

    def described(self, session_id: str, row: Row) -> Row:
        """A session's row, with what people call it opened."""
        return row

    def listed(self, row: Row) -> Row:
        """A session's row in a list: what is sealed of it is left out where it can't be opened."""
        if row["data_key"] is None:
            return row
        return {**row, "title": None, "tags": None, "metadata": None, "opening": None, "newest": None}


def _in_clear(session_id: str, rows: Rows) -> Rows:
    """The rows, if their session is not encrypted, as far as they say."""
    if rows and str(rows[0].get("facts"))[:2] in ("[2", "[3"):  # see `session_facts`
        raise sealed_error(f"Session {named(session_id)}")
    return rows


class Vault(Seals):
    """How the documents of the sessions under one prefix are stored: sealed, each session under its own data key.

    Args:
        encryption: What wraps the data keys.
        mixed: Take sessions that are stored in clear as they are, and do not refuse them.

    Attributes:
        keys: The data keys.
    """

    is_on = True

    def __init__(self, encryption: Encryption, *, mixed: bool = False) -> None:
        self.keys = DataKeys(encryption, mixed=mixed)

    def key(self, session_id: str) -> str | None:
        """The data key in a session's row."""
        return self.keys.key(session_id)

    def begin(self, session_id: str) -> str | None:
        """The data key that a session's row is begun with; see `DataKeys`."""
        return self.keys.begin(session_id)

    def load(self, session_id: str, rows: Rows) -> None:
        """Go on from the data key in a session's row; see `DataKeys`."""
        self.keys.load(session_id, rows)

    # Sealing

    def text(self, session_id: str, text: str, *path: str | int) -> str:
        """A document as it is stored at a place."""
        return self.keys.cipher(session_id).seal(text, place(*path))

    def window(self, session_id: str, agent_id: str, window: str | None) -> str | None:
        """An agent's live window as it is stored: its ranges in clear, its messages sealed."""
        if window is None or "{" not in window:
            return window
        cipher = self.keys.cipher(session_id)
        items = [
            cipher.seal(text, place("agents", agent_id, "live_window", number)) if text.startswith("{") else text
            for number, text in enumerate(items_of(window))
        ]
        return f"[{','.join(items)}]"

    def about(self, session_id: str, columns: Mapping[str, str | int | None]) -> Mapping[str, str | int | None]:
        """What people call a session, as it is stored."""
        return {
            name: self.text(session_id, value, "sessions", name)
            if name in DESCRIBING and isinstance(value, str)
            else value
            for name, value in columns.items()
        }

    # Opening

    def messages(self, session_id: str, rows: Rows, agent_id: str | None = None) -> Rows:
        """Rows of messages, opened."""
        if not rows:
            return rows
        opened: list[Row] = []
        unseal = self.keys.cipher(session_id).open
        owner, head, position, column = None, "", -1, "data"
        try:
            for row in rows:
                new = dict(row)
                if owner != (owner := row["agent_id"] if agent_id is None else agent_id):
                    head = place("messages", owner)[:-1]
                position = row["message_id"]
                if (data := row["data"]) is not None:
                    column = "live" if row.get("is_live") else "data"
                    new["data"] = unseal(data, f'{head},{position},"{column}"]')
                if (live := row.get("live")) is not None:
                    column = "live"
                    new["live"] = unseal(live, f'{head},{position},"live"]')
                opened.append(new)
        except (ValueError, AttributeError) as error:
            raise unopened(f"Message {position} of agent {named(str(owner))}", error, column) from None
        return opened

    def agents(self, session_id: str, rows: Rows) -> Rows:
        """Rows of agents, opened."""
        opened: list[Row] = []
        for row in rows:
            owner: str = row["agent_id"]
            what = f"The row of agent {named(owner)}"
            data = self._open(session_id, row["data"], what, "agents", owner, "data")
            window: str | None = row.get("live_window")
            if isinstance(window, str) and "{" in window:
                window = self._opened_window(session_id, owner, window)
            opened.append({**row, "data": data, **({"live_window": window} if "live_window" in row else {})})
        return opened

    def _opened_window(self, session_id: str, agent_id: str, window: str) -> str:
        what = f"The live window of agent {named(agent_id)}"
        try:
            items = items_of(window)
        except (ValueError, IndexError, RecursionError):
            return window  # whoever parses it says so
        for number, text in enumerate(items):
            if text.startswith("{"):
                items[number] = self._open(session_id, text, what, "agents", agent_id, "live_window", number)
        return f"[{','.join(items)}]"

    def multi_agents(self, session_id: str, rows: Rows, owner: str = "multi_agent_id") -> Rows:
        """Rows of Graphs and Swarms, opened."""
        return [
            {
                **row,
                "data": self._open(
                    session_id,
                    row["data"],
                    f"The row of multi-agent {named(row[owner])}",
                    *("multi_agents", row[owner], "data"),
                ),
            }
            for row in rows
        ]

    def parts(self, session_id: str, rows: Rows) -> Rows:
        """Rows of parts, opened."""
        opened: list[Row] = []
        for row in rows:
            path = tuple(row[name] for name in ("kind", "owner", "message_id", "generation", "part"))
            what = f"Part {row['part']} of {row['kind']} {row['message_id']} of {named(row['owner'])}"
            opened.append({**row, "data": self._open(session_id, row["data"], what, "chunks", *path)})
        return opened

    def described(self, session_id: str, row: Row) -> Row:
        """A session's row, with what people call it opened."""
        what = f"The row of session {named(session_id)}"
        opened = {
            name: self._open(session_id, row[name], what, "sessions", name)
            for name in DESCRIBING
            if row.get(name) is not None
        }
        return {**row, **opened}

    def listed(self, row: Row) -> Row:
        """A session's row in a list, opened; what can't be is left out."""
        if row["data_key"] is None:
            return row
        session_id: str = row["session_id"]
        try:
            self.load(session_id, [row])
            texts = {name: self._beginning(session_id, row[name]) for name in ("opening", "newest")}
            return {**self.described(session_id, row), **texts}
        except EncryptionError:
            return super().listed(row)

    def _beginning(self, session_id: str, listed: str | None) -> str | None:
        """How the first prompt or task, or the last message, begins: `t` and its text."""
        messages, *tasks = cast("list[list[list[Any]]]", json.loads(listed or "[[]]"))
        texts: list[str] = []
        for owner, position, data in messages:
            if data is not None and not data.startswith(PARTS_MARKER):
                path = ("messages", owner, position, "data")
                record = json.loads(self._open(session_id, data, f"Message {position} of agent {named(owner)}", *path))
                message = mapping(record.get("redact_message") or record.get("message"))
                if not tasks or message.get("role") == "user":
                    texts.append(_text_of(message.get("content")))
        for owner, _, data in (each for task in tasks for each in task):
            if data is not None and not data.startswith(PARTS_MARKER):
                state = self._open(
                    session_id, data, f"The row of multi-agent {named(owner)}", "multi_agents", owner, "data"
                )
                texts.append(_text_of(mapping(json.loads(state)).get("current_task")))
        return next((f"t{text[:_SHOWN]}" for text in texts if text), None)

    def _open(self, session_id: str, sealed: str, what: str, *path: str | int) -> str:
        try:
            return self.keys.cipher(session_id).open(sealed, place(*path))
        except (ValueError, AttributeError) as error:
            raise unopened(what, error, str(path[-1])) from None


_SHOWN = 400
"""Characters of a message that a list of sessions shows."""


def _text_of(content: Any) -> str:
    """The text of a message's content, or of a task."""
    if isinstance(content, str):
        return content
    blocks = cast("list[Any]", content) if isinstance(content, list) else []
    texts = (mapping(block).get("text") for block in blocks)
    return " ".join(text for text in texts if isinstance(text, str))


def seals_of(encryption: Encryption | None, *, mixed: bool = False) -> Seals:
    """How documents are stored with these keys, or without any; see `Vault`."""
    return Seals() if encryption is None else Vault(encryption, mixed=mixed)
