# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql"]
# ///
"""A graph that survives the death of its process.

    python examples/graph.py

Three nodes in a row: research, check, write. A first process is killed while the second node runs, with no time to say
goodbye. A second process builds the same graph over the same session, and goes on with the second node: the first one's
result was stored when it finished.

The session manager belongs to the graph. Strands lets no node have one; its agents have `PerSQLHooks`, which keep every
node's conversation under its `agent_id`; what the dead process had begun to say is there too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from typing import Any

from strands import Agent
from strands.multiagent import GraphBuilder
from strands.multiagent.graph import Graph
from strands.types.content import Messages
from strands.types.streaming import StreamEvent

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

TASK = "the history of SQLite"


def main() -> None:
    """Let one process die in the graph, and another one finish it."""
    parser = argparse.ArgumentParser(description="A graph that survives the death of its process.")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    parser.add_argument("--die-in", metavar="NODE", help="run the graph alone, and die while this node runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        file = options.file or str(Path(temporary) / "graph.db")
        if options.die_in is None:
            command = [sys.executable, __file__, "--file", file, "--die-in", "check"]
            ended = subprocess.run(command, check=False)
            print(f"The first process is dead (exit code {ended.returncode}).")
        with PerSQL(local=file) as client:
            run(client.database("local/graph"), die_in=options.die_in)


def run(database: Database, *, die_in: str | None) -> None:
    """Build the graph over its session, run it, and print what it did."""
    with PerSQLSessionManager("report", database) as session, PerSQLHooks("report", database) as mirror:
        graph = build(session, mirror, die_in=die_in)
        done = sorted(node.node_id for node in graph.state.completed_nodes)
        print(f"Process {os.getpid()}: {', '.join(done) or 'nothing'} done so far.", flush=True)
        result = graph(TASK)
        print(f"Process {os.getpid()}: {result.status.value}.")
        for name, node in result.results.items():
            print(f"- {name}: {str(node.result).strip().splitlines()[0]}")
        for name in result.results:
            print(f"The conversation of {name!r}: {len(session.list_messages('report', name))} messages stored.")


def build(session: PerSQLSessionManager, mirror: PerSQLHooks, *, die_in: str | None) -> Graph:
    """Return the graph: every process builds the same one."""
    builder = GraphBuilder()
    names = ("research", "check", "write")
    for name in names:
        model = MortalModel() if name == die_in else OfflineModel()
        agent = Agent(model=model, name=name, agent_id=name, hooks=[mirror], callback_handler=None)
        builder.add_node(agent, name)
    for before, after in pairwise(names):
        builder.add_edge(before, after)
    builder.set_entry_point(names[0])
    builder.set_graph_id("report")
    builder.set_execution_timeout(60)
    builder.set_session_manager(session)
    return builder.build()


class MortalModel(OfflineModel):
    """Ends the process at its first call, as a crash or the kernel would: no cleanup, no last words."""

    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Die."""
        print(f"Process {os.getpid()}: killed in mid-run.", flush=True)
        os._exit(9)
        yield {}  # never reached; makes this an asynchronous generator like any other model's


if __name__ == "__main__":
    main()
