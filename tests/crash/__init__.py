"""Kills real processes in the midst of their work and looks at what their sessions restore: see `scripts/crash-test`.

- `child`: what a process does until it is killed: it restores a session, tells what it got, and runs turns.
- `nursery`: forks such processes, so that each costs milliseconds and not the import of Strands.
- `trial`: one session, killed again and again, with what it was said to hold.
- `checks`: what must be true of a history. Pure.
"""
