"""What the commands share: the options that name a database, the database itself, and the question before a change.

typer reads the annotations when a command is defined, so the modules of this package don't postpone them.
"""

import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from ..administration import arguments
from ..administration.missing import missing
from ..administration.sessions import PerSQLSessions
from ..administration.values import time_of
from ..client import ANY_NAME, Database, PerSQL, file_name, is_folder, logger_of, place_of, setting, split_name
from ..database.connector import Connector
from ..database.tables import Tables
from ..encryption import Encryption
from ._output import Output, plain

_SPAN = re.compile(r"(\d+)\s*(w|d|h|m|s)")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_UNTOLD = logging.NullHandler()
_CLIENT = logger_of("strands_persql.client")


class Problem(Exception):
    """Something that ends a command, told in one line; `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Place:
    """An opened database."""

    name: str
    handle: Database
    sessions: PerSQLSessions
    table_prefix: str
    encryption: Encryption | None


@dataclass(frozen=True)
class Settings:
    """The options that all commands take, before the command's name or behind it."""

    local: Annotated[
        str | None,
        typer.Option("--local", metavar="FILE", help="A local SQLite file (or a folder of them); or PERSQL_LOCAL."),
    ] = None
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="NS/SLUG",
            envvar="PERSQL_DATABASE",
            help="A database at PerSQL; takes a token in PERSQL_TOKEN.",
        ),
    ] = None
    table_prefix: Annotated[
        str | None,
        typer.Option("--table-prefix", metavar="PREFIX", help="Starts each table's name; strands_ by default."),
    ] = None
    key_file: Annotated[
        str | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="A file with the key of encrypted sessions; or set PERSQL_ENCRYPTION_KEY to the key itself.",
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")] = False

    @classmethod
    def of(cls, context: typer.Context) -> "Settings":
        """The options of a command line; what stands behind the command's name goes before what precedes it."""
        return cls(**{each.name: _given(context, each.name) for each in fields(cls)})

    @property
    def output(self) -> Output:
        """Where the command's answer goes."""
        return Output(self.as_json)

    @contextmanager
    def opened(self, *, create: bool = False, keyed: bool = True) -> Generator[Place, None, None]:
        """The database that the options name, with their key, or for what is in clear.

        With `create` a file, and tables, that don't exist are made.
        """
        prefix, encryption = self.table_prefix or "strands_", self.encryption if keyed else None
        local = self.local or setting("PERSQL_LOCAL")
        if local and not self.local and setting("PERSQL_TOKEN"):
            raise Problem("PERSQL_LOCAL and PERSQL_TOKEN are both set; unset one, or name --local FILE", 2)
        database = (self.database or "").strip() or None
        name, shown = _local_name(local, database, create=create) if local else _remote_name(database)
        if sys.stderr.isatty():  # a person is told of the end alone, and not of each attempt
            _CLIENT.addHandler(_UNTOLD)
        try:
            # A person waits for an answer; a script may wait until the service is back.
            client = PerSQL(local=local) if local else PerSQL.from_env(max_retries=3 if sys.stderr.isatty() else 8)
        except ValueError as error:
            raise Problem(str(error), 2) from error
        with client:
            handle = client.database(name)
            try:
                sessions = PerSQLSessions(handle, table_prefix=prefix, create_tables=create, encryption=encryption)
            except ValueError as error:
                raise Problem(str(error), 2) from error
            yield Place(shown, handle, sessions, prefix, encryption)

    @cached_property
    def encryption(self) -> Encryption | None:
        """The keys of encrypted sessions, from a file or the environment; None where neither names any.

        They are read once: what `--key-file <(…)` names can be read no second time.
        """
        try:
            if self.key_file:
                return Encryption.from_file(self.key_file)
            key = os.environ.get("PERSQL_ENCRYPTION_KEY")
            return Encryption.from_text(key) if key else None
        except OSError as error:
            raise Problem(
                f"--key-file: {self.key_file}: {error.strerror or error}; name a file that can be read", 2
            ) from error
        except (ValueError, TypeError) as error:
            where = "--key-file" if self.key_file else "PERSQL_ENCRYPTION_KEY"
            raise Problem(f"{where}: {error}", 2) from None

    def needed_key(self, what: str) -> Encryption:
        """The keys, for what can't be done without.

        Raises:
            Problem: There are none.
        """
        if self.encryption is None:
            raise Problem(f"{what} takes a key: name --key-file FILE, or set PERSQL_ENCRYPTION_KEY", 2)
        return self.encryption


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose signature, which typer reads, has an option for each field of `Settings` in place of them."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    _, *own = inspect.signature(command).parameters.values()
    shared = [context.replace(name=each.name, default=each.default, annotation=each.type) for each in fields(Settings)]

    def run(context: typer.Context, **given: Any) -> None:
        for each in shared:
            del given[each.name]
        command(Settings.of(context), **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    setattr(run, "__signature__", inspect.Signature([context, *own, *shared]))  # noqa: B010
    return run


def _given(context: typer.Context, name: str) -> Any:
    """An option's value: as typed behind the command, as typed before it, or else from the environment."""
    for level in (context, context.parent):
        source = level.get_parameter_source(name) if level is not None else None
        if level is not None and source is not None and source.name == "COMMANDLINE" and level.params[name]:
            return level.params[name]
    return context.params.get(name)


def _session_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completes a session's id in the shell; offers nothing where the database can't be read."""
    try:
        with Settings.of(ctx).opened() as place:
            return [each.session_id for each in place.sessions.list(prefix=incomplete, limit=20).sessions]
    except Exception:
        return []


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
SessionArgument = Annotated[
    str, typer.Argument(metavar="SESSION", help="The session's id.", autocompletion=_session_ids, show_default=False)
]
OptionalSession = Annotated[
    str | None,
    typer.Argument(metavar="SESSION", help="The session's id.", autocompletion=_session_ids, show_default=False),
]
AgentOption = Annotated[
    str | None, typer.Option("--agent", "-a", metavar="AGENT", help="The agent's id; by default its only one.")
]


def _remote_name(database: str | None) -> tuple[str, str]:
    """A database at PerSQL, and what to call it."""
    if not database:
        raise Problem("name a database: --local FILE (or PERSQL_LOCAL), or --database NS/SLUG with PERSQL_TOKEN set", 2)
    try:
        split_name(database)
    except ValueError as error:
        raise Problem(f"--database: {error}", 2) from error
    if not setting("PERSQL_TOKEN"):
        raise Problem("no token: set PERSQL_TOKEN to a token of the database's namespace, or name --local FILE", 2)
    return database, database


def _local_name(local: str, database: str | None, *, create: bool) -> tuple[str, str]:
    """The database of a local file or folder, and what to call it."""
    if local == ":memory:":
        raise Problem("--local :memory: would be empty, and gone with the command; name a file", 2)
    path = Path(place_of(local))
    if not is_folder(local):
        if not create and not path.exists():
            raise Problem(f"{local} does not exist; check the path, or create it: strands-persql init --local {local}")
        return ANY_NAME, local
    if database is None:
        with PerSQL(local=local) as client:
            names = [each["name"] for each in client.databases.list()]
        if len(names) != 1:
            there = ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "none so far"
            remedy = "name one: --database NS/SLUG, or a file: --local FILE"
            raise Problem(f"{local} is a folder of databases ({there}); {remedy}", 2)
        return names[0], f"{local} ({names[0]})"
    try:
        file = path / file_name(*split_name(database))
    except ValueError as error:
        raise Problem(f"--database: {error}", 2) from error
    if not create and not file.exists():
        raise Problem(f"{local} holds no database {database}; check its name, or create it with strands-persql init")
    return database, f"{local} ({database})"


def confirmed(question: str, yes: bool) -> None:
    """Ask before a change, unless `yes` is the answer already.

    Raises:
        Problem: Nobody can be asked (exit code 2), the answer was no (1), or Ctrl-C or Ctrl-D (130).
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem(f"{question.rstrip('?')}: there is no terminal to ask; pass --yes. Nothing was changed", 2)
    try:
        answer = None
        while answer not in ("y", "yes"):
            print(f"{plain(question)} [y/N]: ", end="", file=sys.stderr, flush=True)  # stdout is for the answer alone
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            answer = line.strip().lower()
            if answer in ("", "n", "no"):
                raise Problem("nothing was changed")
    except (KeyboardInterrupt, EOFError):
        typer.echo(err=True)  # the line of the question has not ended
        raise Problem("interrupted; nothing was changed", 130) from None


def when(text: str, option: str) -> datetime:
    """A time: ISO 8601, or how long ago (`7d`, `12h`, `2w`, `90m`).

    Raises:
        typer.BadParameter: It is something else.
    """
    long = _span(text)
    found = None
    if long is None:
        found = time_of(text.strip())
    else:
        with suppress(OverflowError):
            found = datetime.now(timezone.utc) - long
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2025-01-31, 2025-01-31T12:00:00, 7d or 12h", param_hint=option
        )
    return found


def how_long(text: str, option: str) -> timedelta:
    """How long something is to be: `30d`, `12h`, `2w`, `90m`.

    Raises:
        typer.BadParameter: It is something else.
    """
    found = _span(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no length of time; write 30d, 12h or 2w", param_hint=option)
    return found


def _span(text: str) -> timedelta | None:
    span = _SPAN.fullmatch(text.strip().lower())
    if span is not None:
        with suppress(OverflowError, ValueError):
            return timedelta(**{_UNITS[span[2]]: int(span[1])})
    return None


def require_there(place: Place, session_id: str, agent_id: str | None = None, message_id: int | None = None) -> None:
    """Find out before a question whether there is what it asks about.

    Raises:
        SessionException: There is no such session, agent or message.
        ValueError: No message can have this position.
    """
    if message_id is not None:
        arguments.position("message_id", message_id)
    store = Connector(place.handle, Tables(place.table_prefix), create_tables=False)
    if (absent := missing(store, session_id, agent_id, message_id)) is not None:
        raise absent


def the_agent(sessions: PerSQLSessions, session_id: str, agent_id: str | None) -> str:
    """The agent that is named, or a session's only one."""
    if agent_id is not None:
        return agent_id
    agents = [agent.agent_id for agent in sessions.get(session_id).agents]
    if len(agents) == 1:
        return agents[0]
    there = ", ".join(agents[:8]) or "none"
    raise Problem(f"session {session_id!r} has {len(agents)} agents ({there}); name one: --agent AGENT", 2)
