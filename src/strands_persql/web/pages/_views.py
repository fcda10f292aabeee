"""The pages that show something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from starlette.responses import Response

from ...administration.doctor import examine
from ...administration.nodes import Node, nodes_of
from ...administration.overall import MESSAGES, read_overall
from ...administration.records import MediaPart
from ...administration.results import AgentSummary, SessionDetail
from ...administration.sessions import PerSQLSessions
from ...administration.viewer.parts import (
    LARGEST_IMAGE,
    Shown,
    figures_of,
    kept_of,
    multi_agent,
    reported_of,
    result_facts,
    shown,
    window_in_words,
)
from ...database.connector import Connector
from ...database.tables import Newest, Tables, newest
from .._events import id_of, state_of
from ._cost import cost_of
from ._plot import HEIGHT, WIDTH, plot_by_day, plot_of
from ._render import address, page, static

if TYPE_CHECKING:
    from starlette.requests import Request

    from ...client import Database
    from ...encryption import Encryption

PAGE_SESSIONS = 25
PAGE_MESSAGES = 50
MOST_COLUMNS = 6
"""Agents that are shown side by side; the others are a link away."""

MOST_FINDINGS = 500
MOST_USERS = 25
MOST_COPIES = 20

PLOTTED = 500
"""Messages that are looked at for the plot, the newest ones."""


@dataclass(frozen=True)
class Column:
    """One agent's messages, or the newest of them.

    Attributes:
        agent: The agent.
        anchor: Its name in the page.
        window: How much of it the model sees, in words.
        items: Its messages, and what stands between them.
        older: The address of the page before; empty where there is none.
    """

    agent: AgentSummary
    anchor: str
    window: str
    items: Sequence[Shown]
    older: str


@dataclass(frozen=True)
class Kept:
    """What a Graph or Swarm keeps of a node that has no conversation in the session.

    Attributes:
        title: The node.
        anchor: Its name in the page.
        node: The places at which it ran, and its result.
        facts: Its time and tokens, in words.
        items: What it said.
    """

    title: str
    anchor: str
    node: Node
    facts: Sequence[str]
    items: Sequence[Shown]


class Views:
    """The pages over one database.

    Args:
        database: The database.
        table_prefix: Starts the name of each table.
        encryption: The keys of sessions that are encrypted.
    """

    def __init__(self, database: Database, table_prefix: str, encryption: Encryption | None = None) -> None:
        self._encryption = encryption
        self._database = database
        self._prefix = table_prefix
        self._sessions = PerSQLSessions(database, table_prefix=table_prefix, create_tables=False, encryption=encryption)
        self._store = Connector(database, Tables(table_prefix, encryption), create_tables=False)

    def sessions(self, request: Request) -> Response:
        """The sessions, newest first, or the messages that hold the words looked for."""
        words, user, tag = given(request, "q").strip(), given(request, "user"), given(request, "tag")
        found = self._sessions.search(words, user=user or None, tag=tag or None, limit=50) if words else None
        listed = None
        if found is None:
            listed = self._sessions.list(
                order="recent", user=user or None, tag=tag or None, after=given(request, "after") or None,
                limit=PAGE_SESSIONS,
            )  # fmt: skip
        return page(request, "sessions.html.jinja", listed=listed, found=found, words=words, user=user, tag=tag)

    def session(self, request: Request) -> Response:
        """A session as a chat: its newest messages, or those before one."""
        session_id, chosen, before = (given(request, name) for name in ("id", "agent", "before"))
        # Before all else: what is stored while the page is being read comes in once it is shown.
        known = [] if before else self._store.ask(newest(self._store.tables, session_id, chosen or None))
        detail = self._sessions.get(session_id)
        agents = [each for each in detail.agents if chosen in ("", each.agent_id)]
        columns = [
            self._column(session_id, agent, f"a{number}", before if chosen or len(detail.agents) == 1 else "")
            for number, agent in enumerate(agents[:MOST_COLUMNS], 1)
        ]
        copies = self._sessions.list(copy_of=session_id, limit=MOST_COPIES)
        kept = [] if chosen else list(_kept(detail))
        anchors = {each.agent.agent_id: each.anchor for each in columns} | {each.title: each.anchor for each in kept}
        return page(
            request,
            "session.html.jinja",
            detail=detail,
            columns=columns,
            events="" if before else _events(session_id, columns, known),
            kept=kept,
            others=agents[MOST_COLUMNS:],
            groups=[multi_agent(each, anchors) for each in detail.multi_agents],
            copies=copies,
            chosen=chosen,
            before=before,
            messages=sum(agent.messages for agent in detail.agents),
            taken_back=sum(agent.taken_back for agent in detail.agents),
            cost=cost_of(detail),
        )

    def _column(self, session_id: str, agent: AgentSummary, anchor: str, before: str) -> Column:
        def link(record_id: str, part: MediaPart) -> str:
            is_shown = part.mime_type.startswith("image/") and (part.size or 0) <= LARGEST_IMAGE
            names = {"id": session_id, "agent": agent.agent_id, "record": record_id, "place": part.place}
            return address("/media", **names) if is_shown else ""

        found = self._sessions.messages(
            session_id, agent_id=agent.agent_id, before=before or None, limit=PAGE_MESSAGES, media=link
        )
        older = address("/session", id=session_id, agent=agent.agent_id, before=found.before) if found.before else ""
        items = tuple(shown(found.messages, anchor))
        return Column(agent, anchor, window_in_words(agent), items, older)

    def usage(self, request: Request) -> Response:
        """What a session has used, and the tokens of its newest messages as a drawing; or what all sessions have."""
        session_id = given(request, "id")
        if not session_id:
            return self._overall(request)
        detail = self._sessions.get(session_id)
        plots = [
            (
                agent.agent_id,
                plot_of(self._sessions.messages(session_id, agent_id=agent.agent_id, limit=PLOTTED).messages),
            )
            for agent in detail.agents[:MOST_COLUMNS]
        ]
        usage = self._sessions.usage(session_id)
        return page(
            request, "usage.html.jinja", detail=detail, figures=figures_of(usage, detail), reported=reported_of(usage),
            plots=plots, width=WIDTH, height=HEIGHT, cost=cost_of(detail), plotted=PLOTTED,
        )  # fmt: skip

    def _overall(self, request: Request) -> Response:
        user = given(request, "user")
        overall = read_overall(self._sessions, self._store, user or None)
        return page(
            request, "overall.html.jinja", overall=overall, users=list(overall.users.items())[:MOST_USERS], user=user,
            plot=plot_by_day(overall.days), messages=MESSAGES, width=WIDTH, height=HEIGHT,
        )  # fmt: skip

    def doctor(self, request: Request) -> Response:
        """What the doctor finds in the database, or in one session."""
        session_id = given(request, "id")
        findings = list(
            islice(
                examine(
                    self._database,
                    table_prefix=self._prefix,
                    session_id=session_id or None,
                    encryption=self._encryption,
                ),
                MOST_FINDINGS + 1,
            )
        )
        return page(
            request, "doctor.html.jinja", session_id=session_id, findings=findings[:MOST_FINDINGS],
            is_more=len(findings) > MOST_FINDINGS,
        )  # fmt: skip

    def confirm(self, request: Request) -> Response:
        """The question before something that can't be undone."""
        action = given(request, "action")
        if action not in ("delete", "erase"):
            raise ValueError("There is no such question.")
        detail = self._sessions.get(given(request, "id"))
        agent, message = given(request, "agent"), given(request, "message")
        return page(request, "confirm.html.jinja", action=action, detail=detail, agent=agent, message=message)

    def static(self, request: Request) -> Response:
        """A style sheet, or the script."""
        name = str(request.path_params["name"])
        found = static(name)
        if found is None:
            return Response(status_code=404)
        kind = "text/javascript" if name.endswith(".js") else "text/css"
        return Response(found, 200, {"Cache-Control": "no-cache"}, kind)


def _events(session_id: str, columns: Sequence[Column], known: Sequence[Newest]) -> str:
    """The address of the stream that tells of what is written after what is known."""
    if len(columns) > 1:
        return address("/events", id=session_id, agents="all", after=state_of(known))
    after = id_of(known[0]) if len(known) == 1 else "-1"
    return address("/events", id=session_id, agent=columns[0].agent.agent_id, after=after) if columns else ""


def _kept(detail: SessionDetail) -> Iterator[Kept]:
    """The nodes of a session's Graphs and Swarms that are no agents of it."""
    stored = {agent.agent_id for agent in detail.agents}
    for number, (name, node) in enumerate(nodes_of(detail.multi_agents, without=stored).items(), 1):
        anchor = f"n{number}"
        yield Kept(name, anchor, node, result_facts(node.result), tuple(kept_of(name, node, anchor)))


def given(request: Request, name: str) -> str:
    """A parameter of the address; empty where it is missing.

    Raises:
        ValueError: It is longer than any of them may be.
    """
    value = request.query_params.get(name, "")
    if len(value) > 4000:
        raise ValueError(f"{name} is too long.")
    return value
