"""The tests over all supported Strands releases and Pythons: `nox -s "tests(strands='1.42.0')"`, `nox -s pythons`.

Each session installs the project as users get it, as a wheel. uv makes the environments where it is on the machine.
"""

from __future__ import annotations

import subprocess
import sys

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "check"]

# The oldest supported release; each that changed something a session manager depends on, with the last one before it
# where that matters; the newest one there is. Their own requirements keep them importable (mcp below 2 up to 1.54,
# for one), so nothing is pinned here beside them; a release that needs more some day gets it in PINS.
RELEASES = [
    "1.42.0",  # the oldest: what Strands' SessionManager was for long
    "1.43.0",  # HookOrder, BeforeInvocationEvent.cancel, interventions
    "1.47.0",  # tracking ids, bytes in interrupt state
    "1.48.0",
    "1.51.0",  # Before/AfterToolsEvent
    "1.52.0",  # interrupt state moves to pending_tool_execution
    "1.54.0",  # agent.session_id
    "1.55.0",  # background tasks: a message is added twice
    "1.56.0",  # the events of BidiAgent go
    "1.58.0",  # MessageUpdatedEvent, strands.bidi
    "1.60.0",
    "1.62.0",
    "newest",
]
PINS: dict[str, list[str]] = {}

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def of_group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return subprocess.check_output([sys.executable, "scripts/requirements.py", name], text=True).splitlines()


@nox.session
@nox.parametrize("strands", RELEASES)
def tests(session: nox.Session, strands: str) -> None:
    """Run the tests on one Strands release."""
    release = [] if strands == "newest" else [f"strands-agents=={strands}", *PINS.get(strands, [])]
    session.install(".[cli,web]", *of_group("test"), *release)
    # An older release skips the snapshots of newer ones.
    unused = ["--snapshot-warn-unused"] if release else []
    session.run("pytest", "-q", "-n", "auto", "--dist", "worksteal", *unused, *session.posargs)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the tests on one Python, with the newest Strands."""
    session.install(".[cli,web]", *of_group("test"))
    session.run("pytest", "-q", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """Run scripts/check, which makes its own environments."""
    session.run("scripts/check", external=True)
