"""The example for Flask, by its own server and by gunicorn with threads, for users who talk at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from ...processes import ROOT
from ...systems import needs_fork
from ..needed import needed
from .elsewhere import said
from .servers import client_of, free_port, in_process

needed("flask", "gunicorn")
pytestmark = needs_fork


@dataclass
class Served:
    """A server.

    Attributes:
        url: Its address.
        file: Where its sessions are.
        processes: How many processes it has.
    """

    url: str
    file: Path
    processes: int

    def say(self, user: str, text: str) -> tuple[int, str]:
        """The status, and the answer."""
        with client_of(self.url) as client:
            response = client.post(f"/users/{user}/messages", json={"text": text})
        return response.status_code, response.json().get("text", "")


@pytest.fixture(scope="module", params=["its own server", "gunicorn with threads"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The example's server, and two processes of four threads each whose client was there before they were forked."""
    folder = tmp_path_factory.mktemp("flask")
    port, file = free_port(), folder / "agents.db"
    if request.param == "its own server":
        command, processes = [str(ROOT / "examples" / "flask_app.py"), "--serve", "--port", str(port)], 1
        command += ["--file", str(file)]
    else:
        app = "tests.ecosystem.frameworks.apps:flask_example()"
        command, processes = ["-m", "gunicorn", "-w", "2", "-k", "gthread", "--threads", "4", "--preload", app], 2
        command += ["-b", f"127.0.0.1:{port}", "--graceful-timeout", "5"]
    settings = {"SERVED_FILE": str(file), "HOME": str(folder)}  # where gunicorn has a socket
    with in_process(*command, log=folder / "log", port=port, **settings) as (url, _):
        yield Served(url, file, processes)


def test_users_at_once(served: Served) -> None:
    """Each has a session; its requests may be answered by any thread, of any process."""
    users = ["Ada", "Grace", "Barbara", "Margaret"]

    def talk(user: str) -> list[tuple[int, str]]:
        return [served.say(user, text) for text in (f"My name is {user}.", "What is my name?")]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(talk, users))
    for user, answer in zip(users, answers, strict=True):
        assert answer == [(200, f"Nice to meet you, {user}."), (200, f"Your name is {user}.")]
        told = [f"My name is {user}.", answer[0][1], "What is my name?", answer[1][1]]
        assert [text for _, text in said(served.file, user)] == told


def test_one_session_at_once(served: Served) -> None:
    """Within a process they wait for each other; of two processes one is refused. What was answered is stored, once."""
    texts = [f"number {number}" for number in range(12)]
    with ThreadPoolExecutor(6) as threads:
        answers = dict(zip(texts, threads.map(lambda text: served.say("one", text), texts), strict=True))
    statuses = {status for status, _ in answers.values()}
    assert statuses <= ({200} if served.processes == 1 else {200, 409})
    assert 200 in statuses
    stored = [text for _, text in said(served.file, "one")]
    assert max(Counter(stored).values()) == 1
    for text, (status, answer) in answers.items():
        if status == 200:
            assert answer == f"You said: {text}"
            assert stored.index(answer) > stored.index(text)
        else:
            assert f"You said: {text}" not in stored
    assert served.say("one", "My name is Ada.") == (200, "Nice to meet you, Ada.")
    assert said(served.file, "one")[-1] == ("assistant", "Nice to meet you, Ada.")
