"""Adds up what a session has used."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..database.decoding import shown
from ..database.encoding import LARGEST_NUMBER, Message, mapping
from ..database.live_window import Range
from ..database.query import together
from ..database.tables import Reading
from ..errors import SessionDataError
from .agents import groups_of, in_order
from .missing import no_session
from .results import Usage

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.decoding import StoredMessage
    from ..database.tables import Tables

_MESSAGES = 1000
"""Messages that one request reads where SQLite can't look into them."""

_COUNTS = tuple(field.name for field in fields(Usage) if field.name != "agents")


def read_usage(store: Connector[Tables], session_id: str) -> Usage:
    """What a session has used; see `PerSQLSessions.usage`."""
    tables = store.tables
    session, groups, found = store.ask(
        together(tables.sessions.read(session_id), groups_of(tables, session_id), Reading(tables).usage(session_id)),
        versioned=True,
    )
    if session is None:
        raise no_session(session_id)
    if tables.seals.is_on:
        opened = _counted(store, session_id)
        return _total({agent_id: opened[agent_id] for agent_id in in_order(opened, groups)})
    counts: dict[str, dict[str, Any]] = {}
    for agent_id in in_order({*found.agent_ids, *found.sums}, groups):
        row = found.sums.get(agent_id)
        counts[agent_id] = {name: 0 if row is None else int(row[name]) for name in _COUNTS}
        counts[agent_id]["unread"] += 0 if row is None else int(row["in_parts"])
    for agent_id, message in found.long:
        if agent_id in counts:
            _count_in(counts[agent_id], message)
    return _total(counts)


def _total(counts: dict[str, dict[str, Any]]) -> Usage:
    total: dict[str, Any] = {name: sum(own[name] for own in counts.values()) for name in _COUNTS}
    return Usage(**total, agents={agent_id: Usage(**own) for agent_id, own in counts.items()})


def _counted(store: Connector[Tables], session_id: str) -> dict[str, dict[str, Any]]:
    """The counts of a session that is encrypted: all of its messages are read, page by page."""
    counts: dict[str, dict[str, Any]] = {}
    reading = Reading(store.tables)
    for agent in store.ask(reading.agents(session_id)):
        own = counts[agent.agent_id] = dict.fromkeys(_COUNTS, 0)
        rest = [Range(0, agent.last)] if agent.last >= 0 else []
        while rest:
            page = store.ask(reading.page(session_id, agent.agent_id, rest, _MESSAGES)).messages
            for message in page:
                own["messages"] += 1
                own["unread"] += 1
                _count_in(own, message)
            is_last = not page or page[-1].position >= agent.last
            rest = [] if is_last else [Range(page[-1].position + 1, agent.last)]
    return counts


def _count_in(own: dict[str, int], stored: StoredMessage) -> None:
    """Add one message that SQLite could not look into."""
    try:
        message: Message = shown(stored.record())
    except SessionDataError:
        return
    own["unread"] -= 1
    own["model_calls"] += message["role"] == "assistant"
    for block in message["content"]:
        own["tool_calls"] += "toolUse" in block
        own["tool_errors"] += mapping(block.get("toolResult")).get("status") == "error"
    metadata = mapping(message.get("metadata"))
    usage, metrics = mapping(metadata.get("usage")), mapping(metadata.get("metrics"))
    own["reported"] += isinstance(metadata.get("usage"), dict)
    values: dict[str, Any] = {
        "input_tokens": usage.get("inputTokens"),
        "output_tokens": usage.get("outputTokens"),
        "cache_read_tokens": usage.get("cacheReadInputTokens"),
        "cache_write_tokens": usage.get("cacheWriteInputTokens"),
        "latency_ms": metrics.get("latencyMs"),
    }
    for name, value in values.items():
        if isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER:  # NaN and the infinities are no count
            own[name] += int(value)
