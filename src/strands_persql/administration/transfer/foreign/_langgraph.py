"""Threads of LangGraph, as `SqliteSaver` and `AsyncSqliteSaver` keep their checkpoints (`_langgraph_checkpoints`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ....database.encoding import mapping
from ....errors import named
from .._items import Document, Item, malformed
from ._blocks import parts, reasoning, result_content, tool_result, tool_use
from ._langgraph_checkpoints import CHECKPOINTS, COLUMNS, KIND, Snapshot, Thread, as_json, put_together
from ._pieces import Conversation, ForeignSession, Piece, agent_ids, time_of_text, tokens
from ._sqlite import ForeignDatabase

LIBRARY = "langgraph"

_MESSAGES = "messages"
_WHOLE_STATE = ("__root__", "__previous__")
"""The channels of graphs that have a single one: of a graph without a schema, and of a function that is a graph."""
_RETURNED = "__end__"

_ROLES = {
    "human": "prompt", "HumanMessage": "prompt", "user": "prompt",
    "ai": "answer", "AIMessage": "answer", "assistant": "answer",
    "tool": "results", "ToolMessage": "results",
}  # fmt: skip
_TAKEN = {
    KIND, "content", "type", "role", "id", "tool_calls", "invalid_tool_calls", "tool_call_id", "status",
    "usage_metadata",
}  # fmt: skip
_EMPTY: tuple[Any, ...] = (None, {}, [], "", False)


@dataclass(frozen=True)
class LangGraph:
    """The threads in a file; of each the newest checkpoint of the graph, and of the subgraphs that remember.

    Attributes:
        database: The file.
    """

    database: ForeignDatabase

    @staticmethod
    def of(database: ForeignDatabase) -> LangGraph | None:
        """The threads in a file, if its tables are this library's."""
        return LangGraph(database) if database.tables.get(CHECKPOINTS, frozenset()) >= set(COLUMNS) else None

    def session_ids(self) -> list[str]:
        """The ids of its threads, in order."""
        return [row["thread_id"] for row in self.database.groups(CHECKPOINTS, "thread_id", checkpoint_ns="")]

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its threads: the channel `messages` is the history, the other channels are the agent's state."""
        where = f"thread {named(session_id)} of {self.database.name}"
        thread = Thread(self.database, session_id, where)
        newest = thread.newest("")
        graphs = {"": newest, **_remembering(thread, newest)}
        ids = agent_ids(graphs, "")
        created_at, updated_at = time_of_text(thread.began()), time_of_text(newest.checkpoint.get("ts"))
        rest = {"checkpoint_id": newest.checkpoint.get("id", ""), "metadata": newest.metadata}
        session = ForeignSession(LIBRARY, session_id, created_at, updated_at, rest=rest)
        conversations = [_conversation(graph, ids[name], where) for name, graph in graphs.items()]
        return session.items(sorted(conversations, key=lambda each: each.agent_id), where)


def _remembering(thread: Thread, newest: Snapshot) -> dict[str, Snapshot]:
    """The subgraphs whose state isn't over with the run of one node.

    Those are the ones that have a checkpointer of their own, which are named without a task, and those that the newest
    checkpoint waits for. The others have handed their answers to the graph, and begin anew whenever they are called.
    """
    return {
        namespace.replace("|", ".").replace(":", "-"): thread.newest(namespace)
        for namespace in thread.namespaces()
        if namespace and (":" not in namespace or thread.waits_for(namespace, newest.checkpoint.get("id")))
    }


