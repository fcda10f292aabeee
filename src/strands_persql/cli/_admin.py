"""The commands that set up and change: init, fork, rewind, rename, update, index, recent, views."""

import json
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, cast

import typer

from ..administration.sessions import PerSQLSessions
from ..administration.values import many
from ..database.connector import Connector
from ..database.retention import Retention
from ..database.tables import Tables
from ..stores import create_tables
from ._options import AgentOption, Problem, SessionArgument, Settings, how_long, the_agent
from ._output import progress

NewArgument = Annotated[str, typer.Argument(metavar="NEW_ID", help="The new session's id.", show_default=False)]


def init(settings: Settings) -> None:
    """Create the tables, or bring them to the newest layout. Takes an admin token; then readwrite is enough."""
    with settings.opened(create=True) as place:
        version = Connector(place.handle, Tables(place.table_prefix)).set_up()
        create_tables(place.handle, place.table_prefix)
        settings.output.answer(
            {"database": place.name, "table_prefix": place.table_prefix, "layout": version},
            f"{place.name}: tables {place.table_prefix}* have layout {version}",
        )


def fork(
    settings: Settings,
    session: SessionArgument,
    new_id: NewArgument,
    agent: Annotated[str | None, typer.Option("--agent", "-a", metavar="AGENT", help="Copy this agent alone.")] = None,
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", min=0, help="Copy the messages up to and including number N.")
    ] = None,
) -> None:
    """Copy a session inside the database, whole or up to a message. The copy is independent."""
    with settings.opened() as place:
        copy = place.sessions.fork(session, new_id, agent_id=agent, at=at)
        held = f"{many(copy.agents, 'agent')}, {many(copy.messages, 'message')}"
        settings.output.answer(copy, f"{session} copied to {new_id}: {held}")


def rewind(
    settings: Settings,
    session: SessionArgument,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=0, help="The message that is to be the last one.")
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", min=0, help="The first message that goes; 0 for all.")
    ] = None,
    agent: AgentOption = None,
) -> None:
    """Set an agent's history back to message N. Later messages stay in the transcript; nothing is erased."""
    if (to is None) is (before is None):
        raise Problem("say where the history is to end: with --to N, or with --before N", 2)
    with settings.opened() as place:
        agent = the_agent(place.sessions, session, agent)
        if before is not None:
            place.sessions.rewind(session, agent, before=before)
            changed, told = {"before": before}, f"before message {before}"
        else:
            place.sessions.rewind(session, agent, to=cast("int", to))
            changed, told = {"to": cast("int", to)}, f"with message {to}"
        end = "is empty" if before == 0 else f"ends {told}"
        settings.output.answer(
            {"session_id": session, "agent_id": agent, **changed},
            f"{session}, agent {agent}: the history now {end}; the rest is in the transcript",
        )


def update(
    settings: Settings,
    session: SessionArgument,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Its title.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="The user whose session it is.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; repeat it for each. The others go.")
    ] = None,
    metadata: Annotated[str | None, typer.Option("--metadata", metavar="JSON", help="A JSON object.")] = None,
    retention: Annotated[
        str | None, typer.Option("--retention", metavar="TIME", help="Expires so long after its last activity: 30d …")
    ] = None,
    fixed: Annotated[bool, typer.Option("--fixed", help="With --retention: count from now, whatever happens.")] = False,
) -> None:
    """Change a session's user, title, tags, metadata or retention.

    What is not named stays; an empty text takes it away.
    """
    if fixed and not retention:
        raise Problem("--fixed says how --retention TIME is counted: name both", 2)
    changes: dict[str, Any] = {
        name: value or None for name, value in (("title", title), ("user", user)) if value is not None
    }
    if tag:
        changes["tags"] = [each for each in tag if each]
    if metadata is not None:
        changes["metadata"] = _object(metadata)
    if retention is not None:
        changes["retention"] = Retention(how_long(retention, "--retention"), not fixed) if retention else None
    if not changes:
        raise Problem("say what is to change: with --title, --user, --tag, --metadata or --retention", 2)
    with settings.opened() as place:
        found = place.sessions.update(session, **changes)
        settings.output.answer(found, f"{session} is updated: {found.title or 'no title'}")


def _object(text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text) if text else {}
    except ValueError as error:
        raise typer.BadParameter("it is no JSON", param_hint="--metadata") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("it is no JSON object", param_hint="--metadata")
    return cast("dict[str, Any]", value)


def rename(settings: Settings, session: SessionArgument, new_id: NewArgument) -> None:
    """Give a session another id."""
    with settings.opened() as place:
        settings.output.answer(place.sessions.rename(session, new_id), f"{session} is now called {new_id}")


ActionArgument = Annotated[str, typer.Argument(metavar="on|off|status", help="What to do.")]


class _Index(NamedTuple):
    """An index that can be switched on and off.

    Attributes:
        called: What it is called.
        noun: What it is of.
        enable: Makes it, and answers how many it has looked at.
        disable: Drops it.
        is_there: Whether it is on.
    """

    called: str
    noun: str
    enable: Callable[..., int]
    disable: Callable[[PerSQLSessions], None]
    is_there: Callable[[PerSQLSessions], bool]


_SEARCH = _Index(
    "the full-text index",
    "message",
    PerSQLSessions.enable_search,
    PerSQLSessions.disable_search,
    PerSQLSessions.has_search,
)
_RECENT = _Index(
    "the index of sessions by their last activity",
    "session",
    PerSQLSessions.enable_recent,
    PerSQLSessions.disable_recent,
    PerSQLSessions.has_recent,
)


def search_index(settings: Settings, action: ActionArgument = "status") -> None:
    """Switch the full-text index for `search` on or off. Takes an admin token; each message then costs rows more."""
    _switch(settings, _SEARCH, action)


def recent_index(settings: Settings, action: ActionArgument = "status") -> None:
    """Switch the index for `sessions --recent` on or off. Takes an admin token; sessions then cost rows more."""
    _switch(settings, _RECENT, action)


def _switch(settings: Settings, index: _Index, action: str) -> None:
    if action not in ("on", "off", "status"):
        raise typer.BadParameter(f"{action!r} is none of on, off, status", param_hint="ACTION")
    with settings.opened() as place:
        looked_at = None
        if action == "on":
            with progress(f"indexing {index.noun}s") as report:
                looked_at = index.enable(place.sessions, progress=report)
        elif action == "off":
            index.disable(place.sessions)
        there = index.is_there(place.sessions) if action == "status" else action == "on"
        settings.output.answer(
            {"index": there, f"{index.noun}s": looked_at},
            f"{place.name}: {index.called} is {'on' if there else 'off'}"
            + ("" if looked_at is None else f"; looked at {many(looked_at, index.noun)}"),
        )


def views(
    settings: Settings,
    action: Annotated[str, typer.Argument(metavar="on|off", help="Create them, or drop them.")] = "on",
) -> None:
    """Create or drop two views for SQL of your own. conversation has a row for each message, usage one for each agent.

    Takes an admin token.
    """
    if action not in ("on", "off"):
        raise typer.BadParameter(f"{action!r} is none of on, off", param_hint="ACTION")
    with settings.opened() as place:
        names = place.sessions.create_views() if action == "on" else place.sessions.drop_views()
        done = "are there" if action == "on" else "are dropped"
        settings.output.answer({"views": names, "there": action == "on"}, f"{place.name}: {' and '.join(names)} {done}")
