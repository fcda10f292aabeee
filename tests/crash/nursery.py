"""Forks the processes of a trial: `python -m tests.crash.nursery` reads tasks from its input, a line each.

A child is a process like any other: it has memory, threads, connections and a client of its own, and the kill is the
system's. It is forked from one that has imported everything, has no threads, and opens nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from .child import Task, live


class Nursery:
    """The process that forks, seen from the one that kills."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def start(self, task: Task) -> int:
        """Start a process; its id stays its own until `reap`."""
        return int(self._ask(json.dumps(dataclasses.asdict(task))))

    def reap(self) -> int:
        """Wait for the end of the process started last; its status, as `os.waitpid` gives it."""
        return int(self._ask("reap"))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery is gone")
        return answer


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    pid = 0
    for line in sys.stdin:
        if line.strip() == "reap":
            answers.write(f"{os.waitpid(pid, 0)[1]}\n")
            continue
        pid = os.fork()
        if pid:
            answers.write(f"{pid}\n")
            continue
        task = Task(**json.loads(line))
        answers.close()
        output = os.open(Path(task.diary).with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            live(task)
        finally:
            os._exit(0)


if __name__ == "__main__":
    _main()
