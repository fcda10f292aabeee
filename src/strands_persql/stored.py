"""What a session restores from: the rows of a restore, decoded. Pure: no I/O, no agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from .documents import LARGEST_NUMBER, decode, decode_all, encode
from .errors import SessionDataError
from .tables import is_in_parts, joined, marker_of
from .window import Message, StoredMessage

__all__ = [
    "StoredAgent",
    "StoredMultiAgent",
    "is_message",
    "rewritten",
    "stored_agents",
    "stored_document",
    "stored_multi_agents",
    "unreadable",
]

_DECODED_AT_ONCE = 500
"""Rows of messages, so that a long history never stands in memory a second time as one text."""

Rows = Sequence[Mapping[str, Any]]
Chunks = dict[tuple[str, int], list[tuple[str, int, str]]]


@dataclass(slots=True)
class StoredAgent:
    """One agent as it is stored.

    Attributes:
        agent_id: Its id within the session.
        revision: Counts the writes to its row.
        window: Its live window; None where a repository wrote the row, which knows no window.
        document: The fields of Strands' `SessionAgent`.
        messages: The messages of its live window, by position.
        next_id: The position after the transcript's last message.
        in_parts: The positions of messages stored in parts.
        document_in_parts: Whether its own document is.
    """

    agent_id: str
    revision: int
    window: str | None
    document: dict[str, Any]
    messages: dict[int, StoredMessage] = field(default_factory=lambda: {})
    next_id: int = 0
    in_parts: list[int] = field(default_factory=lambda: [])
    document_in_parts: bool = False


@dataclass(slots=True)
class StoredMultiAgent:
    """A Graph's or Swarm's state as it is stored."""

    revision: int
    state: dict[str, Any]
    text: str
    in_parts: bool


def stored_agents(answers: Sequence[Rows]) -> dict[str, StoredAgent]:
    """The agents in the answers to `Tables.restore`, less the first, the version.

    Raises:
        SessionDataError: A row can't be read; the error names it.
    """
    agent_rows, window_rows, unwindowed_rows, agent_chunks, message_chunks = answers
    agents: dict[str, StoredAgent] = {}
    own_chunks = _by_document(agent_chunks)
    for row in agent_rows:
        agent_id: str = row["agent_id"]
        what = f"The row of agent {agent_id!r}"
        text = joined(row["data"], own_chunks.get((agent_id, 0), ()), what=what)
        last = row["last_message_id"]
        agents[agent_id] = StoredAgent(
            agent_id,
            _number(row["revision"], what, "revision", least=1),
            row["live_window"],
            _object(text, what),
            next_id=0 if last is None else _number(last, what, "last message_id") + 1,
            document_in_parts=(agent_id, 0) in own_chunks,
        )
    chunks = _by_document(message_chunks)
    rows = [*window_rows, *_unskipped(unwindowed_rows, agents)]
    for start in range(0, len(rows), _DECODED_AT_ONCE):
        _take(rows[start : start + _DECODED_AT_ONCE], chunks, agents)
    for agent_id, position in chunks:  # also parts that no row names: a process died between them and their row
        agents[agent_id].in_parts.append(position)
    return agents


def _take(rows: Rows, chunks: Chunks, agents: Mapping[str, StoredAgent]) -> None:
    """Decode rows of messages into their agents."""
    documents = decode_all([row["data"] for row in rows])
    if documents is not None:
        try:
            for row, document in zip(rows, documents, strict=True):
                message: Message = document["redact_message"] or document["message"]
                position: int = row["message_id"]
                # Rows that are JSON together need not be JSON each: what they hold then has other positions.
                if document["message_id"] != position or not is_message(message):
                    break
                agents[row["agent_id"]].messages[position] = StoredMessage(message, document["created_at"])
            else:
                return
        except (TypeError, KeyError):
            pass
    for row in rows:
        agent, position = agents[row["agent_id"]], row["message_id"]
        own = chunks.get((agent.agent_id, position), ())
        agent.messages[position] = stored_message(row["data"], own, agent.agent_id, position)


def _unskipped(rows: Rows, agents: dict[str, StoredAgent]) -> list[Mapping[str, Any]]:
    """The rows of agents without a window, less those that are removed but SQLite could not tell (a long document)."""
    places: dict[str, int] = {}
    kept: list[Mapping[str, Any]] = []
    for row in sorted(rows, key=lambda row: row["message_id"]):
        agent_id = row["agent_id"]
        places[agent_id] = places.get(agent_id, int(row["removed"])) + 1
        state = agents[agent_id].document.get("conversation_manager_state")
        removed = cast("dict[str, Any]", state).get("removed_message_count", 0) if isinstance(state, dict) else 0
        if not isinstance(removed, int) or places[agent_id] > removed:
            kept.append(row)
    return kept


def stored_multi_agents(answers: Sequence[Rows]) -> dict[str, StoredMultiAgent]:
    """The Graphs and Swarms in the answers to `Tables.restore_multi_agents`.

    Raises:
        SessionDataError: A row can't be read; the error names it.
    """
    rows, chunk_rows = answers
    chunks = _by_document(chunk_rows)
    found: dict[str, StoredMultiAgent] = {}
    for row in rows:
        multi_agent_id: str = row["multi_agent_id"]
        what = f"The row of multi-agent {multi_agent_id!r}"
        text = joined(row["data"], chunks.get((multi_agent_id, 0), ()), what=what)
        in_parts = (multi_agent_id, 0) in chunks
        revision = _number(row["revision"], what, "revision", least=1)
        found[multi_agent_id] = StoredMultiAgent(revision, _object(text, what), text, in_parts)
    return found


def _number(value: object, what: str, name: str, *, least: int = 0) -> int:
    """A count that is exact in JSON, with room to go up: a number changed by hand could never be written again."""
    if isinstance(value, int) and least <= value < LARGEST_NUMBER:
        return value
    raise SessionDataError(unreadable(what, f"its {name} is {value!r}", column=name))


def stored_document(data: str, chunks: Rows, *, what: str) -> dict[str, Any]:
    """One row's document, from its `data` and its parts.

    Raises:
        SessionDataError: It can't be read.
    """
    document = _object(joined(data, [(row["generation"], row["part"], row["data"]) for row in chunks], what=what), what)
    if is_in_parts(data):  # an update keeps the marker's, as it keeps a whole document's
        document["created_at"] = marker_of(data, what=what).created_at or document.get("created_at", "")
    return document


def rewritten(
    data: str, chunks: Rows, agent_id: str, position: int, redaction: tuple[str, str, str], updated_at: str
) -> str | None:
    """A message row's new text, if its content is exactly what is to be redacted; else None.

    Args:
        data: The row's `data`.
        chunks: Its parts.
        agent_id: Whose message it is.
        position: Its `message_id`.
        redaction: The role, the raw content as JSON, and the redacted content as JSON.
        updated_at: The time.
    """
    role, raw, redacted = redaction
    document = stored_document(data, chunks, what=f"Message {position} of agent {agent_id!r}")
    if not is_message(document.get("message")):
        return None
    message: Message = document["message"]
    if message["role"] != role or encode(message["content"], what="a message") != raw:
        return None
    message["content"] = decode(redacted)
    return encode({**document, "message": message, "updated_at": updated_at}, what="a message")


def stored_message(data: str, chunks: Sequence[tuple[str, int, str]], agent_id: str, position: int) -> StoredMessage:
    """One row of the transcript: what Strands' `SessionMessage.to_message` gives, at a tenth of its cost.

    Raises:
        SessionDataError: It can't be read.
    """
    what = f"Message {position} of agent {agent_id!r}"
    document = _object(joined(data, chunks, what=what), what)
    message = document.get("redact_message") or document.get("message")
    if not is_message(message):
        raise SessionDataError(unreadable(what, "it holds no message with a role and a list of content blocks"))
    return StoredMessage(cast("Message", message), str(document.get("created_at", "")))


def is_message(message: Any) -> bool:
    """Whether something decoded is a message: a role, and a list of content blocks."""
    if not isinstance(message, dict):
        return False
    parts = cast("dict[str, Any]", message)
    content = parts.get("content")
    if not (isinstance(parts.get("role"), str) and isinstance(content, list)):
        return False
    # A loop: a generator costs more than all the rest, and a restore asks this of each message.
    for block in cast("list[Any]", content):  # noqa: SIM110
        if not isinstance(block, dict):
            return False
    return True


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = decode(text)
    except (ValueError, RecursionError) as error:
        raise SessionDataError(unreadable(what, "it is no JSON")) from error
    if not isinstance(value, dict):
        raise SessionDataError(unreadable(what, "it is no JSON object"))
    return cast("dict[str, Any]", value)


def unreadable(what: str, why: str, *, column: str = "data") -> str:
    """The words for a row that can't be read."""
    return (
        f"{what} can't be read: {why}. Nothing was changed. Look at the column {column} of that row, and mend it, "
        "delete it, or use another session id."
    )


def _by_document(rows: Rows) -> Chunks:
    chunks: Chunks = {}
    for row in rows:
        chunks.setdefault((row["owner"], row["message_id"]), []).append((row["generation"], row["part"], row["data"]))
    return chunks