def _conversation(graph: Snapshot, agent_id: str, where: str) -> Conversation:
    values, deltas = dict(graph.values), dict(graph.deltas)
    name = next((each for each in (_MESSAGES, *_WHOLE_STATE) if _holds_messages(each, values, deltas)), _MESSAGES)
    messages = values.pop(name, [])
    if not isinstance(messages, list):
        raise malformed(where, "its channel `messages` is no list")
    written = [*deltas.pop(name, ()), *(write.value for write in graph.pending if write.channel == name)]
    if values.get(_RETURNED) in (values.get("__previous__"), messages):
        values.pop(_RETURNED, None)
    kept: Document = {
        "delta_channels": {
            each: {"snapshot": values.pop(each, None), "writes": writes} for each, writes in sorted(deltas.items())
        },
        "pending": [write._asdict() for write in graph.pending if write.channel != name],
    }
    state = {each: value for each, value in values.items() if not _is_of_the_loop(each)}
    state |= {LIBRARY: {each: value for each, value in kept.items() if value}} if any(kept.values()) else {}
    pieces = (_piece(_message(each), where) for each in put_together(messages, written))
    return Conversation(pieces, agent_id, as_json(state))


def _holds_messages(name: str, values: Document, deltas: Mapping[str, Any]) -> bool:
    """Whether a channel is the one of the messages."""
    if name == _MESSAGES:
        return name in values or name in deltas
    found = values.get(name)
    if not isinstance(found, list):
        return False
    return all("content" in mapping(each) and _kind(mapping(each)) for each in cast("list[Any]", found))


def _is_of_the_loop(channel: str) -> bool:
    """Whether a channel serves the library, which runs the graph by it."""
    return channel.startswith("branch:") or (channel.startswith("__") and channel not in (*_WHOLE_STATE, _RETURNED))


def _message(value: Any) -> Document:
    """A message, of any of the forms that the library takes for one: a text, or a role and a content."""
    if isinstance(value, str):
        return {"type": "human", "content": value}
    if isinstance(value, list) and len(cast("list[Any]", value)) == 2:
        role, content = cast("list[Any]", value)
        return {"role": role, "content": content}
    return mapping(value)


def _kind(message: Document) -> str | None:
    name = str(message.get(KIND) or "").removesuffix("Chunk")
    return _ROLES.get(str(message.get("type"))) or _ROLES.get(name) or _ROLES.get(str(message.get("role")))


def _piece(message: Document, where: str) -> Piece:
    kind = _kind(message)
    rest = as_json({name: value for name, value in message.items() if name not in _TAKEN and value not in _EMPTY})
    if message.get("id"):
        rest["id"] = message["id"]
    if kind is None:
        if "content" not in message:
            raise malformed(where, "its channel `messages` holds something else than messages")
        return Piece("prompt", [], rest=as_json(message))  # instructions, which Strands has in its code
    if kind == "results":
        result = tool_result(
            message.get("tool_call_id"), _result(message.get("content")), failed=message.get("status") == "error"
        )
        return Piece("results", [result], rest=rest)
    blocks, unknown = parts(message.get("content"))
    rest |= {"content": as_json(unknown)} if unknown else {}
    if kind == "prompt":
        return Piece("prompt", blocks, rest=rest)
    thought = mapping(message.get("additional_kwargs")).get("reasoning_content")
    calls = [_use(call) for call in _calls(message)]
    usage = mapping(message.get("usage_metadata"))
    return Piece("answer", [*reasoning(thought), *blocks, *calls], rest=rest, usage=_tokens(usage))


def _result(content: Any) -> list[Document]:
    return result_content(content) if content else [{"text": "" if content is None else str(content)}]


def _calls(message: Document) -> list[Document]:
    return [mapping(call) for name in ("tool_calls", "invalid_tool_calls") for call in message.get(name) or ()]


def _use(call: Document) -> Document:
    """A tool use, as LangChain writes it or as OpenAI does."""
    function = mapping(call.get("function"))
    return tool_use(
        call.get("id"), call.get("name") or function.get("name"), call.get("args", function.get("arguments"))
    )


def _tokens(usage: Mapping[str, Any]) -> Document:
    details = mapping(usage.get("input_token_details"))
    return tokens(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        cached=details.get("cache_read"),
        written=details.get("cache_creation"),
    )
