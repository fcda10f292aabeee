"""The package on other systems, as far as one can pretend: what Windows lacks is taken away, as macOS does is done."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..systems import needs_fork

POOR = """
import importlib, os, signal, sys, warnings
import strands, typer, rich.progress, uvicorn  # which have their own roads for Windows

for module in ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[module] = None
for module, names in {
    os: "O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK WNOHANG chown fchmod fchown fork forkpty getegid geteuid "
    "getgid getloadavg getpgid getuid killpg lchown mkfifo mknod pathconf pread pwrite register_at_fork "
    "sched_getaffinity setsid setuid statvfs sysconf uname wait waitpid",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 alarm pthread_kill pthread_sigmask sigwait",
}.items():
    for name in names.split():
        delattr(module, name)


def link(*_, **__):
    raise OSError("no hard links on this file system")


os.link = link
warnings.filterwarnings("error", category=EncodingWarning)

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions
from strands_persql.cli._app import run
from strands_persql.testing import OfflineModel
from strands_persql.web import sessions_app
from strands_persql.web.pages import pages_app

folder, words = sys.argv[1], "My name is Zo\\u00eb \\u65e5\\u672c"
for _ in range(2):
    with PerSQL(local=f"{folder}/all/") as client:
        database = client.database("con/a")
        agent = strands.Agent(
            model=OfflineModel(), session_manager=PerSQLSessionManager("s", database), callback_handler=None
        )
        agent(words)
        pages_app(database)
        sessions = PerSQLSessions(database)
        for target in (f"{folder}/lines.jsonl", f"{folder}/files{len(agent.messages)}"):
            sessions.export("s", target)
        sessions.backup(f"{folder}/copies/copy.db")
assert len(agent.messages) == 4
assert agent.messages[2]["content"] == [{"text": words}]
options = ("--local", f"{folder}/again.db")
for command in (
    ("import", f"{folder}/lines.jsonl"), ("sessions",), ("show", "s"), ("show", "s", "--html", f"{folder}/page.html"),
    ("doctor",), ("show", "s", "--json"), ("export", "s", "-"), ("--help",),
):
    assert run([*command, *(options if command[0] != "--help" else ())]) == 0, command
"""


@pytest.mark.slow
def test_without_what_posix_has(tmp_path: Path) -> None:
    """Agents, copies, exports, the command line and the web: with none of it, no hard links, and ASCII for a locale."""
    poor = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ended = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", POOR, str(tmp_path)],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | poor,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode("utf-8", "replace")
    assert (tmp_path / "all" / "%63on.a.db").exists()
    assert "Zoë 日本" in (tmp_path / "page.html").read_text("utf-8")
    assert rb"Zo\xeb \u65e5\u672c" in ended.stdout, "what the terminal can't show"
    assert '"My name is Zoë 日本"'.encode() in ended.stdout, "what is UTF-8 whatever the terminal"


FORKED = """
import os, sys, urllib.request
import strands

forked = False


def asked(answer):
    if forked:
        os.abort()  # as the system does
    return answer


urllib.request.getproxies = lambda: asked({"https": "http://proxy.example:3128"})
urllib.request.proxy_bypass = lambda host: asked(host == "direct.example")
urllib.request.getproxies_environment = dict
sys.platform = "darwin"
from strands_persql import PerSQL
from strands_persql.client._environment import proxies

clients = [PerSQL("psql_test_x", base_url=f"https://{name}.example") for name in ("service", "direct")]
child = os.fork()
if child == 0:
    forked = True
    clients.append(PerSQL("psql_test_x", base_url="https://late.example"))
    found = [proxies.of(client._place.base_url) for client in clients]
    os._exit(0 if found == ["http://proxy.example:3128", None, None] else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@needs_fork
def test_a_forked_child_does_not_ask_macos_for_proxies() -> None:
    """It goes by what its parent has found right before, whatever client it was that made no request."""
    ended = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_every_help_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the code page of the console lacks."""
    from strands_persql.cli._app import COMMANDS, run

    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        for command in ("", *COMMANDS):
            assert run([*command.split(), "--help"]) == 0
        out.flush()
        monkeypatch.undo()
