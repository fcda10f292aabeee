"""Random hostile input: a clear error of this package's each time, no crash, and nothing else changed."""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

import strands_persql
from strands_persql import PerSQLError, PerSQLSessionManager, PerSQLSessionRepository, SessionDataError

from ...systems import needs_linux
from ...thorough import tries
from ..agents import agent_of
from ..harness import SESSION
from ..scripted import ScriptedModel, tools, use
from .places import Remote
from .test_rivals import graph_of

INPUTS = int(os.environ.get("STRANDS_PERSQL_INPUTS", tries(60, 300)))
SEED = int(os.environ.get("STRANDS_PERSQL_SEED", "0")) or random.SystemRandom().getrandbits(32)
PACKAGE = str(Path(strands_persql.__file__).parent)
TABLES = ("sessions", "agents", "messages", "multi_agents", "chunks")

Rows = dict[str, list[tuple[Any, ...]]]

PIECES = [
    "a", "0", " ", "\x00", "\n", "'", '"', "`", ";", "--", "/*", "%", "_", "\\", "/", "..", "🦜", "\u202e", "\ud800",
    "{", "}", "[", "]", "null", "NaN", "' OR 1=1 --", "'); DROP TABLE strands_messages; --", "?", ":x", "$1", "\x1b[2J",
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, 10**15, 2**53, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", "x",
    "\x00", "\ud800", [], {}, [[]], [None], {"": None}, {"__bytes_encoded__": True, "data": "!"}, {"a": [1, {"b": 0}]},
    {"__bytes_encoded__": True, "data": None}, {"persql_parts": 3}, [[0, None]], "[[0,null]]", "2025-13-45T99:99",
]  # fmt: skip


