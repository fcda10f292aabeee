"""Stored rows that were changed by hand: a clear error that names the row, or the rows as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import SessionDataError
from strands_persql.database.decoding import (
    Restoration,
    copied_message,
    is_message,
    rewritten,
    stored_document,
    stored_message,
    stored_multi_agents,
)
from strands_persql.database.encoding import copied, encode

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


def numbered(position: int, content: Any = ()) -> str:
    """A message's document as this package writes it."""
    message = {"role": "user", "content": list(content), "tracking_id": "i"}
    return json.dumps({"message": message, "message_id": position, "redact_message": None, "created_at": "t"})


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


def test_rows_go_to_their_agents() -> None:
    """Rows of several agents may come in any order."""
    rows = [
        {**message_row(numbered(position), position), "agent_id": agent} for position in range(6) for agent in "bac"
    ]
    agents: list[Any] = [
        {**agent_row(window=None if agent == "c" else "[[0,null]]"), "agent_id": agent} for agent in "abc"
    ]
    unwindowed: list[Any] = [{**row, "removed": 0} for row in rows if row["agent_id"] == "c"]
    windowed: list[Any] = [row for row in rows if row["agent_id"] != "c"]
    restoration = Restoration([agents, windowed, unwindowed, [], []])
    assert {agent_id: sorted(agent.messages) for agent_id, agent in restoration.agents.items()} == {
        agent_id: [0, 1, 2, 3, 4, 5] for agent_id in "abc"
    }


def test_the_answers_are_given_up() -> None:
    """Their list is empty afterwards, so that nothing keeps a page's rows while the next is read."""
    answers: list[list[Any]] = [[agent_row()], [message_row(MESSAGE, 0)], [], [], []]
    restoration = Restoration(answers)
    page: list[list[Any]] = [[]]
    restoration.take(page)
    assert answers == page == []


def test_bytes_among_other_messages() -> None:
    """One message with bytes in it: they are bytes again, and its neighbours what they were."""
    text = encode(json.loads(numbered(1)) | {"message": {"role": "user", "content": [{"image": b"\x00\xff"}]}}, what="")
    rows: list[Any] = [message_row(numbered(0), 0), message_row(text, 1), message_row(numbered(2), 2)]
    agent = Restoration([[agent_row()], rows, [], [], []]).agents["a"]
    assert [agent.messages[position].message["content"] for position in range(3)] == [[], [{"image": b"\x00\xff"}], []]


@pytest.mark.parametrize("first", ["0", "{}", "null", "[]", numbered(3)])
def test_rows_that_are_json_only_together(first: str) -> None:
    """As many values as rows, but not one a row: each row is read by itself, and the first that is no JSON is named."""
    begin, end = numbered(8).split(",", 1)
    rows: list[Any] = [message_row(f"{first},{begin}", 7), message_row(end, 8)]
    with pytest.raises(SessionDataError, match="Message 7 of agent 'a'"):
        Restoration([[agent_row()], rows, [], [], []])


@pytest.mark.parametrize("depth", [50, 600, 900, 5000])
def test_a_message_nested_too_deep(depth: int) -> None:
    """It is restored, or named: whichever of the decoder and the copy gives up first."""
    row = message_row(numbered(7, content=[{"x": "<>"}]).replace('"<>"', "[" * depth + "]" * depth))
    try:
        agent = Restoration([[agent_row()], [row], [], [], []]).agents["a"]
    except SessionDataError as error:
        assert depth > 50
        assert "Message 7" in str(error)
    else:
        assert sorted(agent.messages) == [7]


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


BLOCKS = st.lists(st.dictionaries(st.text(), JSON), max_size=3)
MESSAGES = st.fixed_dictionaries({"role": st.text(), "content": BLOCKS}, optional={"tracking_id": JSON, "more": JSON})


def containers(value: Any) -> set[int]:
    """The identities of all dicts and lists in a value."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = {id(value)} if isinstance(value, (dict, list)) else set[int]()
    return own.union(*map(containers, items))


@given(MESSAGES | JSON | st.fixed_dictionaries({"role": st.text() | JSON, "content": st.lists(JSON) | JSON}))
def test_a_message_is_checked_and_copied_in_one(value: Any) -> None:
    """The copy equals the message and shares no container with it; what is no message has none."""
    copy = copied_message(value)
    assert (copy is not None) == is_message(value)
    if copy is not None:
        assert repr(copy) == repr(value) == repr(copied(value))
        assert not containers(copy) & containers(value)


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
