"""Stored rows that were changed by hand: a clear error that names the row, or the rows as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.stored import Restoration, rewritten, stored_document, stored_message, stored_multi_agents

DOCUMENT = json.dumps({"agent_id": "a", "state": {}, "conversation_manager_state": {}, "created_at": "then"})
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


def agent_row(data: str = DOCUMENT, window: str | None = "[[0,null]]") -> dict[str, Any]:
    """A row of the agents."""
    return {"agent_id": "a", "revision": 3, "live_window": window, "data": data, "last_message_id": 7}


def message_row(data: str, position: int = 7) -> dict[str, Any]:
    """A row of the messages."""
    return {"agent_id": "a", "message_id": position, "data": data}


def chunk(owner: str, message_id: int, part: int, data: str) -> dict[str, Any]:
    """A row of the parts."""
    return {"owner": owner, "message_id": message_id, "generation": "g", "part": part, "data": data}


def test_agents_and_messages_are_decoded() -> None:
    """Rows in the window, rows of agents without one, and documents in parts come together."""
    half = len(MESSAGE) // 2
    marker = '{"persql_parts":2,"generation":"g"}'
    restoration = Restoration(
        [
            [agent_row(marker)],
            [message_row(MESSAGE, 0), message_row(marker, 5)],
            [],
            [chunk("a", 0, 1, DOCUMENT[9:]), chunk("a", 0, 0, DOCUMENT[:9])],
            [chunk("a", 5, 0, MESSAGE[:half]), chunk("a", 5, 1, MESSAGE[half:]), chunk("a", 9, 0, "other")],
        ]
    )
    agent = restoration.agents["a"]
    assert (agent.revision, agent.window, agent.next_id) == (3, "[[0,null]]", 8)
    assert agent.document == json.loads(DOCUMENT)
    assert agent.messages[0].message == agent.messages[5].message == json.loads(MESSAGE)["message"]
    assert agent.messages[0].created_at == "t"


def test_a_redacted_message_is_restored_redacted() -> None:
    """A row that Strands' own manager has redacted gives its redacted message."""
    assert stored_message(REDACTED, [], "a", 0).message["content"] == [{"text": "gone"}]


@pytest.mark.parametrize("data", CORRUPT + NO_MESSAGES)
def test_a_corrupt_message(data: str) -> None:
    """The error says which message of which agent, what to do, and nothing of what stands there."""
    with pytest.raises(SessionDataError, match="Message 7 of agent 'a'") as raised:
        Restoration([[agent_row()], [message_row(data)], [], [], []])
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", CORRUPT)
def test_a_corrupt_agent(data: str) -> None:
    """The error says which agent's row."""
    with pytest.raises(SessionDataError, match="agent 'a'") as raised:
        Restoration([[agent_row(data)], [], [], [], []])
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", CORRUPT)
def test_a_corrupt_graph(data: str) -> None:
    """The error says which Graph's or Swarm's row."""
    with pytest.raises(SessionDataError, match="multi-agent 'm'") as raised:
        stored_multi_agents([[{"multi_agent_id": "m", "revision": 1, "data": data}], []])
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", CORRUPT)
def test_a_corrupt_document(data: str) -> None:
    """The error names what it was told the row is."""
    with pytest.raises(SessionDataError, match="The row of session 's'"):
        stored_document(data, [], what="The row of session 's'")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(["message"]), inner),
    max_leaves=8,
)


@given(JSON.map(json.dumps) | st.text())
def test_any_row_is_read_or_refused(data: str) -> None:
    """Whatever stands in a row, it is a message or an error of ours."""
    try:
        message = stored_message(data, [], "a", 0).message
    except SessionDataError:
        return
    assert isinstance(message["role"], str)
    assert all(isinstance(block, dict) for block in message["content"])


def test_what_is_rewritten_for_a_redaction() -> None:
    """Only a message of the same role and content gets the new content; its other fields stay."""
    redaction = ("user", '[{"text":"secret"}]', '[{"text":"gone"}]')
    text = rewritten(MESSAGE, [], "a", 7, redaction, "now")
    assert text is not None
    assert json.loads(text) == {
        "message": {"role": "user", "content": [{"text": "gone"}]},
        "message_id": 0,
        "created_at": "t",
        "updated_at": "now",
    }
    assert rewritten(MESSAGE, [], "a", 7, ("assistant", *redaction[1:]), "now") is None
    assert rewritten(MESSAGE, [], "a", 7, ("user", "[]", "[]"), "now") is None
    assert rewritten("{}", [], "a", 7, redaction, "now") is None