class Attack:
    """Hostile inputs over one database with a session in it that nobody may touch.

    Attributes:
        outcomes: How many inputs of each kind were taken, and how many refused.
    """

    def __init__(self, remote: Remote, seed: int) -> None:
        self.remote = remote
        self.choice = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.database = remote.database()
        self.model = ScriptedModel()
        self.build = agent_of(self.model, conversation_manager=lambda: SlidingWindowConversationManager(window_size=6))
        for session_id in ("untouched", SESSION):
            agent = self.build(remote.manager(session_id=session_id))
            for number in range(4):
                self.model.play(tools(use("add", {"a": 1, "b": number}, f"use-{number}")), f"a{number}")
                agent(f"q{number}")
            # NaN is no JSON to SQLite, so even a short message that holds it is stored in parts.
            block: Any = {"text": "not a number", "extra": float("nan")}
            agent.messages[-1]["content"].append(block)
            graph = graph_of(self.model, remote.manager(session_id=session_id))
            self.play("done")
            agent(f"{session_id} with parts")
            self.play("done")
            graph("task")
        self.connection = sqlite3.connect(remote.emulator.path("agents"), isolation_level=None, check_same_thread=False)
        self.template = self.rows(SESSION)
        self.others = self.rows("untouched")

    def rows(self, session_id: str | None = None) -> Rows:
        """What is stored of a session, or of all."""
        where, params = ("", ()) if session_id is None else (" WHERE session_id = ?", (session_id,))
        return {
            table: sorted(self.connection.execute(f"SELECT * FROM strands_{table}{where}", params), key=repr)
            for table in TABLES
        }

    def restore(self) -> None:
        """Put the session back as it was, and remove all others but the untouched one."""
        self.connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            self.connection.execute(f"DELETE FROM strands_{table} WHERE session_id <> 'untouched'")
            for row in self.template[table]:
                marks = ", ".join("?" * len(row))
                self.connection.execute(f"INSERT INTO strands_{table} VALUES ({marks})", row)
        self.connection.execute("COMMIT")

    def text(self, longest: int = 6) -> str:
        """A text that nobody would type."""
        words = "".join(self.choice.choice(PIECES) for _ in range(self.choice.randint(0, longest)))
        return words * self.choice.choice([1, 1, 1, 1, 50])

    def value(self) -> Any:
        """A value that is wrong nearly everywhere."""
        return self.choice.choice([*VALUES, self.text(), object(), {1, 2}, b"\xff", lambda: None])

    def check(self, kind: str, attack: Callable[[], Any], *, spares: bool = False) -> None:
        """Carry an attack out: it goes well, or it is refused in this package's own words.

        Args:
            kind: What it is called.
            attack: What to do.
            spares: Whether a refusal leaves the attacked session too as it was.
        """
        before = self.rows(SESSION) if spares else None
        try:
            attack()
            self.outcomes[f"{kind}: taken"] += 1
        except Exception as error:
            if not any(frame.filename.startswith(PACKAGE) for frame in traceback.extract_tb(error.__traceback__)):
                # A block may hold what Strands itself can't take to a model: that is no concern of a session's.
                assert "going on" in kind, f"{kind}: {self.described}: {error!r}"
                self.outcomes[f"{kind}: refused by Strands"] += 1
                return
            story = f"{kind}: {self.described}: " + "".join(traceback.format_exception(error))[-3000:]
            assert isinstance(error, (PerSQLError, SessionException, ValueError, TypeError)), story
            assert is_worded(error), story
            assert len(str(error)) > 20, story
            self.outcomes[f"{kind}: refused"] += 1
            if before is not None:
                assert self.rows(SESSION) == before, story
        assert self.rows("untouched") == self.others, f"{kind}: {self.described}"

    # The attacks: each is one hostile input

    described = ""

    def ids(self) -> None:
        """A session or an agent of any name."""
        session_id: Any = self.text() if self.choice.random() < 0.8 else self.value()
        agent_id: Any = self.text() if self.choice.random() < 0.5 else "default"
        if "/" in agent_id or "\\" in agent_id or not agent_id:
            agent_id = "default"  # Strands itself refuses these
        self.described = f"session {session_id!r}, agent {agent_id!r}"

        def attack() -> None:
            manager = PerSQLSessionManager(session_id, self.database)
            agent = agent_of(self.model, agent_id=agent_id)(manager)
            self.play("a")
            agent("q")
            again = agent_of(self.model, agent_id=agent_id)(PerSQLSessionManager(session_id, self.database))
            assert again.messages == agent.messages
            if session_id not in (SESSION, "untouched"):
                manager.delete_session(session_id)

        self.check("ids", attack)

    def prefixes(self) -> None:
        """A table prefix of any text."""
        prefix: Any = self.text() if self.choice.random() < 0.7 else self.value()
        self.described = f"prefix {prefix!r}"
        manager = None

        def attack() -> None:
            nonlocal manager
            manager = PerSQLSessionManager(SESSION, self.database, table_prefix=prefix)
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix)

        self.check("prefixes", attack)

    def options(self) -> None:
        """Another option of any value."""
        name = self.choice.choice(["durability", "database", "session_id"])
        value = self.value()
        self.described = f"{name}={value!r}"
        given = {"session_id": SESSION, "database": self.database, name: value}
        self.check("options", lambda: PerSQLSessionManager(**given))

    def bodies(self) -> None:
        """A message, or a state, of anything."""
        value = self.value()
        where = self.choice.choice(["state", "block", "deep", "list", "keys", "cycle", "raw"])
        self.described = f"{where} {value!r}"
        agent = self.build(PerSQLSessionManager(SESSION, self.database))
        session_manager: Any = agent._session_manager

        def attack() -> None:
            if where == "state":
                # Past the check that Strands has at its door.
                next(held for held in vars(agent.state).values() if isinstance(held, dict))["x"] = value
            else:
                block: Any = {"text": "x", "extra": value}
                if where == "deep":
                    for _ in range(self.choice.choice([10, 100, 5000])):
                        block = {"text": "x", "extra": block}
                elif where == "list":
                    block = {"text": "x", "extra": [value] * 10}
                elif where == "keys":
                    block = {"text": "x", "extra": {self.text(): 1, 3: 2, None: 3}}
                elif where == "cycle":
                    block["extra"] = block
                elif where == "raw":
                    block = {"text": self.text()}
                agent.messages.append({"role": "user", "content": [block]})
            session_manager.sync_agent(agent)
            self.build(PerSQLSessionManager(SESSION, self.database))

        self.check("bodies", attack)

    def repository(self) -> None:
        """A hostile object given to the repository."""
        repository = PerSQLSessionRepository(self.database)
        one, two = self.text(), self.text()
        value = self.value()
        position: Any = self.choice.choice([0, -1, 10**6, 2**62, "0", 1.5, None])
        call = self.choice.choice(["session", "agent", "message", "read", "list", "delete", "multi", "update"])
        self.described = f"{call} {one!r} {two!r} {position!r} {value!r}"
        multi: Any = type("Multi", (), {"id": two, "serialize_state": lambda _: {"x": value}})()
        state: Any = {"x": value}
        message: Any = {"role": "user", "content": [{"text": two, "extra": value}]}

        def attack() -> None:
            if call == "session":
                repository.create_session(Session(one, SessionType.AGENT))
            elif call == "agent":
                repository.create_agent(SESSION, SessionAgent(two, state, {}))
            elif call == "message":
                repository.create_message(SESSION, "default", SessionMessage(message, position))
            elif call == "read":
                assert repository.read_message(one, two, position) is None
            elif call == "list":
                assert repository.list_messages(one, two, limit=position, offset=self.choice.choice([0, 5])) == []
            elif call == "delete":
                repository.delete_session(one)
            elif call == "multi":
                repository.create_multi_agent(SESSION, multi)
            else:
                repository.update_message(one, two, SessionMessage(message, position))

        self.check("repository", attack, spares=True)

    def stored(self) -> None:
        """Rows changed by hand: cut short, of another type, of another shape."""
        table = self.choice.choice(["agents", "agents", "messages", "messages", "chunks", "sessions"])
        column = "data"
        if table == "agents" and self.choice.random() < 0.6:
            column = "live_window"
        elif table == "agents" and self.choice.random() < 0.1:
            column = "revision"
        elif table == "messages" and self.choice.random() < 0.1:
            column = "message_id"
        elif table == "chunks" and self.choice.random() < 0.3:
            column = self.choice.choice(["generation", "part", "message_id", "owner"])
        rows = self.connection.execute(f"SELECT * FROM strands_{table} WHERE session_id = ?", (SESSION,)).fetchall()
        names = [row[1] for row in self.connection.execute(f"PRAGMA table_info(strands_{table})")]
        row = dict(zip(names, self.choice.choice(rows), strict=True))
        new = self.mutated(row[column])
        if column == "revision":
            new = self.choice.choice([0, -5, 2**53 - 1, 7, "x", 1.5])
        if column == "message_id":
            new = self.choice.choice([-1, 10**6, 2**53, 2**62, 1.5, "x", "", 5])
        self.described = f"{table}.{column} of {str(row)[:150]} is {str(new)[:300]!r}"
        keys = [name for name in names if name not in ("data", "live_window", "revision")]
        try:
            self.connection.execute(
                f"UPDATE strands_{table} SET {column} = ? WHERE " + " AND ".join(f"{key} = ?" for key in keys),
                (new, *(row[key] for key in keys)),
            )
        except (sqlite3.Error, OverflowError, UnicodeEncodeError):
            return  # SQLite itself won't have it
        self.check(f"{table}.{column}", lambda: self.build(PerSQLSessionManager(SESSION, self.database)), spares=True)

        def go_on() -> None:
            agent = self.build(PerSQLSessionManager(SESSION, self.database))
            self.play("on")
            agent("on")
            again = self.build(PerSQLSessionManager(SESSION, self.database))
            assert json.dumps(again.messages, default=repr) == json.dumps(agent.messages, default=repr), self.described

        self.check(f"{table}.{column}, going on", go_on)

    def orchestrators(self) -> None:
        """The same of a Graph's row."""
        ((row,),) = [self.template["multi_agents"]]
        column, new = "data", self.mutated(row[3])
        if self.choice.random() < 0.2:
            column, new = "revision", self.choice.choice([0, -5, 2**53 - 1, 7, "x", 1.5])
        self.described = f"multi_agents.{column} is {str(new)[:300]!r}"
        try:
            self.connection.execute(
                f"UPDATE strands_multi_agents SET {column} = ? WHERE session_id = ?", (new, SESSION)
            )
        except (sqlite3.Error, UnicodeEncodeError):
            return

        def restore() -> Any:
            return graph_of(self.model, PerSQLSessionManager(SESSION, self.database))

        self.check(f"multi_agents.{column}", restore, spares=True)
        if column == "revision":
            self.play("on")
            self.check(f"multi_agents.{column}, going on", lambda: restore()("on"))

    def mutated(self, value: Any) -> Any:
        """A stored value, spoiled."""
        choice = self.choice
        text = str(value)
        kind = choice.randrange(7)
        if kind == 0:
            return text[: choice.randrange(len(text) + 1)]
        if kind == 1:
            place = choice.randrange(len(text) + 1)
            return text[:place] + choice.choice(PIECES).encode(errors="replace").decode() + text[place:]
        if kind == 2:
            return choice.choice([None, "", 0, 5, -1.5, "null", "[]", "{}", "[" * 50_000, '"x"', "[[0,null],[0,null]]"])
        if kind == 3:
            small = [each for each in VALUES if not isinstance(each, str) or each.isprintable()]
            return json.dumps(choice.choice(small))
        if kind == 4 and len(text) < 100_000:
            return text.replace(*choice.choice([("text", "txt"), ("role", "rôle"), ("[", "{"), (":", ","), ("0", "9")]))
        try:
            document = json.loads(text)
        except ValueError:
            return text[1:]
        return json.dumps(self.spoiled(document))

    def spoiled(self, document: Any) -> Any:
        """A JSON document with one value, somewhere in it, that doesn't belong there."""
        if isinstance(document, (dict, list)) and document and self.choice.random() < 0.8:
            keys = list(document) if isinstance(document, dict) else range(len(document))
            key = self.choice.choice(list(keys))
            if self.choice.random() < 0.15:
                del document[key]
            else:
                document[key] = self.spoiled(document[key])
            return document
        return self.choice.choice([each for each in VALUES if each != "\ud800"])

    def play(self, words: str) -> None:
        """Let the model say this and nothing else."""
        self.model.replies.clear()
        self.model.play(words)


