"""strands-agents-evals: an experiment whose agents have sessions, and the cases made of what was stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from strands import Agent, tool

from strands_persql import PerSQLSessionManager, PerSQLSessions
from strands_persql.client import Database

from ..needed import needed
from .elsewhere import check
from .models import ObedientModel, use

needed("strands_evals")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_an_experiment(database: Database, file: Path) -> None:
    """Each case is a session, several run at once, and what the evaluators are given is what another process reads."""
    from strands_evals import Case, Experiment
    from strands_evals.evaluators.deterministic import Contains, ToolCalled

    agents: dict[str, Agent] = {}

    async def task(case: Case[str, str]) -> Any:
        manager = await PerSQLSessionManager.open(case.session_id, database)
        async with manager:
            agent = Agent(model=ObedientModel(), tools=[add], session_manager=manager, callback_handler=None)
            await agent.invoke_async(case.input)
            agents[case.session_id] = agent
        stored = PerSQLSessions(database).evaluation(case.session_id)
        return {"output": str(agent.messages[-1]["content"][0]["text"]), "trajectory": stored.trajectories[0]}

    cases = [Case(name=f"case {number}", input=use("add", a=number, b=1)) for number in range(6)]
    experiment = Experiment(cases=cases, evaluators=[Contains(value="Done"), ToolCalled(tool_name="add")])
    report = asyncio.run(experiment.run_evaluations_async(task, max_workers=3))
    assert report.scores == [1.0] * 12
    for session_id, agent in list(agents.items())[:2]:
        check(agent, file, session_id)
