"""Sessions of agno, as `SqliteDb` keeps them: of agents, of teams and of workflows.

The runs of a session stand in a column of its row, or, from agno 3 on, in a table of their own.

Source: agno 2 and 3, `agno/db/sqlite/schemas.py`, `agno/run/agent.py` and `agno/models/message.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ....database.encoding import mapping
from ....errors import named
from .._items import Document, Item
from ._blocks import media, parts, reasoning, result_content, text_block, tool_result, tool_use
from ._pieces import Conversation, ForeignSession, Piece, agent_ids, time_of_seconds, tokens
from ._sqlite import ForeignDatabase, object_of, objects_of

LIBRARY = "agno"

_COLUMNS = ("session_id", "session_type", "user_id", "session_data", "metadata", "created_at", "updated_at")
_RUNS = ("run_id", "session_id", "run_index", "run_data", "created_at")
_KEPT = ("agent_id", "team_id", "workflow_id", "agent_data", "team_data", "workflow_data", "summary", "metadata")
_TAKEN = {
    "role", "content", "tool_calls", "tool_call_id", "tool_call_error", "reasoning_content", "metrics", "created_at",
    "from_history", "images", "videos", "files", "stop_after_tool_call",
}  # fmt: skip
_WHOLE = ""
"""The name of the agent, team or workflow whose session it is, where its runs and those of members are sorted."""
_ANSWERS = ("assistant", "model")


@dataclass(frozen=True)
class Agno:
    """The sessions in a file.

    Attributes:
        database: The file.
        table: Its table of sessions; the library lets its user name it.
    """

    database: ForeignDatabase
    table: str

    @staticmethod
    def of(database: ForeignDatabase) -> Agno | None:
        """The sessions in a file, if its tables are this library's."""
        table = database.table(*_COLUMNS)
        return None if table is None else Agno(database, table)

    def session_ids(self) -> list[str]:
        """The ids of its sessions, in order."""
        return [row["session_id"] for row in self.database.rows(self.table, ("session_id",), order=("session_id",))]

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its sessions: its runs are the agent `default`, those of a team's members each an agent of its own."""
        where = f"session {named(session_id)} of {self.database.name}"
        kept = [name for name in _KEPT if name in self.database.tables[self.table] and name not in _COLUMNS]
        (row,) = self.database.rows(self.table, (*_COLUMNS, *kept), session_id=session_id)
        data = object_of(row["session_data"], f"session_data of {where}")
        rest = {name: _kept(row[name], f"{name} of {where}") for name in (*kept, "metadata")}
        session = ForeignSession(
            LIBRARY,
            session_id,
            time_of_seconds(row["created_at"]),
            time_of_seconds(row["updated_at"]),
            user=row["user_id"],
            title=data.pop("session_name", None),
            rest={"session_type": row["session_type"], **rest, "session_data": _without(data, "session_state")},
        )
        by_agent: dict[str, list[Document]] = {_WHOLE: []}
        for run in self._runs(session_id, where):
            by_agent.setdefault(_agent_of(run), []).append(run)
        ids = agent_ids(by_agent, _WHOLE)
        states = {_WHOLE: mapping(data.get("session_state"))}
        conversations = [
            Conversation(_pieces(runs), ids[name], states.get(name, {})) for name, runs in by_agent.items()
        ]
        return session.items(sorted(conversations, key=lambda each: each.agent_id), where)

    def _runs(self, session_id: str, where: str) -> list[Document]:
        if "runs" in self.database.tables[self.table]:
            (row,) = self.database.rows(self.table, ("runs",), session_id=session_id)
            return objects_of(row["runs"], f"runs of {where}")
        table = self.database.table(*_RUNS)
        if table is None:
            return []
        rows = self.database.rows(table, _RUNS, order=("created_at", "run_index", "run_id"), session_id=session_id)
        return [object_of(row["run_data"], f"Run {row['run_index']} of {where}") for row in rows]


def _kept(value: object, where: str) -> Any:
    return object_of(value, where) if isinstance(value, str) and value[:1] == "{" else value


def _without(document: Mapping[str, Any], name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


def _agent_of(run: Document) -> str:
    """The member of a team whose a run is, which has the run of the team above it; else the session's own."""
    if not run.get("parent_run_id"):
        return _WHOLE
    return str(run.get("agent_id") or run.get("team_id") or run.get("agent_name") or "member")


def _pieces(runs: Iterable[Document]) -> Iterator[Piece]:
    for run in runs:
        about = {name: run[name] for name in ("run_id", "agent_id", "team_id", "status", "model") if run.get(name)}
        messages = [mapping(each) for each in run.get("messages") or ()]
        at = time_of_seconds(run.get("created_at"))
        if not messages:  # a workflow's, or one whose messages were not to be stored
            given = mapping(run.get("input")).get("input_content", run.get("input"))
            yield Piece("prompt", _said(given), at, about)
            yield Piece("answer", _said(run.get("content")), at, {})
        for message in messages:
            if not message.get("from_history"):  # else it stands in the run that it is of
                yield _piece(message, about, at)
                about = {}


def _said(value: Any) -> list[Document]:
    return text_block(value) or ([] if value in (None, "") or isinstance(value, str) else [{"text": str(value)}])


def _piece(message: Document, about: Document, at: str) -> Piece:
    at = time_of_seconds(message.get("created_at")) or at
    rest = {name: value for name, value in message.items() if name not in _TAKEN and value not in (None, [], {})}
    if about:
        rest["run"] = about
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        result = tool_result(
            message.get("tool_call_id"), result_content(content), failed=message.get("tool_call_error") is True
        )
        return Piece("results", [result], at, rest)
    if role != "user" and role not in _ANSWERS:  # instructions, which Strands has in its code
        return Piece("prompt", [], at, {**rest, "role": role, "content": content})
    blocks, unknown = parts(cast("object", content)) if isinstance(content, (str, list)) else (_said(content), [])
    found, more = _media(message)
    if unknown or more:
        rest["content"] = [*unknown, *more]
    if role == "user":
        return Piece("prompt", [*blocks, *found], at, rest)
    calls = [_call(mapping(call)) for call in message.get("tool_calls") or ()]
    thought = reasoning(message.get("reasoning_content"))
    return Piece("answer", [*thought, *blocks, *found, *calls], at, rest, _tokens(mapping(message.get("metrics"))))


def _call(call: Document) -> Document:
    function = mapping(call.get("function"))
    return tool_use(call.get("id"), function.get("name"), function.get("arguments"))


def _media(message: Document) -> tuple[list[Document], list[Document]]:
    """The blocks of what is attached to a message, and what Strands has no block for."""
    blocks: list[Document] = []
    rest: list[Document] = []
    for name, family in (("images", "image"), ("videos", "video"), ("files", "application")):
        for each in cast("list[Any]", message.get(name) or []):
            found = mapping(each)
            mime = found.get("mime_type") or f"{family}/{found.get('format') or 'png'}"
            block = media(mime, found.get("content"), found.get("filename") or found.get("name"))
            if block is None:
                rest.append({"type": name, **found})
                block = {"text": f"[{family}]"}
            blocks.append(block)
    return blocks, rest


def _tokens(metrics: Document) -> Document:
    return tokens(
        metrics.get("input_tokens"),
        metrics.get("output_tokens"),
        cached=metrics.get("cache_read_tokens"),
        written=metrics.get("cache_write_tokens"),
    )
