"""Sessions of openai-agents: `SQLiteSession`, and `AdvancedSQLiteSession` with its branches.

A row is one item of OpenAI's Responses API. Source: openai-agents 0.2 to 0.5, `agents/memory/sqlite_session.py` and
`agents/extensions/memory/advanced_sqlite_session.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ....errors import named
from .._items import Document, Item, malformed
from ._blocks import parts, reasoning, result_content, text_block, tool_result, tool_use
from ._pieces import Conversation, ForeignSession, Piece, agent_ids, time_of_text, tokens
from ._sqlite import ForeignDatabase, json_of, object_of

LIBRARY = "openai-agents"

_MESSAGES = ("id", "session_id", "message_data", "created_at")
_STRUCTURE = "message_structure"
_USAGE = "turn_usage"
_MAIN = "main"

_TAKEN = {
    "message": {"type", "role", "content"},
    "function_call": {"type", "call_id", "name", "arguments"},
    "function_call_output": {"type", "call_id", "output"},
    "reasoning": {"type", "summary", "content"},
}
"""The fields of an item that have a place in Strands."""


class OpenAIAgents:
    """The sessions in a file.

    Args:
        database: The file.
        messages: The table of items; the library lets its user name it.
    """

    def __init__(self, database: ForeignDatabase, messages: str) -> None:
        self._database = database
        self._messages = messages

    @staticmethod
    def of(database: ForeignDatabase) -> OpenAIAgents | None:
        """The sessions in a file, if its tables are this library's."""
        messages = database.table(*_MESSAGES)
        return None if messages is None else OpenAIAgents(database, messages)

    def session_ids(self) -> list[str]:
        """The ids of its sessions, in order."""
        return [row["session_id"] for row in self._database.groups(self._messages, "session_id")]

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its sessions: the branch `main` is the agent `default`, and any other an agent of its name."""
        where = f"session {named(session_id)} of {self._database.name}"
        times = [
            time_of_text(row["created_at"])
            for row in self._database.rows(self._messages, ("created_at",), order=("id",), session_id=session_id)
        ]
        session = ForeignSession(LIBRARY, session_id, times[0], times[-1], rest={"turn_usage": self._usage(session_id)})
        return session.items(self._conversations(session_id, where), where)

    def _conversations(self, session_id: str, where: str) -> Iterator[Conversation]:
        branches = self._branches(session_id)
        if not branches:
            rows = self._database.rows(self._messages, _MESSAGES, order=("id",), session_id=session_id)
            yield Conversation(_pieces(rows, where))
            return
        agents = agent_ids(branches, _MAIN)
        for branch in sorted(branches, key=lambda each: agents[each]):
            yield Conversation(_pieces(self._branch(session_id, branch), where), agents[branch])

    def _branches(self, session_id: str) -> list[str]:
        if _STRUCTURE not in self._database.tables:
            return []
        return [row["branch_id"] for row in self._database.groups(_STRUCTURE, "branch_id", session_id=session_id)]

    def _branch(self, session_id: str, branch: str) -> Iterator[Mapping[str, Any]]:
        places = self._database.rows(
            _STRUCTURE, ("message_id",), order=("sequence_number",), session_id=session_id, branch_id=branch
        )
        for place in places:
            yield from self._database.rows(self._messages, _MESSAGES, id=place["message_id"])

    def _usage(self, session_id: str) -> list[Document]:
        """The tokens of each turn, which the library counts by turns and not by messages."""
        if _USAGE not in self._database.tables:
            return []
        columns = ("branch_id", "user_turn_number", "requests", "input_tokens", "output_tokens")
        details = ("input_tokens_details", "output_tokens_details")
        rows = self._database.rows(
            _USAGE, (*columns, *details), order=("branch_id", "user_turn_number"), session_id=session_id
        )
        return [
            {
                **{name: row[name] for name in columns},
                **{name: json_of(row[name], f"turn_usage of {self._database.name}") for name in details},
                **tokens(row["input_tokens"], row["output_tokens"]),
            }
            for row in rows
        ]


def _pieces(rows: Iterable[Mapping[str, Any]], where: str) -> Iterator[Piece]:
    for row in rows:
        place = f"Item {row['id']} of {where}"
        item = object_of(row["message_data"], place)
        if "__enc__" in item:  # of an EncryptedSession
            raise malformed(
                place, "it is encrypted. Copy the session's items with openai-agents into another, in clear"
            )
        yield from _piece(item, time_of_text(row["created_at"]))


def _piece(item: Document, at: str) -> Iterator[Piece]:
    kind = item.get("type") or ("message" if "role" in item else "")
    rest = {name: value for name, value in item.items() if name not in _TAKEN.get(kind, ()) and value is not None}
    if kind == "message":
        blocks, unknown = parts(item.get("content"))
        rest |= {"content": unknown} if unknown else {}
        role = item.get("role")
        if role in ("user", "assistant"):
            yield Piece("answer" if role == "assistant" else "prompt", blocks, at, rest)
        else:  # Strands has instructions in its code, not in the history
            yield Piece("prompt", [], at, {"role": role, "content": item.get("content")})
    elif kind == "function_call":
        yield Piece("answer", [tool_use(item.get("call_id"), item.get("name"), item.get("arguments"))], at, rest)
    elif kind == "function_call_output":
        result = tool_result(item.get("call_id"), result_content(item.get("output")))
        yield Piece("results", [result], at, rest)
    elif kind == "reasoning":
        thought = [part.get("text") for name in ("content", "summary") for part in item.get(name) or ()]
        yield Piece("answer", [block for text in thought for block in reasoning(text)], at, rest)
    elif kind.endswith("_output"):
        yield Piece("results", [], at, item)
    else:  # a call of a tool that OpenAI runs: named, and kept whole
        yield Piece("answer", text_block(f"[{kind}]") if kind else [], at, item)
