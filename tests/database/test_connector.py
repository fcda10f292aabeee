"""What a database handle may answer: another shape than was asked for is an error of the database, whoever asks."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest
from strands import Agent

from strands_persql import (
    PerSQLError,
    PerSQLMemoryStore,
    PerSQLSessionManager,
    PerSQLSessionRepository,
    PerSQLSessions,
    PerSQLStorage,
    SessionDataError,
)

from ..agents.features import needs
from ..agents.scripted import ScriptedModel


class Handle:
    """A database that answers each statement of a batch in the same wrong way."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self._answer = answer

    def query(self, sql: str, params: Any = ()) -> Any:
        """One of its answers."""
        return self._answer(1)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """Its answers."""
        return self._answer(len(statements))


def rows(*found: Any) -> Callable[[int], Any]:
    return lambda count: [{"data": list(found)}] * count


SHAPES: dict[str, Callable[[int], Any]] = {
    "nothing": lambda count: None,
    "text": lambda count: "x",
    "an object": lambda count: {"data": None},
    "another object": lambda count: {"rows": []},
    "one too few": lambda count: [{"data": []}] * (count - 1),
    "one too many": lambda count: [{"data": []}] * (count + 1),
    "no data": lambda count: [{"rows": []}] * count,
    "data is none": lambda count: [{"data": None}] * count,
    "rows are numbers": rows(1),
    "rows are lists": rows([1]),
    "another column": rows({"a": 1}),
    "a column of no name": rows({None: 1}),
    "numbers that are none": rows({"version": "x", "revision": float("inf"), "agent_id": 1, "data": 5, "count": None}),
    "a version as text": lambda count: [{"data": [{"version": "TOPSECRET"}]}] + [{"data": []}] * (count - 1),
}

DOORS: dict[str, Callable[[Any], Any]] = {
    "manager": lambda db: Agent(model=ScriptedModel(), session_manager=PerSQLSessionManager("s", db)),
    "repository": lambda db: PerSQLSessionRepository(db).read_session("s"),
    "sessions": lambda db: PerSQLSessions(db).list(),
    "usage": lambda db: PerSQLSessions(db).usage("s"),
    "transcript": lambda db: list(PerSQLSessions(db).transcript("s")),
    "storage": lambda db: asyncio.run(PerSQLStorage(db).read("k")),
    "memory": lambda db: asyncio.run(PerSQLMemoryStore(db, name="facts").search("word")),
}


NEEDS = {
    "storage": needs(importlib.util.find_spec("strands.storage") is not None, "storages"),
    "memory": needs(importlib.util.find_spec("strands.memory") is not None, "memory stores"),
}


@pytest.mark.parametrize("door", [pytest.param(door, marks=NEEDS.get(door, ())) for door in DOORS])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_of_another_shape(shape: str, door: str) -> None:
    """Never a bare error of Python's; what it says holds nothing of the answer."""
    with pytest.raises(Exception) as caught:
        DOORS[door](Handle(SHAPES[shape]))
    error = caught.value.__cause__ if door == "storage" else caught.value
    assert isinstance(error, (PerSQLError, SessionDataError)), repr(error)
    assert re.search("another shape|can't be read", str(error)) and "TOPSECRET" not in str(error)
