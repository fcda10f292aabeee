"""Stored rows that were changed by hand: a clear error that names the row, or the rows as they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.database.decoding import (
    FoundParts,
    Part,
    StoredDocument,
    StoredMessage,
    StoredMultiAgent,
    shown,
)
from strands_persql.database.encoding import Document

MESSAGE = json.dumps({"message": {"role": "user", "content": [{"text": "secret"}]}, "message_id": 0, "created_at": "t"})
REDACTED = json.dumps(
    {
        "message": {"role": "user", "content": [{"text": "raw"}]},
        "redact_message": {"role": "user", "content": [{"text": "gone"}]},
    }
)
CORRUPT = [
    "",
    "{",
    "5",
    "null",
    '"secret"',
    "[]",
    MESSAGE[:-20],
    '{"persql_parts":2,"generation":"g"}',
    '{"persql_parts":2,"gen',
    '{"persql_parts":2}',
    "[" * 100_000,
]
NO_MESSAGES = [
    "{}",
    '{"message":null}',
    '{"message":{}}',
    '{"message":{"role":"user"}}',
    '{"message":{"role":"user","content":"secret"}}',
    '{"message":{"role":5,"content":[]}}',
    '{"message":{"role":"user","content":["secret"]}}',
]


def test_a_redacted_message_is_restored_redacted() -> None:
    """A row that Strands' own manager has redacted gives its redacted message."""
    assert shown(StoredMessage("Message 0", REDACTED).record())["content"] == [{"text": "gone"}]


@pytest.mark.parametrize("data", CORRUPT)
@pytest.mark.usefixtures("no_collection")
def test_a_corrupt_graph(data: str) -> None:
    """The error says which Graph's or Swarm's row."""
    with pytest.raises(SessionDataError, match="multi-agent 'm'") as raised:
        StoredMultiAgent.of({"multi_agent_id": "m", "revision": 1, "data": data}, FoundParts())
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", CORRUPT)
@pytest.mark.usefixtures("no_collection")
def test_a_corrupt_document(data: str) -> None:
    """The error names what it was told the row is."""
    with pytest.raises(SessionDataError, match="The row of session 's'"):
        StoredDocument("The row of session 's'", data).fields()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(["message"]), inner),
    max_leaves=8,
)


@given(JSON.map(json.dumps) | st.text())
def test_any_row_is_read_or_refused(data: str) -> None:
    """Whatever stands in a row, it is a message or an error of ours."""
    try:
        message = shown(StoredMessage("Message 0", data).record())
    except SessionDataError:
        return
    assert isinstance(message["role"], str)
    assert all(isinstance(block, dict) for block in message["content"])


@pytest.mark.parametrize("data", CORRUPT + NO_MESSAGES)
def test_a_corrupt_record(data: str) -> None:
    """The error names the message, says what to do, and nothing of what stands there."""
    with pytest.raises(SessionDataError, match="Message 7") as raised:
        StoredMessage("Message 7", data, position=7).record()
    assert "secret" not in str(raised.value)


def test_the_parts_that_are_still_to_be_read() -> None:
    """From the first that is not there, and no more than asked for; parts of another writing don't count."""
    message = StoredMessage("Message 0", '{"persql_parts":5,"generation":"g"}', [Part("old", 0, ""), Part("g", 0, "")])
    assert [message.missing(limit) for limit in (0, 2, 9)] == [range(1, 1), range(1, 3), range(1, 5)]
    longer = message.with_parts([Part("g", 1, ""), Part("g", 3, "")])
    assert longer.missing(9) == range(2, 5)
    assert not longer.with_parts([Part("g", 2, ""), Part("g", 4, "")]).missing(9)
    assert not StoredMessage("Message 0", MESSAGE).missing(9)
    assert longer.in_parts and not StoredMessage("Message 0", MESSAGE).in_parts


def test_bytes_may_stay_as_they_are_stored() -> None:
    """An export takes a document as JSON."""
    stored = StoredDocument("It", '{"raw":{"__bytes_encoded__":true,"data":"AP8="}}')
    assert stored.fields() == {"raw": b"\x00\xff"}
    assert stored.fields(with_bytes=False) == {"raw": {"__bytes_encoded__": True, "data": "AP8="}}


def test_a_long_document_keeps_its_first_time() -> None:
    """An update finds the time of creation in the marker, and keeps it there."""
    text = '{"created_at":"later","n":1}'
    document = Document.of(text, generation="g", created_at="first", size=10)
    parts = [Part("g", number, part) for number, part in enumerate(document.parts)]
    assert StoredDocument("It", document.data, parts).fields() == {"created_at": "first", "n": 1}
    assert StoredDocument("It", text).fields() == {"created_at": "later", "n": 1}
