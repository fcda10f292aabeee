"""Forks with a local file open: nothing that a child or its parent was told is stored is lost, and nobody hangs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from strands_persql.client import PerSQL, _forks
from strands_persql.errors import PerSQLError
from tests.client.children import forked, heard, in_child

from ..systems import needs_fork
from ..thorough import tries

pytestmark = needs_fork
CHILDREN = tries(8, 20)


def stored(path: Path) -> set[str]:
    """What another process finds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute("SELECT a FROM t")}


@pytest.mark.slow
def test_children_and_their_parent_write_on(tmp_path: Path) -> None:
    """Forked amid the writes of the parent's threads, over two clients; ended by a close, by an exit and by a kill."""
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    path = tmp_path / "agents.db"
    client, second = PerSQL(local=path), PerSQL(local=path)
    database = client.database("acme/a")
    database.query("CREATE TABLE t (a TEXT PRIMARY KEY)")
    insert = "INSERT INTO t VALUES (?)"
    told: list[str] = []
    done = threading.Event()

    def write(name: str, own: PerSQL) -> None:
        number = 0
        while not done.is_set():
            own.database("acme/a").query(insert, [f"{name}.{number}"])
            told.append(f"{name}.{number}")
            number += 1

    threads = [threading.Thread(target=write, args=each) for each in (("one", client), ("two", second))]
    for thread in threads:
        thread.start()
    children: list[tuple[int, int]] = []
    for number in range(CHILDREN):
        end = chance.choice(["close", "exit", "kill"])

        def work(pipe: int, number: int = number, end: str = end) -> None:
            for row in range(3):
                database.query(insert, [f"child{number}.{row}"])
                os.write(pipe, f"child{number}.{row} ".encode())
            if end == "close":
                client.close()
            elif end == "kill":
                os.kill(os.getpid(), signal.SIGKILL)

        children.append(forked(work))
    done.set()
    for thread in threads:
        thread.join()
    client.close()  # while children write on
    said = [heard(*child).split() for child in children]
    second.close()
    assert [len(each) for each in said] == [3] * CHILDREN, said
    assert {*told, *(row for each in said for row in each)} == stored(path)


def test_a_child_outlives_its_parent(tmp_path: Path) -> None:
    """The parent's end, and a look from outside, take nothing away from the child."""
    path = tmp_path / "agents.db"
    go_on, gone = os.pipe()

    def parent(pipe: int) -> None:
        database = PerSQL(local=path).database("acme/a")
        database.query("CREATE TABLE t (a)")

        def child(_: int) -> None:
            os.close(gone)
            database.query("INSERT INTO t VALUES ('before')")
            os.write(pipe, b"forked ")
            os.read(go_on, 1)
            database.query("INSERT INTO t VALUES ('after')")
            os.write(pipe, b"stored")

        os.close(forked(child)[1])

    pid, reading = forked(parent)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        assert pipe.read(7) == "forked "
        assert stored(path) == {"before"}  # a look, which takes the log along if nobody seems to use it
        os.close(gone)
        assert pipe.read() == "stored"
    os.close(go_on)
    assert stored(path) == {"before", "after"}


def test_a_fork_waits_for_the_call_that_is_under_way(tmp_path: Path) -> None:
    """A child that is forked amid another thread's write can write as soon as that has ended."""
    with PerSQL(local=tmp_path / "agents.db") as client:
        database = client.database("acme/a")
        database.query("CREATE TABLE t (a)")
        begun, go_on = threading.Event(), threading.Event()

        def slowly(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            begun.set()
            assert go_on.wait(30)
            connection.execute("INSERT INTO t VALUES ('parent')")
            connection.execute("COMMIT")

        store = database._store  # type: ignore[union-attr]
        thread = threading.Thread(target=lambda: store.use(slowly))
        thread.start()
        assert begun.wait(30)
        threading.Timer(0.05, go_on.set).start()

        def work() -> str:
            database.query("INSERT INTO t VALUES ('child')")
            return str([row["a"] for row in database.query("SELECT a FROM t")["data"]])

        assert in_child(work) == "['parent', 'child']"
        thread.join()


def test_a_fork_amid_a_call_of_its_own_thread(tmp_path: Path) -> None:
    """As a signal handler may: the parent goes on, and the child is told, by each client of the file."""
    with PerSQL(local=tmp_path / "agents.db") as client:
        database = client.database("acme/a")
        store = database._store  # type: ignore[union-attr]

        def work() -> str:
            said: list[str] = []
            for each in (database, PerSQL(local=tmp_path / "agents.db").database("acme/a")):
                with pytest.raises(PerSQLError) as caught:
                    each.query("SELECT 1")
                said.append(str(caught.value))
            return "\n".join(said)

        said = store.use(lambda _: in_child(work))
        assert said.count("was open when this process was forked") == 2
        assert database.query("SELECT 1 AS one")["data"] == [{"one": 1}]


@pytest.mark.slow
def test_two_threads_that_fork(tmp_path: Path) -> None:
    """They take turns, and wait for nobody in a circle."""
    with PerSQL(local=f"{tmp_path}/") as client:
        databases = [client.database(f"acme/{name}") for name in "abcd"]
        said: list[str] = []

        def look(database: Any) -> str:
            return str(database.query("SELECT * FROM t")["data"])

        def fork() -> None:
            for database in databases:
                database.query("CREATE TABLE IF NOT EXISTS t (a)")
                said.append(in_child(partial(look, database)))

        threads = [threading.Thread(target=fork) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == ["[]"] * 8


def test_memory_stays_with_its_process() -> None:
    """A child is told so, and doesn't find an empty database."""
    with PerSQL(local=":memory:") as client:
        client.database("acme/a").query("CREATE TABLE t (a)")
        assert "forked" in in_child(lambda: str(client.database("acme/a").query("SELECT * FROM t")))
        assert in_child(lambda: str(client.database("acme/b").query("SELECT 1 AS one")["data"])) == "[{'one': 1}]"
        assert client.database("acme/a").query("SELECT * FROM t")["data"] == []


def test_nothing_is_kept_of_what_is_closed(tmp_path: Path) -> None:
    """What a fork closes is no longer known to it once its client is dropped."""
    database = PerSQL(local=tmp_path / "agents.db").database("acme/a")
    database.query("SELECT 1")
    store = database._store  # type: ignore[union-attr]
    assert store in _forks.closables()
    del database
    assert store not in _forks.closables()
