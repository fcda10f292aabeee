"""The command: `python -m benchmarks`, which `scripts/bench` runs in an environment of its own."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from . import report
from .contenders import ALL, missing
from .machine import machine
from .run import FULL, QUICK, Run
from .sections import SECTIONS
from .targets import targets

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "benchmark-results"


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, show it, and write it down."""
    options = _parser().parse_args(arguments)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    scale = QUICK if options.quick else FULL
    if options.history is not None:
        scale = dataclasses.replace(scale, histories=dict.fromkeys(options.history, 40))
    if options.size is not None:
        scale = dataclasses.replace(
            scale,
            restores=dict.fromkeys(options.size, 10),
            windows={40: 10, **dict.fromkeys([size for size in options.size if size > 40], 10)},
        )
    if options.rounds is not None:
        scale = dataclasses.replace(
            scale,
            histories=dict.fromkeys(scale.histories, options.rounds),
            restores=dict.fromkeys(scale.restores, options.rounds),
            windows=dict.fromkeys(scale.windows, options.rounds),
            stall_turns=options.rounds,
            soak_turns=options.rounds,
            slow_disk_turns=options.rounds,
            overlap_turns=options.rounds,
            crowds=dict.fromkeys(scale.crowds, options.rounds),
        )
    try:
        run = Run.of(scale, options.contenders, scenarios=options.scenario or ("plain", "tools", "eight"))
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    for name, lack in missing().items():
        if options.contenders is None:
            print(f"bench: {name} does not take part: it needs {lack}", file=sys.stderr)
    sections: dict[str, list[dict[str, Any]]] = {}
    described = machine()
    with run.cleaned():
        for name in options.only or SECTIONS:
            sections[name] = SECTIONS[name](run)
    results = {
        "machine": described,
        "scale": "quick" if options.quick else "full",
        "seconds": run.seconds(),
        "sections": sections,
        "targets": targets(sections),
    }
    report.show(results)
    for path in report.write(results, options.out):
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(each.name for each in ALL)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure this package beside no session manager, Strands' own and other packages'.",
        epilog=f"Sections: {', '.join(SECTIONS)}. Contenders: {names}.",
    )
    parser.add_argument("--quick", action="store_true", help="a minute or two instead of about ten")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), metavar="SECTION", help="this section; may be repeated"
    )
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, help="the folder of the results (default: %(default)s)"
    )
    parser.add_argument(
        "--contenders", type=lambda text: text.split(","), metavar="NAME,…", help="only these, and agents without"
    )
    parser.add_argument(
        "--scenario", action="append", choices=["plain", "tools", "eight"], help="these turns alone; may be repeated"
    )
    parser.add_argument("--history", type=_numbers, metavar="N,…", help="messages that stand before the turns")
    parser.add_argument("--size", type=_numbers, metavar="N,…", help="messages to restore")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measure")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
