"""One of several processes on a session: `python -m tests.agents.remote.process URL TOKEN DATABASE PROMPT`.

It restores the session, says so, waits for a line on its input, runs a turn, and tells as JSON how that ended.
"""

from __future__ import annotations

import json
import sys

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError

from ..agents import agent_of
from ..harness import SESSION, words_of
from ..scripted import ScriptedModel


def main(url: str, token: str, database: str, prompt: str) -> None:
    """Run one turn when told to."""
    with PerSQL(token, base_url=url) as client:
        manager = PerSQLSessionManager(SESSION, client.database(database))
        agent = agent_of(ScriptedModel([f"answer to {prompt}"]))(manager)
        print("ready", flush=True)
        sys.stdin.readline()
        outcome: dict[str, object] = {"conflict": None}
        try:
            agent(prompt)
        except SessionConflictError as error:
            outcome = {"conflict": str(error), "message_id": error.message_id}
        print(json.dumps({**outcome, "words": words_of(agent.messages)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
