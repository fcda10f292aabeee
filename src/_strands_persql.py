"""Where the command `strands-persql` begins. Ctrl-C ends it with one line from its first moment on.

This stands beside the package, because importing anything of the package imports Strands, which takes a while.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line, and leave the process with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has it ignored in the background
        signal.signal(signal.SIGINT, _interrupted)
    from strands_persql.cli import main as run

    run()


def _interrupted(*_: object) -> None:
    # An exception would be shown, or lost, where it meets an import.
    os.write(2, (b"\n" if os.isatty(2) else b"") + b"strands-persql: interrupted\n")
    os._exit(130)
