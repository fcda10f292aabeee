"""A restore in pages: it finds what one page would, whatever the windows look like, and reads no row twice."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL
from strands_persql.database import decoding as stored
from strands_persql.database.connector import Store
from strands_persql.database.decoding import Restoration, StoredAgent
from strands_persql.database.tables import Document, Tables, _restore
from strands_persql.errors import SessionDataError

SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


class Session:
    """A session made of random rows, in a database of its own."""

    def __init__(self, path: Path, draw: random.Random) -> None:
        self.store = Store(PerSQL(local=path).database("a/b"), Tables())
        self.store.set_up()
        self.tables = self.store.tables
        self.store.write([self.tables.sessions.ensure("s", "{}")])
        for number in range(draw.randint(1, 3)):
            self.agent(f"agent {number}", draw)

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
            self.store.write(write[start : start + 100])

    def restored(self, agent_id: str | None) -> tuple[dict[str, StoredAgent], int, int]:
        """Restore; also how many requests it took, and how many rows of messages came."""
        answers = self.store.read_versioned(self.tables.restore.agents("s", agent_id))
        requests, rows = 1, len(answers[1]) + len(answers[2])
        restoration = Restoration(answers)
        while statements := restoration.wanted(self.tables, "s"):
            assert len(statements) <= 100
            answers = self.store.read(*statements)
            requests += 1
            rows += sum(1 for answer in answers for row in answer if "part" not in row)
            restoration.take(answers)
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
        patched.setattr(stored, "CHUNKS_AT_ONCE", 10**6)
        patched.setattr(_restore, "CHUNKS_AT_ONCE", 10**6)
        whole, requests, in_one_page = session.restored(agent_id)
    assert requests == 1
    messages, chunks = draw.randint(1, 12), draw.randint(1, 9)
    for module in (stored, _restore):
        monkeypatch.setattr(module, "MESSAGES_AT_ONCE", messages)
        monkeypatch.setattr(module, "CHUNKS_AT_ONCE", chunks)
    monkeypatch.setattr(stored, "_DECODED_AT_ONCE", draw.choice([1, 500, 10**6]))
    paged, _, rows = session.restored(agent_id)
    for agent in (*whole.values(), *paged.values()):
        agent.in_parts.sort()
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
    session.store.write(
        [
            tables.agents.create("s", "agent 9", "[[0,null]]", "{}", new_revision=7),
            *chunks,
            tables.messages.add("s", "agent 9", 0, document.data, revision=7),
        ]
    )
    for module in (stored, _restore):
        monkeypatch.setattr(module, "CHUNKS_AT_ONCE", 3)
    with pytest.raises(SessionDataError, match=r"Message 0 of agent 'agent 9' is stored in 11 parts, of which"):
        session.restored("agent 9")


def test_an_agent_that_comes_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer adds an agent with a long message between two pages: it is not of this restore."""
    for module in (stored, _restore):
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

    session.store.write(long_message("early"))
    restoration = Restoration(session.store.read_versioned(tables.restore.agents("s")))
    session.store.write(long_message("late"))
    while statements := restoration.wanted(tables, "s"):
        restoration.take(session.store.read(*statements))
    assert "early" in restoration.agents
    assert "late" not in restoration.agents


def test_a_window_that_no_number_can_hold_is_told_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page can't make sense of is left to the reader of windows, which says so."""
    for module in (stored, _restore):
        monkeypatch.setattr(module, "MESSAGES_AT_ONCE", 1)
    session = Session(tmp_path / "a.db", random.Random(1))
    message = {"message": {"role": "user", "content": []}, "message_id": 0, "redact_message": None, "created_at": "t"}
    session.store.write(
        [
            session.tables.agents.create("s", "odd", "[[0,1e999]]", "{}", new_revision=7),
            session.tables.messages.add("s", "odd", 0, json.dumps(message), revision=7),
        ]
    )
    agents, _, _ = session.restored("odd")
    assert agents["odd"].window == "[[0,1e999]]"
