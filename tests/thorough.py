"""How often randomised tests try: a few times, so that a run of all tests is soon over, or as often as before a merge.

`STRANDS_PERSQL_THOROUGH=1` asks for the latter, as `.ci/run` does.
"""

from __future__ import annotations

import os

THOROUGH = os.environ.get("STRANDS_PERSQL_THOROUGH", "") not in ("", "0")


def tries(few: int, many: int) -> int:
    """The one number, or with `STRANDS_PERSQL_THOROUGH` the other."""
    return many if THOROUGH else few