def is_worded(error: BaseException) -> bool:
    """Whether an error was raised by a statement of this package, and did not just come by it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    # Before 3.11 a statement of several lines may be shown by another than its first.
    return frame.filename.startswith(PACKAGE) and ("raise" in (frame.line or "") or sys.version_info < (3, 11))


needs_bound = needs_linux("the memory of a process has no bound")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A bound on the process's memory: what is asked for a terabyte gets an error, and not the machine down."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@needs_bound
@pytest.mark.parametrize("count", [0, -1, 2, 2**53, 10**30, True])
async def test_a_row_that_names_parts_that_are_not_there(remote: Remote, little_memory: None, count: int) -> None:
    """However many it says there are."""
    model = ScriptedModel(["one"])
    build = agent_of(model)
    agent = build(remote.manager())
    await agent.invoke_async("a")
    marker = json.dumps({"persql_parts": count, "generation": "g"}, separators=(",", ":"))
    with remote.emulator.sqlite() as connection:
        connection.execute("UPDATE strands_messages SET data = ? WHERE message_id = 0", (marker,))
    before = remote.dump()
    with pytest.raises(SessionDataError, match="Message 0 of agent 'default'"):
        build(remote.manager())
    assert remote.dump() == before


@pytest.mark.slow
@pytest.mark.usefixtures("no_collection")
@needs_bound
def test_hostile_input(remote: Remote, little_memory: None) -> None:
    """Ids, prefixes, options, bodies, repository calls, and rows changed by hand."""
    print(f"STRANDS_PERSQL_SEED={SEED}")
    attack = Attack(remote, SEED)
    kinds: list[Callable[[], None]] = [
        attack.ids,
        attack.prefixes,
        attack.options,
        attack.bodies,
        attack.bodies,
        attack.repository,
        attack.repository,
        attack.orchestrators,
        *[attack.stored] * 5,
    ]
    try:
        for _ in range(INPUTS):
            attack.choice.choice(kinds)()
            attack.restore()
    finally:
        attack.connection.close()
        for outcome, count in sorted(attack.outcomes.items()):
            print(f"{count:5} {outcome}")
    assert sum(attack.outcomes.values()) >= INPUTS * 0.9
    assert {kind.split(":")[1].strip() for kind in attack.outcomes} >= {"taken", "refused"}
