"""Processes of Python that begin at once: forked from one that has imported Strands and this package already.

A fresh interpreter takes two seconds to import them, and the tests start many. `python()` stands in for
`[sys.executable]` at the beginning of a command: a small program that hands its arguments, folder, environment and
streams to the process that forks, waits for the child, and ends as it does. The child is a process like any other: its
memory, threads, connections and exit are its own. `kill` kills it. A test that looks at what is imported starts a fresh
interpreter.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = (
    "fastapi",
    "strands.multiagent",
    "strands_persql.cli",
    "strands_persql.testing",
    "tests.agents.agents",
    "tests.emulator",
    *os.environ.get("STRANDS_PERSQL_PRELOADED", "").split(),  # what else a suite has its processes import
)

KILLED = -signal.SIGKILL if os.name == "posix" else 1
"""The exit code of a process that was killed."""

_kept: list[tuple[tempfile.TemporaryDirectory[str], subprocess.Popen[bytes]]] = []


@functools.cache
def python() -> list[str]:
    """The beginning of a command that runs Python with `-c`, `-m` or a script."""
    if sys.platform != "linux":  # macOS may end a forked child that goes on with what Strands has imported
        return [sys.executable]
    folder = tempfile.TemporaryDirectory(prefix="persql-tests-")
    address = os.path.join(folder.name, "socket")
    command = [sys.executable, "-m", "tests.processes", "fork", address]
    forking = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    _kept.append((folder, forking))
    assert forking.stdout is not None
    if not forking.stdout.read(1):
        raise RuntimeError("the process that forks could not begin")
    return [sys.executable, "-I", "-S", __file__, "run", address]


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill the child that was begun by such a command and has spoken already, and wait until it is dead."""
    if _kept:
        process.send_signal(signal.SIGUSR1)
    else:
        process.kill()
    process.wait(timeout=60)


def close() -> None:
    """End the process that forks, where there is one."""
    while _kept:
        folder, forking = _kept.pop()
        forking.communicate()
        folder.cleanup()
    python.cache_clear()


def _run(address: str, arguments: list[str]) -> int:
    """Have a command run by a child of the process that forks, and end as the child does."""
    passed_on = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGTERM, signal.SIGUSR1: signal.SIGKILL}
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # until it is known whom to pass them on to
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode() + b"\n")
        with connection.makefile() as told:
            child = int(told.readline())
            for number in passed_on:
                signal.signal(number, lambda number, _: os.kill(child, passed_on[signal.Signals(number)]))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
            # Whoever reads these streams to their end waits for the child alone.
            for stream in range(3):
                with contextlib.suppress(OSError):
                    os.close(stream)
            code = int(told.readline())
    if code < 0:
        with contextlib.suppress(OSError):  # of SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _fork(address: str) -> dict[str, Any] | None:
    """Fork a child for each command. Returns the command in the child, and None when there will be no more."""
    for name in PRELOADED:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    gc.freeze()  # else each child's collector copies what is shared by touching it
    waiting: dict[int, socket.socket] = {}
    ended, end = os.pipe()
    os.set_blocking(end, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(end)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        for source in (0, ended, listener):
            selector.register(source, selectors.EVENT_READ)
        os.write(1, b".")
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if ended in ready:
                os.read(ended, 1000)
                _tell(waiting)
            if listener.fileno() in ready:
                connection, _ = listener.accept()
                _, streams, _, _ = socket.recv_fds(connection, 1, 3)
                with connection.makefile() as told:
                    wanted: dict[str, Any] = json.loads(told.readline())
                child = os.fork()
                if child == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    for descriptor in (*streams, ended, end):
                        os.close(descriptor)
                    for other in (connection, *waiting.values()):
                        other.close()
                    return wanted
                for stream in streams:
                    os.close(stream)
                waiting[child] = connection
                connection.sendall(b"%d\n" % child)
            if 0 in ready:
                return None


def _tell(waiting: dict[int, socket.socket]) -> None:
    """Tell how each child ended that has."""
    while waiting:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        with waiting.pop(child) as connection, contextlib.suppress(OSError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be what a fresh interpreter would be with these arguments."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # The streams that were there are of what the descriptors were before.
    encoding = environment.get("PYTHONIOENCODING", sys.stdout.encoding)
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    option, *others = arguments
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    if option == "-c":
        sys.path[0], sys.argv = "", ["-c", *others[1:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(others[0], "<string>", "exec"), main.__dict__)
    elif option == "-m":
        sys.path[0], sys.argv = folder, others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(option)), arguments
        runpy.run_path(option, run_name="__main__")


if __name__ == "__main__":
    what, place, *rest = sys.argv[1:]
    if what == "run":
        sys.exit(_run(place, rest))
    command_of_child = _fork(place)
    if command_of_child is not None:
        _become(**command_of_child)
