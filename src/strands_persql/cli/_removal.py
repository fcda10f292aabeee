"""The commands that erase: delete, prune, erase. Each asks first."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated

import typer
from strands.types.exceptions import SessionException

from ..administration.results import Deletion
from ..administration.sessions import PerSQLSessions
from ..administration.values import many
from ._options import (
    AgentOption,
    Problem,
    SessionArgument,
    Settings,
    YesOption,
    confirmed,
    require_there,
    the_agent,
    when,
)
from ._output import Output, progress


def delete(settings: Settings, session: SessionArgument, yes: YesOption = False) -> None:
    """Delete all of a session. Run again after an interruption, it goes on."""
    with settings.opened() as place:
        confirmed(_question(place.sessions, session), yes)
        with progress(f"deleting {session}") as report:
            done = place.sessions.delete(session, progress=report)
        _told(settings.output, done)


def prune(
    settings: Settings,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Last active before: 30d, 12h, 2025-01-31 …"),
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Instead: those whose own retention has ended.")] = False,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only ids that begin with it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be deleted, and delete nothing.")] = False,
    yes: YesOption = False,
) -> None:
    """Delete sessions that were last active before a time, or expired.

    Run again after an interruption, it goes on.
    """
    out = settings.output
    before = _before(older_than, expired)
    which = "that have expired" if before is None else f"last active before {before.isoformat(timespec='seconds')}"
    with settings.opened() as place:
        pruned = partial(place.sessions.prune, older_than=before, expired=expired, prefix=prefix)
        found = pruned(dry_run=True)
        if dry_run or not found.session_ids:
            _told(out, replace(found, dry_run=dry_run))
            return
        confirmed(
            f"Delete {many(len(found.session_ids), 'session')} ({many(found.rows, 'row')}) {which} for good?", yes
        )
        with progress("pruning sessions", len(found.session_ids)) as report:
            done = pruned(progress=lambda so_far: report(len(so_far.session_ids)))
        _told(out, done)


def erase(
    settings: Settings,
    session: SessionArgument,
    message: Annotated[int, typer.Option("--message", "-m", metavar="N", min=0, help="The message's number.")],
    agent: AgentOption = None,
    yes: YesOption = False,
) -> None:
    """Overwrite the content of a message for good, in all its copies. The message stays in its place."""
    with settings.opened() as place:
        agent = the_agent(place.sessions, session, agent)
        require_there(place, session, agent, message)
        confirmed(f"Erase message {message} of agent {agent!r} in session {session!r} for good?", yes)
        place.sessions.erase(session, agent, message)
        settings.output.answer(
            {"session_id": session, "agent_id": agent, "message_id": message},
            f"{session}, agent {agent}: message {message} is erased; backups of the database may still hold it",
        )


def _before(older_than: str | None, expired: bool) -> datetime | None:
    """The time before which sessions are to have been active last; None for those that have expired."""
    if (older_than is None) is not expired:
        raise Problem("say which sessions are to go: with --older-than TIME, or with --expired", 2)
    return None if older_than is None else when(older_than, "--older-than")


def _question(sessions: PerSQLSessions, session_id: str) -> str:
    """What to ask before a session is deleted: it may be none, half deleted, or encrypted."""
    try:
        detail = sessions.get(session_id)
    except SessionException:
        return f"Session {session_id!r} can't be read. Delete what there may be of it for good?"
    messages = sum(agent.messages for agent in detail.agents)
    holds = f"{many(len(detail.agents), 'agent')}, {many(messages, 'message')}"
    return f"Delete session {session_id!r} ({holds}) for good?"


def _told(out: Output, done: Deletion) -> None:
    if out.as_json:
        out.json(done)
        return
    if done.dry_run or not done.session_ids:
        for session_id in done.session_ids:
            out.line(session_id)
        out.note(f"{many(len(done.session_ids), 'session')}, {many(done.rows, 'row')}: nothing was deleted")
    else:
        out.line(f"{many(len(done.session_ids), 'session')} deleted ({many(done.rows, 'row')})")
