"""The tables of sessions under one prefix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..decoding import AgentRecord, FoundParts, Settlement, StoredDocument
from ..query import Query
from ..vault import seals_of
from ._agents import Agents, select_agents
from ._keys import Keys
from ._layout import STEPS, read_version
from ._messages import Messages
from ._multi_agents import MultiAgents
from ._parts import Parts
from ._restore import Restore
from ._sessions import Sessions
from ._statements import checked_prefix, statement

if TYPE_CHECKING:
    from ...client import Statement
    from ...encryption import Encryption
    from ..query import Answers, Row, Rows


class Tables:
    """The tables of sessions, and the statements over each of them.

    Args:
        prefix: Starts the name of each table.
        encryption: The keys that documents are sealed with; None: they are stored in clear.
        mixed: Read sessions that are stored in clear, too, where there are keys.

    Attributes:
        encryption, mixed: As given.
        seals: How documents are stored.
        keys: The data keys of sessions.
        sessions: The rows of sessions.
        agents: The rows of agents.
        messages: The rows of messages.
        multi_agents: The rows of Graphs and Swarms.
        parts: The parts of documents that are too long for one row.
        restore: What agents are restored from.

    Raises:
        ValueError: The prefix is not safe inside SQL.
    """

    steps: ClassVar[tuple[Callable[[str], tuple[str, ...]], ...]] = STEPS

    def __init__(self, prefix: str = "strands_", encryption: Encryption | None = None, *, mixed: bool = False) -> None:
        p = self.prefix = checked_prefix(prefix)
        self.encryption, self.mixed = encryption, mixed
        self.seals = seals_of(encryption, mixed=mixed)
        keys = self.keys = Keys(p, self.seals)
        self.names = tuple(p + name for name in ("sessions", "agents", "messages", "multi_agents", "chunks", "schema"))
        self.sessions = Sessions(p, keys)
        self.agents = Agents(p, keys)
        self.messages = Messages(p, keys)
        self.multi_agents = MultiAgents(p, keys)
        self.parts = Parts(p, keys)
        self.restore = Restore(p, keys)

    def lay_out(self, version: int = 0) -> list[Statement]:
        """The steps from one version of the layout to the newest, for one transaction; 0: from nothing.

        They may fail where they have been taken already: a column can't be added twice.
        """
        return [
            statement(sql)
            for number, step in enumerate(self.steps, 1)
            if number > version
            for sql in (
                *step(self.prefix),
                f"INSERT INTO {self.prefix}schema (version) VALUES ({number}) ON CONFLICT (version) DO NOTHING",
            )
        ]

    def missing(self) -> Query[list[Statement]]:
        """The statements that make those tables which the newest layout has, and which are not there."""
        steps = self.lay_out()
        names = {found[1] for each in steps if (found := _CREATED.match(each["sql"])) is not None}
        there = statement(
            "SELECT name FROM sqlite_master WHERE name IN (SELECT value FROM json_each(?))", json.dumps(sorted(names))
        )

        def read(answers: Answers) -> list[Statement]:
            absent = names - {row["name"] for row in answers[0]}
            return [each for each in steps if absent & {*_NAME.findall(each["sql"].partition("(")[0])}]

        return Query([there], read)

    def read_version(self) -> Statement:
        """The layout's version: one row, `version`."""
        return read_version(self.prefix)

    def settlement(
        self,
        session_id: str,
        agent_ids: Sequence[str],
        multi_agent_ids: Sequence[str],
        positions: Mapping[str, Sequence[int]],
    ) -> Query[Settlement]:
        """What stands in the rows of a refused batch: a rival's writes, or those of an earlier attempt.

        Args:
            session_id: The session.
            agent_ids: The agents.
            multi_agent_ids: The Graphs and Swarms.
            positions: The positions of messages, by agent.
        """
        p, asked, seals = self.prefix, list(positions), self.seals

        def read(answers: Answers) -> Settlement:
            sessions, agents, multi_agents, *found = answers
            seals.load(session_id, sessions)
            agents, multi_agents = seals.agents(session_id, agents), seals.multi_agents(session_id, multi_agents)
            found = [seals.messages(session_id, rows, owner) for owner, rows in zip(asked, found, strict=True)]
            messages = [(agent_id, row) for agent_id, rows in zip(asked, found, strict=True) for row in rows]
            return Settlement(
                bool(sessions),
                {row["agent_id"]: AgentRecord.of(row, FoundParts()) for row in agents},
                {row["multi_agent_id"]: (row["revision"], row["data"]) for row in multi_agents},
                {(agent_id, row["message_id"]): row["data"] for agent_id, row in messages},
                {(agent_id, row["message_id"]): row["live"] for agent_id, row in messages},
            )

        return Query(
            [
                self.keys.read(session_id),
                statement(
                    f"{select_agents(p)} WHERE a.session_id = ? AND a.agent_id IN (SELECT value FROM json_each(?))",
                    session_id,
                    json.dumps(list(agent_ids)),
                ),
                statement(
                    f"SELECT multi_agent_id, revision, data FROM {p}multi_agents "
                    "WHERE session_id = ? AND multi_agent_id IN (SELECT value FROM json_each(?))",
                    session_id,
                    json.dumps(list(multi_agent_ids)),
                ),
                *(
                    statement(
                        f"SELECT message_id, data, live FROM {p}messages WHERE session_id = ? AND agent_id = ? "
                        "AND message_id IN (SELECT value FROM json_each(?))",
                        session_id,
                        agent_id,
                        json.dumps(list(positions[agent_id])),
                    )
                    for agent_id in asked
                ),
            ],
            read,
        )

    def dump(self, name: str) -> Statement:
        """A whole table in the order of its key."""
        keys = {
            "sessions": "session_id",
            "agents": "session_id, agent_id",
            "messages": "session_id, agent_id, message_id",
            "multi_agents": "session_id, multi_agent_id",
            "chunks": "session_id, kind, owner, message_id, generation, part",
            "schema": "version",
        }
        return statement(f"SELECT * FROM {self.prefix}{name} ORDER BY {keys[name]}")

    def documents(self) -> Query[dict[str, list[dict[str, Any]]]]:
        """All rows of sessions, agents, messages, Graphs and Swarms: by table, in the order of its key, none in parts.

        The reader raises `SessionDataError` where a part is missing.
        """

        def read(answers: Answers) -> dict[str, list[dict[str, Any]]]:
            tables, chunks = self._opened(answers)
            parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for chunk in chunks:
                kind = "message" if chunk["kind"] == "live" else chunk["kind"]
                parts.setdefault((chunk["session_id"], kind), []).append(dict(chunk))
            found = {key: FoundParts(rows) for key, rows in parts.items()}
            return {
                name: [
                    _whole(row, found.get((row["session_id"], kind), FoundParts()), f"A row of {name}") for row in rows
                ]
                for (name, kind), rows in zip(_KINDS.items(), tables, strict=True)
            }

        return Query([self.dump(name) for name in (*_KINDS, "chunks")], read)

    def _opened(self, answers: Answers) -> tuple[list[Rows], Rows]:
        """The rows of whole tables, and of parts, opened."""
        sessions, *others = answers
        if not self.seals.is_on:
            return [sessions, *others[:-1]], others[-1]
        opened: list[list[Row]] = [[] for _ in answers]
        for session in sessions:
            session_id: str = session["session_id"]
            self.seals.load(session_id, [session])
            own = [[row for row in rows if row["session_id"] == session_id] for rows in others]
            seals = (self.seals.agents, self.seals.messages, self.seals.multi_agents, self.seals.parts)
            opened[0].append(self.seals.described(session_id, session))
            for found, opening, rows in zip(opened[1:], seals, own, strict=True):
                found += opening(session_id, rows)
        return [*opened[:-1]], opened[-1]


_CREATED = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
_NAME = re.compile(r"\w+")

_KINDS = {"sessions": "", "agents": "agent", "messages": "message", "multi_agents": "multi_agent"}


def _whole(row: Mapping[str, Any], parts: FoundParts, what: str) -> dict[str, Any]:
    own = parts.of(row.get("agent_id", row.get("multi_agent_id", "")), row.get("message_id", 0))
    texts = {name: StoredDocument(what, row[name], own).text() for name in ("data", "live") if row.get(name)}
    return {**row, **texts}
