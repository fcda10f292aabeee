"""The figures of the page on cost, measured anew: real turns over the emulator, and its bill."""

from __future__ import annotations

import re
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import RepositorySessionManager

from strands_persql import PerSQLSessionManager, PerSQLSessionRepository

from ...agents.agents import agent_of
from ...agents.harness import assistant, user
from ...agents.scripted import (
    ScriptedModel,
    redact_user,
    tools,
    use,
)
from ...emulator import Emulator
from .pages import DOCS

COST = (DOCS / "cost.md").read_text("utf-8")

THREE_TOOLS = tools(use("add", {"a": 1, "b": 2}), use("add", {"a": 3, "b": 4}), use("boom"))
STATE = tools(use("add", {"a": 1, "b": 2}), use("remember", {"key": "k", "value": 1}), use("boom"))
TURNS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "plain": (["two"], {}),
    "three tools in one step": ([THREE_TOOLS, "two"], {}),
    "three tools, one of which changes `agent.state`": ([STATE, "two"], {}),
    "plain, and the history is trimmed": (
        ["two"],
        {"conversation_manager": lambda: SlidingWindowConversationManager(window_size=2)},
    ),
    "plain, and a guardrail redacts the prompt": ([redact_user("[redacted]")], {}),
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table below a heading: first cell → the others."""
    section = COST.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")
    ]
    return {row[0]: row[1:] for row in rows[2:]}


async def bill(emulator: Emulator, make: Any, turn: str) -> tuple[int, int, float]:
    """Requests, rows written and dollars of one turn, past a session's first."""
    replies, options = TURNS[turn]
    agent = agent_of(ScriptedModel(["one", *replies]), **options)(make(emulator.database()))
    await agent.invoke_async("a")
    emulator.reset()
    await agent.invoke_async("b")
    return emulator.billing.requests, emulator.billing.rows_written, emulator.billing.dollars


def row(requests: int, written: int) -> list[str]:
    """How the page puts it: requests, rows written, dollars per million turns."""
    return [str(requests), str(written), f"${requests * 0.5 + written * 2:.2f}"]


@pytest.mark.parametrize("turn", TURNS)
async def test_turns(emulator: Emulator, turn: str) -> None:
    """Each kind of turn costs what the page says, under both ends of `durability`; rows read hardly count."""
    measured: list[str] = []
    for durability in ("message", "invocation"):

        def make(database: Any, durability: Any = durability) -> PerSQLSessionManager:
            return PerSQLSessionManager(f"session {durability}", database, durability=durability)

        requests, written, dollars = await bill(emulator, make, turn)
        measured += row(requests, written)
        assert round(dollars * 1e6 - (requests * 0.5 + written * 2), 6) <= 0.03
    assert table("A turn")[turn] == measured


async def test_the_repository(emulator: Emulator) -> None:
    """What the same turns cost with Strands' own session manager."""
    for turn in ("plain", "three tools in one step"):

        def make(database: Any, turn: str = turn) -> RepositorySessionManager:
            return RepositorySessionManager(f"session {turn}", PerSQLSessionRepository(database))

        requests, written, _ = await bill(emulator, make, turn)
        assert table("With Strands' own session manager")[turn] == row(requests, written)


@pytest.mark.slow
async def test_building(emulator: Emulator) -> None:
    """What an agent's constructor costs: in a new session, in a database's first one, in one with a long history."""
    rows = table("Building an agent")

    def build(session_id: str, messages: list[Any] | None = None) -> Any:
        window = lambda: SlidingWindowConversationManager(window_size=40)  # noqa: E731
        agent_for = agent_of(ScriptedModel(["one"]), messages=messages, conversation_manager=window)
        return agent_for(PerSQLSessionManager(session_id, emulator.database()))

    build("first")
    bill = emulator.billing
    assert rows["the first session of a database"] == [f"{bill.requests - 1} more, for the tables", "10", "0"]
    assert bill.rows_written == 10
    emulator.reset()
    agent = build("new")
    bill = emulator.billing
    assert rows["the agent of a new session"] == [str(bill.requests), str(bill.rows_written), str(bill.rows_read)]
    emulator.reset()
    await agent.invoke_async("a")
    bill = emulator.billing
    messages = 2
    requests, written = bill.requests - messages, bill.rows_written - messages
    assert rows["its first turn, besides its messages"] == [str(requests), str(written), "0"]

    owned = agent_of(ScriptedModel(["one"]))(PerSQLSessionManager("owned", emulator.database(), user="ada"))
    emulator.reset()
    await owned.invoke_async("a")
    (of_user,) = (row for name, row in rows.items() if "with a `user`" in name)
    assert of_user == [str(emulator.requests - messages), str(emulator.billing.rows_written - messages), "0"]

    history = [turn for number in range(500) for turn in (user(f"q{number}"), assistant(f"a{number}"))]
    await build("long", history).invoke_async("b")
    emulator.reset()
    assert len(build("long").messages) == 40
    bill = emulator.billing
    assert rows["restoring a session"] == [
        str(bill.requests),
        "0",
        f"those of the live window, and {bill.rows_read - 40}",
    ]
    assert f"A million restores of a 40-message window cost ${bill.dollars * 1e6:.2f}" in COST


def test_prices() -> None:
    """The prices are those that the emulator's bill is made with."""
    from ...emulator import billing

    prices = {name: float(re.sub(r"[^\d.]", "", cells[0])) for name, cells in table("Prices").items()}
    assert prices["requests"] == pytest.approx(billing.PRICE_OF_A_REQUEST * 1e6)
    assert prices["rows read"] == pytest.approx(billing.PRICE_OF_A_ROW_READ * 1e6)
    assert prices["rows written"] == pytest.approx(billing.PRICE_OF_A_ROW_WRITTEN * 1e6)
