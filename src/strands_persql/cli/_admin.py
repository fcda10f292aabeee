"""The commands that set up and change: init, fork, rewind, rename, index."""

from typing import Annotated

import typer

from ..database.connector import Store
from ..database.tables import MemoryTables, ObjectTables, Tables
from ..errors import PerSQLError
from ._options import (
    AgentOption,
    DatabaseOption,
    JsonOption,
    LocalOption,
    PrefixOption,
    SessionArgument,
    opened,
    the_agent,
)
from ._output import Output, many, progress

__all__ = ["add_to"]

NewArgument = Annotated[str, typer.Argument(metavar="NEW_ID", help="The new session's id.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(init)
    app.command()(fork)
    app.command()(rewind)
    app.command()(rename)
    app.command("index")(search_index)


def init(
    context: typer.Context,
    local: LocalOption = None,
    database: DatabaseOption = None,
    table_prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create the tables, or bring them to the newest layout. Takes an admin token; then readwrite is enough."""
    out = Output(as_json)
    with opened(context, local, database, table_prefix, create=True) as place:
        version = Store(place.handle, Tables(place.table_prefix)).set_up()
        # Read, and created where there is nothing to read: a readwrite token may run this again.
        objects, memories = ObjectTables(place.table_prefix), MemoryTables(place.table_prefix)
        Store(place.handle, objects).read(objects.list_keys("", None, 1))
        try:
            Store(place.handle, memories).read(*memories.probe())
        except PerSQLError as error:
            if "fts5" not in str(error.detail or error).lower():
                raise
            scanned = MemoryTables(place.table_prefix, indexed=False)  # a SQLite without full-text search
            Store(place.handle, scanned).read(*scanned.probe())
        if as_json:
            out.json({"database": place.name, "table_prefix": place.table_prefix, "layout": version})
        else:
            out.line(f"{place.name}: tables {place.table_prefix}* have layout {version}")


def fork(
    context: typer.Context,
    session: SessionArgument,
    new_id: NewArgument,
    agent: Annotated[str | None, typer.Option("--agent", "-a", metavar="AGENT", help="Copy this agent alone.")] = None,
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", min=0, help="Copy the messages up to and including number N.")
    ] = None,
    local: LocalOption = None,
    database: DatabaseOption = None,
    table_prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a session inside the database, whole or up to a message. The copy is independent."""
    out = Output(as_json)
    with opened(context, local, database, table_prefix) as place:
        summary = place.sessions.fork(session, new_id, agent_id=agent, at=at)
        if as_json:
            out.json(summary)
        else:
            out.line(
                f"{session} copied to {new_id}: {many(summary.agents, 'agent')}, {many(summary.messages, 'message')}"
            )


def rewind(
    context: typer.Context,
    session: SessionArgument,
    to: Annotated[int, typer.Option("--to", metavar="N", min=0, help="The message that is to be the last one.")],
    agent: AgentOption = None,
    local: LocalOption = None,
    database: DatabaseOption = None,
    table_prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set an agent's history back to end with message N. Later messages stay in the transcript; nothing is erased."""
    out = Output(as_json)
    with opened(context, local, database, table_prefix) as place:
        agent = the_agent(place.sessions, session, agent)
        place.sessions.rewind(session, agent, to=to)
        if as_json:
            out.json({"session_id": session, "agent_id": agent, "to": to})
        else:
            out.line(f"{session}, agent {agent}: the history now ends with message {to}; the rest is in the transcript")


def rename(
    context: typer.Context,
    session: SessionArgument,
    new_id: NewArgument,
    local: LocalOption = None,
    database: DatabaseOption = None,
    table_prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a session another id."""
    out = Output(as_json)
    with opened(context, local, database, table_prefix) as place:
        summary = place.sessions.rename(session, new_id)
        if as_json:
            out.json(summary)
        else:
            out.line(f"{session} is now called {new_id}")


def search_index(
    context: typer.Context,
    action: Annotated[str, typer.Argument(metavar="on|off|status", help="What to do.")] = "status",
    local: LocalOption = None,
    database: DatabaseOption = None,
    table_prefix: PrefixOption = None,
    as_json: JsonOption = False,
) -> None:
    """Switch the full-text index for `search` on or off. Takes an admin token; each message then costs rows more."""
    out = Output(as_json)
    if action not in ("on", "off", "status"):
        raise typer.BadParameter(f"{action!r} is none of on, off, status", param_hint="ACTION")
    with opened(context, local, database, table_prefix) as place:
        looked_at = None
        if action == "on":
            with progress("indexing messages") as report:
                looked_at = place.sessions.enable_search(progress=lambda done: report(done, None))
        elif action == "off":
            place.sessions.disable_search()
        there = place.sessions.has_search() if action == "status" else action == "on"
        if as_json:
            out.json({"index": there, "messages": looked_at})
        else:
            out.line(
                f"{place.name}: the full-text index is {'on' if there else 'off'}"
                + ("" if looked_at is None else f"; looked at {many(looked_at, 'message')}")
            )
