"""Threads of LangGraph, as `SqliteSaver` and `AsyncSqliteSaver` keep their checkpoints.

A checkpoint is MessagePack, in which objects of Python classes are extensions that name class and fields. They are read
as plain values: no class that a file names is imported or made. Source: langgraph-checkpoint 2 and 3,
`langgraph/checkpoint/serde/jsonplus.py`, and langgraph-checkpoint-sqlite, `langgraph/checkpoint/sqlite/__init__.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ....database.encoding import mapping
from ....errors import named
from .._items import Document, Item, malformed
from ._blocks import parts, reasoning, result_content, tool_result, tool_use
from ._msgpack import unpacked
from ._pieces import Conversation, ForeignSession, Piece, time_of_text, tokens
from ._sqlite import ForeignDatabase

LIBRARY = "langgraph"

_CHECKPOINTS = "checkpoints"
_COLUMNS = ("thread_id", "checkpoint_ns", "checkpoint_id", "type", "checkpoint", "metadata")
_KIND = "__class__"
"""Where the name of an object's class stands among its fields."""

_ROLES = {"human": "prompt", "HumanMessage": "prompt", "ai": "answer", "AIMessage": "answer", "tool": "results"}
_TAKEN = {
    _KIND, "content", "type", "id", "tool_calls", "invalid_tool_calls", "tool_call_id", "status", "usage_metadata",
}  # fmt: skip
_EMPTY: tuple[Any, ...] = (None, {}, [], "", False)


@dataclass(frozen=True)
class LangGraph:
    """The threads in a file; of each the newest checkpoint of the graph itself, not those of its subgraphs.

    Attributes:
        database: The file.
    """

    database: ForeignDatabase

    @staticmethod
    def of(database: ForeignDatabase) -> LangGraph | None:
        """The threads in a file, if its tables are this library's."""
        return LangGraph(database) if database.tables.get(_CHECKPOINTS, frozenset()) >= set(_COLUMNS) else None

    def session_ids(self) -> list[str]:
        """The ids of its threads, in order."""
        return [row["thread_id"] for row in self.database.groups(_CHECKPOINTS, "thread_id", checkpoint_ns="")]

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its threads: the channel `messages` is the history, the other channels are the agent's state."""
        where = f"thread {named(session_id)} of {self.database.name}"
        first, last = (self._checkpoint(session_id, order, where) for order in ("checkpoint_id", "-checkpoint_id"))
        values = mapping(last.get("channel_values"))
        messages = values.pop("messages", [])
        if not isinstance(messages, list):
            raise malformed(where, "its channel `messages` is no list")
        state = _json({name: value for name, value in values.items() if not name.startswith(("__", "branch:"))})
        created_at, updated_at = time_of_text(first.get("ts")), time_of_text(last.get("ts"))
        session = ForeignSession(
            LIBRARY, session_id, created_at, updated_at, rest={"checkpoint_id": last.get("id", ""), **_metadata(last)}
        )
        pieces = (_piece(mapping(each), where) for each in cast("list[Any]", messages))
        return session.items([Conversation(pieces, state=state)], where)

    def _checkpoint(self, thread_id: str, order: str, where: str) -> Document:
        row = next(self.database.rows(_CHECKPOINTS, _COLUMNS, order=(order,), thread_id=thread_id, checkpoint_ns=""))
        kind, data = row["type"], row["checkpoint"]
        try:
            found: Any
            if kind == "msgpack" and isinstance(data, bytes):
                found = unpacked(data, _extension)
            elif kind == "json" and isinstance(data, (str, bytes)):
                found = _plain(json.loads(data))
            else:
                raise malformed(where, f"its newest checkpoint is encoded as {named(kind)}, which can't be read here")
        except (ValueError, RecursionError) as error:
            raise malformed(where, f"its newest checkpoint can't be read: {error}") from None
        if not mapping(found):
            raise malformed(where, "its newest checkpoint is no mapping")
        return {**mapping(found), "metadata": row["metadata"]}


def _metadata(checkpoint: Document) -> Document:
    """What the library has noted beside a checkpoint: the step, and what the caller's `config` holds."""
    text = checkpoint.get("metadata")
    try:
        found: Any = json.loads(text) if isinstance(text, (str, bytes)) else {}
    except ValueError:
        return {}
    return {"metadata": {name: value for name, value in mapping(found).items() if name != "writes"}}


def _extension(code: int, data: bytes) -> Any:
    """A value of a class: of one with fields they and the class's name, of any other what it was made of."""
    found = unpacked(data, _extension)
    if not isinstance(found, list) or len(cast("list[Any]", found)) < 3:
        raise ValueError("it holds an object of a form that is not known")
    _, name, value, *_ = cast("list[Any]", found)
    if code == 6:  # an array of numpy's
        return {_KIND: "ndarray", "data": cast("Any", found)}
    return {**cast("Document", value), _KIND: name} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    """The same of the JSON of older releases: `{"lc": …, "id": [module, …, class], "kwargs": {…}}`."""
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    document = {name: _plain(each) for name, each in cast("Document", value).items()}
    if document.get("type") != "constructor" or not isinstance(document.get("id"), list) or "lc" not in document:
        return document
    fields = document.get("kwargs")
    if isinstance(fields, dict):
        return {**cast("Document", fields), _KIND: document["id"][-1]}
    return document.get("args")


def _piece(message: Document, where: str) -> Piece:
    name = str(message.get(_KIND) or "").removesuffix("Chunk")
    kind = _ROLES.get(str(message.get("type"))) or _ROLES.get(name) or _ROLES.get(str(message.get("role")))
    rest = _json({name: value for name, value in message.items() if name not in _TAKEN and value not in _EMPTY})
    if message.get("id"):
        rest["id"] = message["id"]
    if kind is None:
        if "content" not in message:
            raise malformed(where, "its channel `messages` holds something else than messages")
        return Piece("prompt", [], rest=_json(message))  # instructions, which Strands has in its code
    if kind == "results":
        result = tool_result(
            message.get("tool_call_id"), _result(message.get("content")), failed=message.get("status") == "error"
        )
        return Piece("results", [result], rest=rest)
    blocks, unknown = parts(message.get("content"))
    rest |= {"content": _json(unknown)} if unknown else {}
    if kind == "prompt":
        return Piece("prompt", blocks, rest=rest)
    thought = mapping(message.get("additional_kwargs")).get("reasoning_content")
    calls = [tool_use(call.get("id"), call.get("name"), call.get("args")) for call in _calls(message)]
    usage = mapping(message.get("usage_metadata"))
    return Piece("answer", [*reasoning(thought), *blocks, *calls], rest=rest, usage=_tokens(usage))


def _result(content: Any) -> list[Document]:
    return result_content(content) if content else [{"text": "" if content is None else str(content)}]


def _calls(message: Document) -> list[Document]:
    return [mapping(call) for name in ("tool_calls", "invalid_tool_calls") for call in message.get(name) or ()]


def _tokens(usage: Mapping[str, Any]) -> Document:
    details = mapping(usage.get("input_token_details"))
    return tokens(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        cached=details.get("cache_read"),
        written=details.get("cache_creation"),
    )


def _json(value: Any) -> Any:
    """A value as JSON has it: bytes as Strands writes them, keys as texts."""
    if isinstance(value, dict):
        return {str(name): _json(each) for name, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_json(each) for each in cast("list[Any]", value)]
    if isinstance(value, bytes):
        return {"__bytes_encoded__": True, "data": base64.b64encode(value).decode()}
    return value
