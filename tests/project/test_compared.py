"""The README's table of session managers: what it says of Strands' own, and of ours, is what they do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import strands.session
from strands import Agent
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import FileSessionManager

from strands_persql import PerSQL, PerSQLSessionManager
from strands_persql.testing import OfflineModel

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
OURS, FILES, SNAPSHOTS = "strands-persql", "File, S3", "Snapshot"


def table() -> dict[str, dict[str, str]]:
    """The README's table: what each line says of each column."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", README, re.M)]
    heading = next(number for number, row in enumerate(rows) if OURS in row)
    return {row[0]: dict(zip(rows[heading][1:], row[1:], strict=True)) for row in rows[heading + 2 :]}


class Plain:
    """A database as any other library has one: it may be slow, so nothing is written on the loop's thread."""

    def __init__(self, database: Any) -> None:
        self.query, self.batch = database.query, database.batch


class Store:
    """One session manager's store in a folder, whose writes can be made to fail, and whose threads are noted."""

    def __init__(self, kind: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.kind, self.folder, self.fails = kind, folder, False
        self.refused = 0
        self.threads: set[int] = set()
        if kind == OURS:
            self.database = self._watched(Plain(PerSQL(local=":memory:").database("acme/agents")), "batch")
        elif kind == SNAPSHOTS:
            self.storage = self._watched(self._folder_storage(), "write")
        else:
            patch.setattr(FileSessionManager, "_write_file", self._noted(FileSessionManager._write_file))

    def _folder_storage(self) -> Any:
        if not hasattr(strands.session, "SnapshotSessionManager"):
            pytest.skip("this release of Strands has no SnapshotSessionManager")
        from strands.storage import LocalFileStorage

        return LocalFileStorage(str(self.folder))

    def _watched(self, store: Any, method: str) -> Any:
        setattr(store, method, self._noted(getattr(store, method)))
        return store

    def _noted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.threads.add(threading.get_ident())
            if self.fails:
                self.refused += 1
                raise ConnectionError("the store is down")
            return write(*args, **kwargs)

        return noted

    def agent(self, **options: Any) -> Agent:
        """An agent over the session, as another process builds it."""
        manager: Any
        if self.kind == OURS:
            manager = PerSQLSessionManager("s", self.database)
        elif self.kind == SNAPSHOTS:
            manager = strands.session.SnapshotSessionManager("s", storage=self.storage)
        else:
            manager = FileSessionManager("s", storage_dir=str(self.folder))
        return Agent(model=OfflineModel(), session_manager=manager, callback_handler=None, **options)


@pytest.fixture(params=[OURS, FILES, SNAPSHOTS])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of each column that needs nothing but Strands."""
    return Store(request.param, tmp_path, monkeypatch)


def texts(agent: Agent) -> list[str]:
    """What an agent's messages say."""
    return [block["text"] for message in agent.messages for block in message["content"]]


def test_edits_survive_a_restart(store: Store) -> None:
    """A message that was changed in the history is restored so."""
    agent = store.agent()
    agent("My name is Ada.")
    agent.messages[0]["content"] = [{"text": "My name is Grace."}]
    agent("Thank you.")
    survive = texts(store.agent())[0] == "My name is Grace."
    assert survive == (table()["pins, summaries, edits survive a restart"][store.kind] == "yes")


def test_the_transcript_outlives_the_window(store: Store) -> None:
    """A message that the window has let go is still stored."""
    agent = store.agent(conversation_manager=SlidingWindowConversationManager(window_size=2))
    for number in range(3):
        agent(f"Question {number}")
    manager: Any = agent._session_manager
    if store.kind == SNAPSHOTS:
        kept = "Question 0" in "".join(path.read_text("utf-8") for path in store.folder.rglob("*") if path.is_file())
    else:
        read = manager.session_repository.list_messages("s", "default")
        kept = any("Question 0" in str(stored.message) for stored in read)
    assert kept == (table()["the transcript outlives the window"][store.kind] == "yes")


def test_a_failed_write_is_stored_later(store: Store) -> None:
    """What could not be stored in one turn is stored by the next."""
    agent = store.agent()
    agent("Good morning.")
    store.fails = True
    with contextlib.suppress(Exception):
        agent("My name is Ada.")
    assert store.refused
    store.fails = False
    agent("Thank you.")
    stored = "My name is Ada." in texts(store.agent())
    said = table()["a failed write is stored later"][store.kind]
    assert stored == (said in ("yes", "next save"))


def test_a_second_writer_is_noticed(store: Store) -> None:
    """The later of two agents that were built alike gets an error."""
    first, second = store.agent(), store.agent()
    first("My name is Ada.")
    try:
        second("My name is Grace.")
        noticed = False
    except Exception:
        noticed = True
    assert noticed == (table()["a second writer is noticed"][store.kind] == "yes")


def test_the_loop_stays_free(store: Store) -> None:
    """No write is made on the loop's own thread, over a store that may be slow."""
    agent = store.agent()
    store.threads.clear()
    asyncio.run(agent.invoke_async("My name is Ada."))
    assert store.threads
    free = threading.get_ident() not in store.threads
    said = table()["the event loop stays free while it writes"][store.kind]
    if said != "partly":  # the snapshot is made on the loop, and the storage chooses its thread
        assert free == (said == "yes")
