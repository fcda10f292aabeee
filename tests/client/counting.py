"""One of several processes on a database: `python -m tests.client.counting OPTIONS NAME TIMES`.

It waits for a line on its input, then adds to a counter so many times, each time in one transaction.
"""

from __future__ import annotations

import json
import sys

from strands_persql import PerSQL


def main(options: str, name: str, times: str) -> None:
    """Count up when told to."""
    print("ready", flush=True)
    sys.stdin.readline()
    with PerSQL(**json.loads(options)) as client:
        db = client.database(name)
        for _ in range(int(times)):
            db.batch(
                [
                    {"sql": "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)"},
                    {"sql": "INSERT INTO counter VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1"},
                ],
                transaction=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
