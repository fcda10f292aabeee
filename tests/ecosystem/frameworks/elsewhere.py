"""What another process finds of a session, to compare with the agent that is alive in this one.

python -m tests.ecosystem.frameworks.elsewhere FILE SESSION_ID AGENT_ID MODULE FUNCTION
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strands import Agent
from strands.types.session import encode_bytes_values

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.testing import OfflineModel

from ...processes import ROOT, python

DATABASE = "acme/agents"


def plain(manager: PerSQLSessionManager, agent_id: str) -> Agent:
    """An agent of Strands as it comes."""
    return Agent(model=OfflineModel(), agent_id=agent_id, session_manager=manager, callback_handler=None)


def kept(agent: Agent) -> Any:
    """All that a restart has to keep of an agent, as JSON has it."""
    parts = {
        "messages": agent.messages,
        "state": agent.state.get(),
        "conversation manager": agent.conversation_manager.get_state(),
    }
    return json.loads(json.dumps(encode_bytes_values(parts)))


def restored(
    file: Path,
    session_id: str,
    agent_id: str = "default",
    build: Callable[[PerSQLSessionManager, str], Agent] = plain,
) -> Any:
    """The same of the agent that another process builds over the session."""
    arguments = [str(file), session_id, agent_id, build.__module__, build.__name__]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    found = subprocess.run(
        [*python(), "-m", __name__, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr.decode()
    return json.loads(found.stdout)


def check(
    agent: Agent, file: Path, session_id: str, build: Callable[[PerSQLSessionManager, str], Agent] = plain
) -> None:
    """Another process finds what this one has.

    Args:
        agent: The one that is alive.
        file: The database's.
        session_id: Its session.
        build: A function of a module that builds an agent like it.

    Raises:
        AssertionError: It finds something else.
    """
    assert restored(file, session_id, agent.agent_id, build) == kept(agent)


def said(file: Path, session_id: str, agent_id: str = "default") -> list[tuple[str, str]]:
    """The roles and texts of the messages that another process restores."""
    return [
        (message["role"], "".join(block.get("text", "") for block in message["content"]).strip())
        for message in restored(file, session_id, agent_id)["messages"]
    ]


def main(path: str, session_id: str, agent_id: str, module: str, function: str) -> None:
    """Print what is found."""
    build = getattr(importlib.import_module(module if module != __spec__.name else "__main__"), function)
    with PerSQL(local=path) as client:
        print(json.dumps(kept(build(PerSQLSessionManager(session_id, client.database(DATABASE)), agent_id))))


if __name__ == "__main__":
    main(*sys.argv[1:])
