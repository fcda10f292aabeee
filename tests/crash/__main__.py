"""The crash matrix: `python -m tests.crash --kills 500 --seed 7`; see `scripts/crash-test`."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from .nursery import Nursery
from .trial import Figures, Host, Local, Remote, Trial

KILLS_PER_SESSION = 10


def main() -> int:
    """Kill, look, and print the figures."""
    if not hasattr(os, "fork"):
        sys.exit(
            "scripts/crash-test forks the processes that it kills, which this system can't: run it on Linux or macOS"
        )
    parser = argparse.ArgumentParser(prog="scripts/crash-test", description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="processes to kill (default: 40)")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; the clock is not among them")
    parser.add_argument("--place", choices=["service", "file", "both"], default="both", help="the database")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which no session is begun")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}, {options.kills} kills", flush=True)
    choice = random.Random(seed)
    figures = Figures()
    began = time.monotonic()
    nursery = Nursery()  # before there are threads
    with tempfile.TemporaryDirectory(prefix="crash-test-") as folder, Host() as server:
        remote = Remote(server, choice.getrandbits(32))
        local = Local(Path(folder) / "sessions.db")
        try:
            number = 0
            while figures.kills < options.kills and figures.good and time.monotonic() - began < options.limit:
                number += 1
                chosen: dict[str, Remote | Local] = {"service": remote, "file": local}
                place = chosen.get(options.place) or (local if number % 4 == 0 else remote)
                trial = Trial(place, nursery, Path(folder), f"s{number}", choice.getrandbits(32), figures)
                trial.run(min(KILLS_PER_SESSION, options.kills - figures.kills))
        finally:
            nursery.close()
        figures.requests = len(remote.emulator.log)
        figures.faults.update(record.fault for record in remote.emulator.log if record.fault is not None)
    print(
        f"kills {figures.kills} ({figures.at_once} in the midst of a request), losses {figures.losses}, "
        f"doubles {figures.doubles}, orphans {figures.orphans}, other complaints {figures.other}"
    )
    print(
        f"sessions {number}, restores compared {figures.restores}, messages stored {figures.messages}, "
        f"requests {figures.requests}, faults {sum(figures.faults.values())}, "
        f"errors surfaced to agents of impatient clients {figures.surfaced}, "
        f"seconds {time.monotonic() - began:.0f}"
    )
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(figures.faults.items())))
    for complaint in figures.complaints[:10]:
        print(complaint[:4000])
    if figures.kills < options.kills and figures.good:
        print(f"out of time: {figures.kills} of {options.kills}")
    return 0 if figures.good and figures.kills >= options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
