"""A restore: what it makes of rows, and that it finds in pages what one page would, and reads no row twice."""

from __future__ import annotations

import gc
import json
import os
import random
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql import PerSQL
from strands_persql.database.connector import Connector
from strands_persql.database.encoding import Document, copied, encode, is_message
from strands_persql.database.query import Query, unanswered
from strands_persql.database.tables import Tables, _restore
from strands_persql.engine import reader
from strands_persql.engine.reader import Restoration, StoredAgent, restoring
from strands_persql.errors import SessionDataError

from ..database.test_decoding import CORRUPT, JSON, MESSAGE, NO_MESSAGES

SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


class Session:
    """A session made of random rows, in a database of its own."""

    def __init__(self, path: Path, draw: random.Random) -> None:
        self.store = Connector(PerSQL(local=path).database("a/b"), Tables())
        self.store.set_up()
        self.tables = self.store.tables
        self.write([self.tables.sessions.ensure("s", "{}")])
        for number in range(draw.randint(1, 3)):
            self.agent(f"agent {number}", draw)

    def write(self, statements: list[Any]) -> None:
        """Run statements as one transaction."""
        self.store.carry_out(unanswered(*statements))

    def agent(self, agent_id: str, draw: random.Random) -> None:
        """Write one agent: its messages with gaps, some in parts, and a window over them."""
        length = draw.randint(0, 30)
        removed = draw.randint(0, 5)
        fields = {
            "agent_id": agent_id,
            "state": {"text": "x" * draw.choice([1, 100])},
            "conversation_manager_state": {"removed_message_count": removed},
        }
        document = Document.of(json.dumps(fields), size=60 if draw.random() < 0.3 else 10**6)
        window = window_over(length, draw)
        write: list[Any] = [
            *self.tables.parts.add("s", "agent", agent_id, 0, document),
            self.tables.agents.create("s", agent_id, window, document.data, new_revision=7),
        ]
        for position in range(length):
            if draw.random() < 0.1:
                continue  # a row that somebody deleted
            message = {"role": "user", "content": [{"text": f"{position} " + "y" * draw.randint(0, 200)}]}
            text = json.dumps({"message": message, "message_id": position, "redact_message": None, "created_at": "t"})
            laid_out = Document.of(text, size=draw.choice([10**6, 10**6, 50]))
            write += self.tables.parts.add("s", "message", agent_id, position, laid_out, revision=7)
            write.append(self.tables.messages.add("s", agent_id, position, laid_out.data, revision=7))
            if draw.random() < 0.05:  # parts that no row names
                write += self.tables.parts.add("s", "message", agent_id, position, Document.of("z" * 30, size=10))
        for start in range(0, len(write), 100):
            self.write(write[start : start + 100])

    def restored(self, agent_id: str | None) -> tuple[dict[str, StoredAgent], int, int]:
        """Restore; also how many requests it took, and how many rows of messages came."""
        requests = rows = 0

        def ask(query: Query[Any], *, versioned: bool = False) -> Any:
            nonlocal requests, rows
            assert len(query.statements) <= 100
            requests += 1

            def read(answers: Any) -> Any:
                nonlocal rows
                messages = (row for answer in answers for row in answer if {"message_id", "data"} <= row.keys())
                rows += sum("generation" not in row for row in messages)
                return query.read(answers)

            return self.store.ask(Query(query.statements, read), versioned=versioned)

        restoration: Restoration = ask(restoring(self.tables, "s", agent_id), versioned=True)
        while (page := restoration.next_page(self.tables, "s")) is not None:
            ask(page)
            assert requests < 1000
        return restoration.agents, requests, rows


def window_over(length: int, draw: random.Random) -> str | None:
    """A live window: none, all, a tail, pinned messages and a tail, inline messages among ranges."""
    if draw.random() < 0.3:
        return None
    items: list[Any] = []
    at = 0
    while at < length and draw.random() < 0.7:
        low = draw.randint(at, length)
        high = draw.randint(low, length)
        items.append([low, high])
        at = high + 1
        if draw.random() < 0.3:
            items.append({"message": {"role": "user", "content": [{"text": "inline"}]}})
    if draw.random() < 0.2:
        draw.shuffle(items)
    items.append([draw.randint(at, length + 1), None])
    return json.dumps(items)


