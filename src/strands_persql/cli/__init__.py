"""The command line, `strands-persql`: sessions listed, read, searched, moved, erased. Needs the extra `cli`."""

from __future__ import annotations

import signal
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
    before = signal.getsignal(signal.SIGINT)
    if callable(before):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a command undoes what it has begun
    code = run()
    signal.signal(signal.SIGINT, before)
    sys.exit(code)
