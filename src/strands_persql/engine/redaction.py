"""Finds the rows that hold what is to be redacted, and puts their new contents among the rows being sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..database.decoding import Part, StoredMessage
from ..database.live_window import Range
from ..database.tables import Reading
from .copies import SWARM_PROMPT
from .outgoing import MessageRow, Redaction
from .tracing import BatchSpan

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables
    from .outgoing import Outgoing

_MESSAGES = 1000
"""Messages of an encrypted session that one request reads."""


def search(out: Outgoing, redaction: Redaction, connector: Connector[Tables], lock: threading.RLock) -> None:
    """Put the rows that hold what is to be redacted among those being sent, in the place of the redaction."""
    connector.wipe()
    stored = _stored(out, redaction, connector)
    with lock:
        del out.rows[redaction.key]
        for row in list(out.rows.values()):  # earlier copies that are yet to be stored
            if isinstance(row, MessageRow) and row.message_id < redaction.before.get(row.agent_id, 0):
                redacted = redaction.rewritten(row.agent_id, _as_stored(row))
                if redacted is not None:
                    out.rows[row.key] = replace(redacted, new=row.new)
        for agent_id, message in stored:
            rewritten = redaction.rewritten(agent_id, message)
            if rewritten is None:
                continue
            waiting = out.rows.get(rewritten.key)
            # A row that waits with what the model sees alone leaves what was said as it is stored.
            if waiting is None or (isinstance(waiting, MessageRow) and waiting.document is None):
                out.rows[rewritten.key] = rewritten
                if message.in_parts:
                    out.known.in_parts.add(rewritten.key)


def _stored(out: Outgoing, redaction: Redaction, connector: Connector[Tables]) -> list[tuple[str, StoredMessage]]:
    """The stored messages that may hold it, whole, by agent."""
    before = {agent_id: before for agent_id, before in redaction.before.items() if out.known.agents.get(agent_id)}
    if not before:
        return []
    if connector.tables.seals.is_on:
        return list(_opened(out, redaction, before, connector))
    messages = connector.tables.messages
    query = messages.find_blocks(out.session_id, before, redaction.copies.lengths, SWARM_PROMPT)
    with BatchSpan.of(out, "persql.redact", query.statements, [redaction]) as span:
        found = connector.ask(span.counted(query))
    for place, (agent_id, message) in enumerate(found):
        if message.missing(1) or (
            message.live is not None and message.live.missing(1)
        ):  # one long message after the other, so that no answer is too long
            whole = connector.ask(messages.read(out.session_id, agent_id, message.position))
            found[place] = (agent_id, whole or message)
    return found


def _opened(
    out: Outgoing, redaction: Redaction, before: Mapping[str, int], connector: Connector[Tables]
) -> Iterator[tuple[str, StoredMessage]]:
    """The stored messages that hold it, of a session that is encrypted: all are read, page by page."""
    reading = Reading(connector.tables)
    for agent_id, end in before.items():
        rest = [Range(0, end - 1)] if end else []
        while rest:
            query = reading.page(out.session_id, agent_id, rest, _MESSAGES)
            with BatchSpan.of(out, "persql.redact", query.statements, [redaction]) as span:
                page = connector.ask(span.counted(query)).messages
            yield from ((agent_id, each) for each in page if redaction.rewritten(agent_id, each) is not None)
            is_last = not page or page[-1].position >= end - 1
            rest = [] if is_last else [Range(page[-1].position + 1, end - 1)]


def _as_stored(row: MessageRow) -> StoredMessage:
    versions: list[StoredMessage] = []
    for document in row.documents:
        parts = [Part(document.generation, number, text) for number, text in enumerate(document.parts)]
        versions.append(StoredMessage(f"message {row.message_id}", document.data, parts, row.message_id))
    return versions[0] if len(versions) == 1 else replace(versions[0], live=versions[1])