@pytest.mark.parametrize("number", range(60))
def test_pages_find_what_one_page_finds(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random sessions, restored in small pages and in one."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    draw = random.Random(SEED + number)
    session = Session(tmp_path / "a.db", draw)
    agent_id = draw.choice([None, "agent 0"])
    with monkeypatch.context() as patched:
        patched.setattr(reader, "CHUNKS_AT_ONCE", 10**6)
        patched.setattr(_restore, "CHUNKS_AT_ONCE", 10**6)
        whole, requests, in_one_page = session.restored(agent_id)
    assert requests == 1
    messages, chunks = draw.randint(1, 12), draw.randint(1, 9)
    for module in (reader, _restore):
        monkeypatch.setattr(module, "MESSAGES_AT_ONCE", messages)
        monkeypatch.setattr(module, "CHUNKS_AT_ONCE", chunks)
    monkeypatch.setattr(reader, "_DECODED_AT_ONCE", draw.choice([1, 500, 10**6]))
    paged, _, rows = session.restored(agent_id)
    assert paged == whole
    if all(agent.window is not None for agent in whole.values()):
        assert rows == in_one_page


@pytest.mark.parametrize("gap", [0, 4, 10])
def test_a_missing_part_is_an_error_in_pages_too(gap: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that lacks a part is named, and no page is asked for again and again."""
    session = Session(tmp_path / "a.db", random.Random(1))
    tables, text = session.tables, json.dumps({"message": "m" * 300})
    document = Document.of(text, size=30)
    chunks = tables.parts.add("s", "message", "agent 9", 0, document)
    assert len(chunks) == 11
    del chunks[gap]
    session.write(
        [
            tables.agents.create("s", "agent 9", "[[0,null]]", "{}", new_revision=7),
            *chunks,
            tables.messages.add("s", "agent 9", 0, document.data, revision=7),
        ]
    )
    for module in (reader, _restore):
        monkeypatch.setattr(module, "CHUNKS_AT_ONCE", 3)
    with pytest.raises(SessionDataError, match=r"Message 0 of agent 'agent 9' is stored in 11 parts, of which"):
        session.restored("agent 9")


def test_an_agent_that_comes_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer adds an agent with a long message between two pages: it is not of this restore."""
    for module in (reader, _restore):
        monkeypatch.setattr(module, "CHUNKS_AT_ONCE", 2)
    session = Session(tmp_path / "a.db", random.Random(1))
    tables = session.tables

    def long_message(agent_id: str) -> list[Any]:
        text = json.dumps({"message": {"role": "user", "content": [{"text": "m" * 99}]}, "message_id": 0})
        document = Document.of(text, size=30)
        return [
            tables.agents.create("s", agent_id, "[[0,null]]", "{}", new_revision=7),
            *tables.parts.add("s", "message", agent_id, 0, document),
            tables.messages.add("s", agent_id, 0, document.data, revision=7),
        ]

    session.write(long_message("early"))
    restoration = session.store.ask(restoring(tables, "s"), versioned=True)
    session.write(long_message("late"))
    while (page := restoration.next_page(tables, "s")) is not None:
        session.store.ask(page)
    assert "early" in restoration.agents
    assert "late" not in restoration.agents


def test_a_window_that_no_number_can_hold_is_told_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page can't make sense of is left to the reader of windows, which says so."""
    for module in (reader, _restore):
        monkeypatch.setattr(module, "MESSAGES_AT_ONCE", 1)
    session = Session(tmp_path / "a.db", random.Random(1))
    message = {"message": {"role": "user", "content": []}, "message_id": 0, "redact_message": None, "created_at": "t"}
    session.write(
        [
            session.tables.agents.create("s", "odd", "[[0,1e999]]", "{}", new_revision=7),
            session.tables.messages.add("s", "odd", 0, json.dumps(message), revision=7),
        ]
    )
    agents, _, _ = session.restored("odd")
    assert agents["odd"].window == "[[0,1e999]]"


# One page


DOCUMENT = json.dumps({"agent_id": "a", "state": {}, "conversation_manager_state": {}, "created_at": "then"})


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


def read(
    agents: list[Any],
    windowed: list[Any],
    unwindowed: Sequence[Any] = (),
    *,
    agent_parts: Sequence[Any] = (),
    parts: Sequence[Any] = (),
) -> dict[str, StoredAgent]:
    """The agents that a restore makes of its answers."""
    return restoring(Tables(), "s").read([agents, windowed, unwindowed, agent_parts, parts]).agents


def test_agents_and_messages_are_decoded() -> None:
    """Rows in the window, rows of agents without one, and documents in parts come together."""
    half = len(MESSAGE) // 2
    marker = '{"persql_parts":2,"generation":"g"}'
    agent = read(
        [agent_row(marker)],
        [message_row(MESSAGE, 0), message_row(marker, 5)],
        agent_parts=[chunk("a", 0, 1, DOCUMENT[9:]), chunk("a", 0, 0, DOCUMENT[:9])],
        parts=[chunk("a", 5, 0, MESSAGE[:half]), chunk("a", 5, 1, MESSAGE[half:]), chunk("a", 9, 0, "other")],
    )["a"]
    assert (agent.revision, agent.window, agent.next_id) == (3, "[[0,null]]", 8)
    assert agent.document == json.loads(DOCUMENT)
    assert agent.messages[0].message == agent.messages[5].message == json.loads(MESSAGE)["message"]
    assert agent.messages[0].created_at == "t"


def test_rows_go_to_their_agents() -> None:
    """Rows of several agents may come in any order."""
    rows = [
        {**message_row(numbered(position), position), "agent_id": agent} for position in range(6) for agent in "bac"
    ]
    agents = [{**agent_row(window=None if agent == "c" else "[[0,null]]"), "agent_id": agent} for agent in "abc"]
    unwindowed = [{**row, "removed": 0} for row in rows if row["agent_id"] == "c"]
    windowed = [row for row in rows if row["agent_id"] != "c"]
    found = read(agents, windowed, unwindowed)
    assert {agent_id: sorted(agent.messages) for agent_id, agent in found.items()} == {
        agent_id: [0, 1, 2, 3, 4, 5] for agent_id in "abc"
    }


class Row(dict[str, Any]):
    """A row that can be asked whether anybody still holds it."""


def test_rows_are_given_up() -> None:
    """Nothing keeps a page's rows while the next is read."""
    row = Row(message_row(numbered(0), 0))
    held = weakref.ref(row)
    query = restoring(Tables(), "s")
    answers: list[list[Any]] = [[agent_row()], [row], [], [], []]
    restoration = query.read(answers)
    del row
    answers.clear()
    gc.collect()
    assert held() is None
    assert sorted(restoration.agents["a"].messages) == [0]


def test_bytes_among_other_messages() -> None:
    """One message with bytes in it: they are bytes again, and its neighbours what they were."""
    text = encode(json.loads(numbered(1)) | {"message": {"role": "user", "content": [{"image": b"\x00\xff"}]}}, what="")
    rows = [message_row(numbered(0), 0), message_row(text, 1), message_row(numbered(2), 2)]
    agent = read([agent_row()], rows)["a"]
    assert [agent.messages[position].message["content"] for position in range(3)] == [[], [{"image": b"\x00\xff"}], []]


@pytest.mark.parametrize("first", ["0", "{}", "null", "[]", numbered(3)])
def test_rows_that_are_json_only_together(first: str) -> None:
    """As many values as rows, but not one a row: each row is read by itself, and the first that is no JSON is named."""
    begin, end = numbered(8).split(",", 1)
    rows = [message_row(f"{first},{begin}", 7), message_row(end, 8)]
    with pytest.raises(SessionDataError, match="Message 7 of agent 'a'"):
        read([agent_row()], rows)


@pytest.mark.parametrize("depth", [50, 600, 900, 5000])
@pytest.mark.usefixtures("no_collection")
def test_a_message_nested_too_deep(depth: int) -> None:
    """It is restored, or named: whichever of the decoder and the copy gives up first."""
    row = message_row(numbered(7, content=[{"x": "<>"}]).replace('"<>"', "[" * depth + "]" * depth))
    try:
        agent = read([agent_row()], [row])["a"]
    except SessionDataError as error:
        assert depth > 50
        assert "Message 7" in str(error)
    else:
        assert sorted(agent.messages) == [7]


@pytest.mark.parametrize("data", CORRUPT + NO_MESSAGES)
@pytest.mark.usefixtures("no_collection")
def test_a_corrupt_message(data: str) -> None:
    """The error says which message of which agent, what to do, and nothing of what stands there."""
    with pytest.raises(SessionDataError, match="Message 7 of agent 'a'") as raised:
        read([agent_row()], [message_row(data)])
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", CORRUPT)
@pytest.mark.usefixtures("no_collection")
def test_a_corrupt_agent(data: str) -> None:
    """The error says which agent's row."""
    with pytest.raises(SessionDataError, match="agent 'a'") as raised:
        read([agent_row(data)], [])
    assert "secret" not in str(raised.value)


def containers(value: Any) -> set[int]:
    """The identities of all dicts and lists in a value."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = {id(value)} if isinstance(value, (dict, list)) else set[int]()
    return own.union(*map(containers, items))


BLOCKS = st.lists(st.dictionaries(st.text(), JSON), max_size=3)
MESSAGES = st.fixed_dictionaries({"role": st.text(), "content": BLOCKS}, optional={"tracking_id": JSON, "more": JSON})


@pytest.mark.slow
@given(MESSAGES | JSON | st.fixed_dictionaries({"role": st.text() | JSON, "content": st.lists(JSON) | JSON}))
def test_a_message_is_checked_and_copied_in_one(value: Any) -> None:
    """The copy equals the message and shares no container with it; what is no message has none."""
    copy = reader._copied_message(value)
    assert (copy is not None) == is_message(value)
    if copy is not None:
        assert repr(copy) == repr(value) == repr(copied(value))
        assert not containers(copy) & containers(value)
