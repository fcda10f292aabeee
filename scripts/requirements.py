"""Print a dependency group of pyproject.toml, a requirement a line, as `pip install -r` takes it.

    python scripts/requirements.py test

pip knows `--group` from 25.1 on, and no Python brings so new a one along.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(groups: dict[str, list[Any]], name: str) -> Iterator[str]:
    """The requirements of a group, and of those that it includes (PEP 735)."""
    for each in groups[name]:
        if isinstance(each, str):
            yield each
        else:
            yield from requirements(groups, each["include-group"])


def toml() -> Any:
    """A reader of TOML: Python's own from 3.11 on, else the one that nox or pip brings along."""
    for name in ("tomllib", "tomli", "pip._vendor.tomli"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise SystemExit("requirements.py: this Python reads no TOML; take a newer one, or one that has pip")


if __name__ == "__main__":
    found = toml().loads(PYPROJECT.read_text(encoding="utf-8"))["dependency-groups"]
    print(*dict.fromkeys(requirements(found, sys.argv[1])), sep="\n")
