"""The sections, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import costs, crowds, footprints, overlaps, requests, restores, slow_disk, soak, stalls, turns
from .run import Run

Section = Callable[[Run], list[dict[str, Any]]]

SECTIONS: dict[str, Section] = {
    "turns": turns.run,
    "restores": restores.run,
    "stalls": stalls.run,
    "soak": soak.run,
    "slow_disk": slow_disk.run,
    "overlaps": overlaps.run,
    "crowds": crowds.run,
    "costs": costs.run,
    "requests": requests.run,
    "footprints": footprints.run,
}
"""Each gives its records; a record names its contender."""
