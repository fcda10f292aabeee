"""A process that runs a graph until its second node, and then dies as a killed one does: run by test_multiagent.py."""

from __future__ import annotations

import os
import sys

from strands_persql import PerSQL, PerSQLSessionManager

from .harness import DATABASE, SESSION
from .scripted import ScriptedModel, text
from .test_multiagent import LINE, graph_of


def main(path: str) -> None:
    manager = PerSQLSessionManager(SESSION, PerSQL(local=path).database(DATABASE))
    models = {
        "a": ScriptedModel(["a one"]),
        "b": ScriptedModel([text("never", before=lambda: os._exit(9))]),
        "c": ScriptedModel(),
    }
    graph_of(models, LINE)(manager)("task")


if __name__ == "__main__":
    main(sys.argv[1])
