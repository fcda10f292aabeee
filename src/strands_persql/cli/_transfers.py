"""The commands that move sessions: export and import."""

import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer

from ..administration.results import Transfer
from ..administration.sessions import PerSQLSessions
from ..administration.transfer import FORMATS, EncryptedExport, Form, bucket_source, is_foreign
from ..administration.values import many
from ..client import PerSQL, is_sqlite
from ..encryption import Encryption
from ._options import Problem, SessionArgument, Settings
from ._output import in_utf8, progress


def export_session(
    settings: Settings,
    session: SessionArgument,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A file that ends in .jsonl, - for JSONL on stdout, or a folder, which Strands' FileSessionManager "
            "then reads as its storage_dir. With --format a file, or -.",
            show_default=False,
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Instead write openai (chat format, JSONL), anthropic (messages, JSONL), markdown, otel (spans of "
            "OpenTelemetry in JSON), or otel-events (spans with messages as events). Nothing is imported again from "
            "these.",
        ),
    ] = None,
    encrypted: Annotated[
        bool, typer.Option("--encrypted", help="Encrypt the .jsonl file, or stdout, under the key of --key-file.")
    ] = False,
) -> None:
    """Take a session out, into a file or folder. What was written is compared by a checksum."""
    out = settings.output
    if target == "-" and out.as_json:
        raise typer.BadParameter("--json and the target - both want stdout", param_hint="TARGET")
    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(sorted(FORMATS))}", param_hint="--format")
    with settings.opened() as place:
        with progress(f"exporting {session}") as report:
            to: Any = in_utf8(sys.stdout) if target == "-" else target
            if encrypted:
                to = EncryptedExport(to, settings.needed_key("--encrypted"))
            done = place.sessions.export(session, to, form=cast("Form | None", form), progress=report)
        if out.as_json:
            out.json(done)
        elif target == "-":
            out.note(f"{_told(done)} exported; checksum {done.checksum}")
        else:
            out.line(f"{_told(done)} exported to {target}; checksum {done.checksum}")


def backup(
    settings: Settings,
    target: Annotated[str, typer.Argument(metavar="FILE", help="The copy: a SQLite file.", show_default=False)],
) -> None:
    """Copy the database into a SQLite file, while agents use it. An earlier copy is replaced by a whole one."""
    with settings.opened() as place:
        place.sessions.backup(target)
        settings.output.answer({"file": target}, f"{place.name} copied to {target}")


def import_sessions(
    settings: Settings,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of Strands' FileSessionManager or of its snapshots, a .jsonl file of `export` (- for "
            "stdin), a SQLite file of strands-persql, openai-agents, LangGraph, Google's ADK or agno, or "
            "s3://BUCKET/PREFIX of Strands' S3SessionManager.",
            show_default=False,
        ),
    ],
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="This session alone; by default all there are.")
    ] = None,
    new_id: Annotated[str | None, typer.Option("--as", metavar="NEW_ID", help="What to call it here.")] = None,
    clear: Annotated[
        bool,
        typer.Option("--clear", help="Store in clear what the key of --key-file opens; by default it is encrypted."),
    ] = False,
) -> None:
    """Bring sessions in, every document as it is. Run again after an interruption, it goes on; nothing is doubled."""
    out = settings.output
    with ExitStack() as stack:
        opened_source = _source(source, settings.encryption, stack)
        place = stack.enter_context(settings.opened(create=True, keyed=not clear))
        with progress("importing") as report:
            done = place.sessions.import_from(opened_source, session_id=session, new_id=new_id, progress=report)
        if not done:
            raise Problem(f"{source} holds no session to import; name a folder or file that does")
        if out.as_json:
            out.json({"sessions": done})
            return
        for each in done:
            out.line(f"{_told(each)} imported ({each.written} written now); checksum {each.checksum}")


def _source(source: str, encryption: Encryption | None, stack: ExitStack) -> Any:
    if source == "-":
        if sys.stdin.isatty():
            raise Problem("- reads what a pipe brings, and there is none; name a file or folder to import", 2)
        return _opened(in_utf8(sys.stdin), encryption)
    if source.startswith("s3://"):
        return _bucket(source)
    path = Path(source)
    if not path.exists():
        raise Problem(f"{source} does not exist; name a folder or file to import")
    if path.is_file() and is_sqlite(path) and not is_foreign(path):
        client = stack.enter_context(PerSQL(local=source))
        return PerSQLSessions(client.database("local/agents"), create_tables=False, encryption=encryption)
    return _opened(source, encryption)


def _bucket(source: str) -> Any:
    boto3: Any = import_module("boto3")  # Strands' own dependency
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket:
        raise Problem(f"{source} names no bucket; write s3://BUCKET/PREFIX", 2)
    return bucket_source(boto3.client("s3"), bucket, prefix)


def _opened(source: str | TextIO, encryption: Encryption | None) -> Any:
    """A source, which may be encrypted."""
    return source if encryption is None else EncryptedExport(source, encryption)


def _told(done: Transfer) -> str:
    words = f"{done.session_id}: {many(done.agents, 'agent')}, {many(done.messages, 'message')}"
    return words + (f", {many(done.multi_agents, 'Graph or Swarm', 'Graphs and Swarms')}" if done.multi_agents else "")
