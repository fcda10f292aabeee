"""The command line, `strands-persql`: sessions listed, read, searched, moved, erased. Needs the extra `cli`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, and leave the process with its exit code."""
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "click", "shellingham", "markdown_it"):
            raise
        sys.exit(
            f"strands-persql: {error.name} is missing; install the extra: pip install 'strands-persql[cli]' "
            "(uvx --from 'strands-persql[cli]' strands-persql; pipx run --spec 'strands-persql[cli]' strands-persql)"
        )
    sys.exit(run())
