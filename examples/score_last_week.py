# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql", "strands-agents-evals"]
# ///
"""Scores what agents said last week, as it is stored: no agent is run again.

    python examples/score_last_week.py

Two users talk with an agent, whose sessions are stored. `PerSQLSessions.evaluation` makes cases of strands-evals of
all their prompts, one of its evaluators reads each stored answer, and a judge scores it. The judge here is scripted, so
that nothing needs a key: leave `model=` out, or name one, for a real one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from strands import Agent
from strands.types.content import Messages
from strands.types.streaming import StreamEvent
from strands_evals import Experiment
from strands_evals.evaluators import OutputEvaluator
from texts import text_of

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

RUBRIC = "The answer uses what the user has said, and doesn't just repeat it."


class ScriptedJudge(OfflineModel):
    """Fills in the form that the evaluator asks for: an answer that repeats the prompt gets half."""

    async def stream(
        self, messages: Messages, tool_specs: Any = None, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[StreamEvent, None]:
        """Call the one tool there is, which takes the scores."""
        repeats = "You said:" in text_of(messages[0])
        form = {
            "score": 0.5 if repeats else 1.0,
            "test_pass": not repeats,
            "reason": "It repeats the prompt." if repeats else "It uses what was said.",
        }
        yield {"messageStart": {"role": "assistant"}}
        start: Any = {"toolUse": {"toolUseId": "scores", "name": tool_specs[-1]["name"]}}
        yield {"contentBlockStart": {"start": start}}
        yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(form)}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use"}}


def main() -> None:
    """Talk, and score what was said."""
    parser = argparse.ArgumentParser(description="Scores the sessions of the last seven days.")
    parser.add_argument("--file", type=Path, help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=str(options.file or Path(temporary) / "agents.db")) as client,
    ):
        database = client.database("local/agents")
        talk(database)
        score(database)


def talk(database: Database) -> None:
    """Two users, two prompts each."""
    for user, prompts in {"ada": ("my name is Ada", "what is my name?"), "bob": ("hello", "what is my name?")}.items():
        manager = PerSQLSessionManager(user, database, user=user)
        agent = Agent(model=OfflineModel(), session_manager=manager, callback_handler=None)
        for prompt in prompts:
            agent(prompt)


def score(database: Database) -> None:
    """Score the last seven days."""
    week = datetime.now(timezone.utc) - timedelta(days=7)
    last_week = PerSQLSessions(database).evaluation(since=week)
    judge = OutputEvaluator(rubric=RUBRIC, model=ScriptedJudge(), include_inputs=True)
    report = Experiment(last_week.cases, [judge]).run_evaluations(last_week.replay)
    for case, points, reason in zip(last_week.cases, report.scores, report.reasons, strict=True):
        print(f"{points:.1f}  {case.name}  {case.input!r}: {reason}")
    print(
        f"{report.overall_score:.2f} of 1 for {len(last_week.cases)} prompts in {len(last_week.trajectories)} sessions"
    )


if __name__ == "__main__":
    main()
