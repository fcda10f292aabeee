"""gunicorn with uvicorn's workers, and with threads: the app, its client and an agent are there before it forks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ...systems import needs_fork
from ..needed import needed
from .elsewhere import restored, said
from .servers import client_of, free_port, in_process, until

needed("gunicorn", "uvicorn", "flask")
pytestmark = needs_fork

APPS = "tests.ecosystem.frameworks.apps"
LONG = "And on. " * 2_000
"""A minute of words, where there is a pause after each."""


@dataclass
class Answer:
    """What a turn has come to.

    Attributes:
        pid: The worker that has answered.
        words: What it has said.
        kept: What its agent has, if the turn has come to its end.
        error: What it was refused with.
    """

    pid: int = 0
    words: list[str] = field(default_factory=list)
    kept: Any = None
    error: str = ""

    @property
    def text(self) -> str:
        """All words."""
        return "".join(self.words).strip()


@dataclass
class Served:
    """A server with several workers.

    Attributes:
        url: Its address.
        file: Where its sessions are.
    """

    url: str
    file: Path

    def worker(self) -> int:
        """The id of the worker that answers just now."""
        with client_of(self.url) as client:
            return int(client.get("/").json()["pid"])

    @contextlib.contextmanager
    def without(self, worker: int) -> Iterator[int]:
        """A worker is stopped meanwhile: another one answers; its id."""
        os.kill(worker, signal.SIGSTOP)
        try:
            yield self.worker()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)

    def turn(
        self,
        session: str,
        prompt: str,
        *,
        leave_after: int = 0,
        pause: float = 0.0,
        on_word: Callable[[Answer], object] = bool,
    ) -> Answer:
        """Ask, on a connection of its own, and read the answer to its end, or so many words of it."""
        answer = Answer()
        with (
            client_of(self.url) as client,
            client.stream("POST", f"/chats/{session}", json={"prompt": prompt}, params={"pause": pause}) as response,
        ):
            for line in filter(None, response.iter_lines()):
                data = json.loads(line.removeprefix("data: "))
                if isinstance(data, int):
                    answer.pid = data
                elif isinstance(data, str):
                    answer.words.append(data)
                    on_word(answer)
                    if len(answer.words) == leave_after:
                        break
                else:
                    answer.error = data.get("error", "")
                    answer.kept = None if answer.error else data
        return answer

    def answered(self, session: str, prompt: str) -> Answer:
        """The same until another worker doesn't write to the session any more."""
        found: Answer = until(lambda: answer if not (answer := self.turn(session, prompt)).error else None)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The streaming app, in two processes."""
    folder = tmp_path_factory.mktemp("gunicorn")
    port, file = free_port(), folder / "agents.db"
    arguments = ["-m", "gunicorn", "-w", "2", "-k", "uvicorn.workers.UvicornWorker", "--preload", "-b"]
    settings = {"SERVED_FILE": str(file), "SERVED_EARLY": "1", "HOME": str(folder)}  # it has a socket there
    command = [*arguments, f"127.0.0.1:{port}", "--graceful-timeout", "5", f"{APPS}:served"]
    with in_process(*command, log=folder / "log", port=port, **settings) as (url, _):
        yield Served(url, file)


def is_alive(worker: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return False
    return True


def test_turns_by_several_workers(served: Served) -> None:
    """Whichever worker answers goes on from what the last one has stored, in sessions that talk at the same time."""
    names = ["Ada", "Grace"]
    with ThreadPoolExecutor(2) as threads:
        first = list(threads.map(lambda name: served.turn(name, f"My name is {name}."), names))
        with served.without(first[0].pid) as other:
            second = list(threads.map(lambda name: served.turn(name, "What is my name?"), names))
        with served.without(other):
            third = list(threads.map(lambda name: served.turn(name, "What is my name?"), names))
    assert [answer.text for answer in second] == ["Your name is Ada.", "Your name is Grace."]
    assert {answer.pid for answer in second} == {other}
    for name, answer in zip(names, third, strict=True):
        assert len(answer.kept["messages"]) == 6
        assert restored(served.file, name) == answer.kept


def test_an_agent_from_before_the_fork(served: Served) -> None:
    """Each worker has it, one can go on with it, and the other is refused: nothing is overwritten."""
    with client_of(served.url) as client:
        first = client.post("/early", json={"prompt": "What is my name?"}).json()
    assert first["text"] == "Your name is Ada."
    with served.without(first["pid"]), client_of(served.url) as client:
        refused = client.post("/early", json={"prompt": "My name is Grace."})
    assert (refused.status_code, refused.json()["error"]) == (409, "SessionConflictError")
    assert restored(served.file, "early") == first["kept"]
    answer = served.turn("early", "What is my name?")  # an agent that is built for the request
    assert answer.text == "Your name is Ada."
    assert restored(served.file, "early") == answer.kept


def test_a_reader_who_leaves(served: Served) -> None:
    """The question stays; the next one is answered, by the other worker, while the first is wound up."""
    served.turn("left", "My name is Ada.")
    left = served.turn("left", LONG, leave_after=3, pause=0.02)
    assert len(left.words) == 3
    answer = served.answered("left", "What is my name?")
    assert answer.text == "Your name is Ada."
    assert restored(served.file, "left") == answer.kept
    texts = [text for _, text in said(served.file, "left")][2:]
    assert texts == [LONG.strip(), "What is my name?", "Your name is Ada."]


def test_a_worker_that_is_killed_in_mid_answer(served: Served) -> None:
    """Its question is there; another worker answers the next one."""
    served.turn("killed", "My name is Ada.")
    with pytest.raises(httpx.TransportError):
        served.turn("killed", LONG, pause=0.02, on_word=lambda answer: os.kill(answer.pid, signal.SIGKILL))
    answer = served.turn("killed", "What is my name?")
    assert answer.text == "Your name is Ada."
    assert len(answer.kept["messages"]) == 5
    assert restored(served.file, "killed") == answer.kept


def test_workers_that_are_replaced_between_turns(served: Served) -> None:
    """Both are ended, by their ids: those that come in their place go on."""
    first = served.turn("replaced", "My name is Ada.").pid
    with served.without(first) as second:
        os.kill(second, signal.SIGTERM)
        os.kill(first, signal.SIGTERM)
    until(lambda: not any(map(is_alive, (first, second))))  # until then they may take a request, and drop it
    answer = served.turn("replaced", "What is my name?")
    assert answer.text == "Your name is Ada."
    assert restored(served.file, "replaced") == answer.kept
