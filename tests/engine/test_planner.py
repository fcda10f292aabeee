"""Rows become batches inside the limits of one request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strands_persql.database.decoding import StoredMessage
from strands_persql.database.encoding import PART_BYTES, Document
from strands_persql.database.tables import Tables
from strands_persql.engine.copies import RedactedCopies
from strands_persql.engine.outgoing import (
    MAX_BODY_BYTES,
    MAX_STATEMENTS,
    Batch,
    MessageRow,
    Redaction,
    Row,
    Stored,
    only_new_messages,
)
from strands_persql.engine.planner import plan

TABLES = Tables()


def messages(count: int, text: str = '"x"', *, agents: tuple[str, ...] = ("a",), new: bool = True) -> list[Row]:
    """So many messages of each agent."""
    return [MessageRow(agent, position, Document.of(text), new) for position in range(count) for agent in agents]


def planned(rows: list[Row], stored: Stored | None = None) -> list[Batch]:
    """The batches of a session whose agents are stored."""
    return plan(rows, TABLES, "s", TABLES.sessions.ensure("s", "{}"), stored or Stored(agents={"a": 7, "b": 9}))


def sizes(batches: list[Batch]) -> list[int]:
    """How many statements each has."""
    return [len(batch.statements) for batch in batches]


@pytest.mark.parametrize("count", [1, 2, MAX_STATEMENTS // 2])
def test_new_messages_take_one_statement_each(count: int) -> None:
    """An invocation's messages go in one batch, each under the revision of its own agent, which stays as it is."""
    rows = messages(count, agents=("a", "b"))
    batch = only_new_messages(rows, TABLES, "s", Stored(agents={"a": 7, "b": 9}))
    assert batch is not None
    assert batch.statements == [
        TABLES.messages.add("s", agent, position, '"x"', revision=7 if agent == "a" else 9)
        for position in range(count)
        for agent in ("a", "b")
    ]
    assert batch.completes == [row.key for row in rows]
    assert batch.agents == {}


def test_nothing_takes_no_batch() -> None:
    """Nothing to write is nothing to send."""
    assert planned([]) == []


def test_more_statements_than_a_batch_takes() -> None:
    """The rest goes in the next."""
    batches = planned(messages(MAX_STATEMENTS + 1))
    assert sizes(batches) == [MAX_STATEMENTS, 1]
    assert [key for batch in batches for key in batch.completes] == [row.key for row in messages(MAX_STATEMENTS + 1)]


@pytest.mark.parametrize("character", ["x", "ü"])
def test_more_bytes_than_a_batch_takes(character: str) -> None:
    """Counted as they are sent: a character may take several."""
    width = len(character.encode())
    text = character * (PART_BYTES // 4)
    fit = MAX_BODY_BYTES // (width * len(text) + 1_000)  # the ids take some room, too
    assert sizes(planned(messages(fit, text))) == [fit]
    assert sizes(planned(messages(fit + 1, text))) == [fit, 1]


def test_a_message_in_parts_among_others() -> None:
    """Its parts go before it."""
    rows = [*messages(1), MessageRow("a", 1, Document.of('"y"' * PART_BYTES), new=True)]
    batches = planned(rows)
    assert sum(sizes(batches)) == 2 + len(rows[1].document.parts)  # type: ignore[union-attr]
    assert batches[-1].completes[-1] == rows[1].key


def test_a_message_that_had_parts_drops_them() -> None:
    """Parts of an earlier attempt at it may be stored."""
    stored = Stored(agents={"a": 7}, in_parts={("message", "a", 1)})
    (batch,) = planned(messages(2), stored)
    assert len(batch.statements) == 4  # the revision, two messages, the end of the parts
    assert batch.agents["a"] > 7


def test_a_changed_message_among_new_ones_raises_the_revision() -> None:
    """So that an earlier attempt that arrives late is refused."""
    rows = [*messages(1), MessageRow("a", 1, Document.of('"y"'), new=False)]
    (batch,) = planned(rows)
    assert len(batch.statements) == 3
    assert batch.agents["a"] > 7


def test_what_is_rewritten_for_a_redaction() -> None:
    """Only a message of the same role and content gets the new content; its other fields stay."""
    fields = {"message": {"role": "user", "content": [{"text": "secret"}]}, "message_id": 7, "created_at": "t"}
    stored = StoredMessage("Message 7", json.dumps(fields), position=7)
    secret: dict[str, Any] = {"role": "user", "content": [{"text": "secret"}]}
    redacted: dict[str, Any] = {"role": "user", "content": [{"text": "gone"}]}
    row = Redaction("a", RedactedCopies(secret, redacted), {"a": 9}).rewritten("a", stored)
    assert row is not None
    assert row.key == ("message", "a", 7)
    assert not row.new
    assert row.document is not None
    rewritten = json.loads(row.document.data)
    assert rewritten.pop("updated_at") > "2"
    assert rewritten == {**fields, "message": {"role": "user", "content": [{"text": "gone"}]}, "redacted": True}
    for raw in ({**secret, "role": "assistant"}, {**secret, "content": []}):
        assert Redaction("a", RedactedCopies(raw, redacted), {"a": 9}).rewritten("a", stored) is None
        assert Redaction("a", RedactedCopies(raw, redacted), {"a": 9}).rewritten("a", StoredMessage("7", "{}")) is None
