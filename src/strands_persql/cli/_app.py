"""The application: which commands there are, and how an error becomes one line on stderr and an exit code."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from strands.types.exceptions import SessionException

from ..client import installed_version
from ..errors import PermissionDeniedError, PerSQLError
from . import _admin, _diagnosis, _encryption, _reading, _removal, _transfers, _web
from ._options import Problem, Settings, with_settings
from ._output import escape_what_cannot_be_shown, plain
from ._words import in_options

EXITS = (
    "Exit codes: 0 done; 1 failed, not found, refused, or the doctor found problems; 2 wrong usage; 130 interrupted."
)

# The base of click's errors. Newer releases of typer bring a click of their own, so it is had from an error of typer's.
ClickException = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="strands-persql",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXITS,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"strands-persql {installed_version()}")
        raise typer.Exit


@app.callback()
@with_settings
def commands(
    settings: Settings,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Sessions of AWS Strands agents in PerSQL.

    Every command takes the database from --local FILE (or PERSQL_LOCAL), or from --database NS/SLUG (or
    PERSQL_DATABASE) with a token in PERSQL_TOKEN; PERSQL_API_URL names another address of the service. With --json a
    command writes one JSON document to stdout and nothing else; notes, questions and progress go to stderr.
    """


COMMANDS: dict[str, Callable[..., None]] = {
    "sessions": _reading.sessions,
    "show": _reading.show,
    "search": _reading.search,
    "usage": _reading.usage,
    "init": _admin.init,
    "fork": _admin.fork,
    "rewind": _admin.rewind,
    "rename": _admin.rename,
    "update": _admin.update,
    "index": _admin.search_index,
    "views": _admin.views,
    "recent": _admin.recent_index,
    "backup": _transfers.backup,
    "export": _transfers.export_session,
    "import": _transfers.import_sessions,
    "delete": _removal.delete,
    "prune": _removal.prune,
    "erase": _removal.erase,
    "encrypt": _encryption.encrypt,
    "decrypt": _encryption.decrypt,
    "rotate": _encryption.rotate,
    "doctor": _diagnosis.doctor,
    "web": _web.web,
}
for name, command in COMMANDS.items():
    app.command(name)(with_settings(command))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    is_empty = not arguments and "_STRANDS_PERSQL_COMPLETE" not in os.environ
    escape_what_cannot_be_shown()
    try:
        code: Any = app(args=["--help"] if is_empty else arguments, prog_name="strands-persql", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # typer's answer to Ctrl-C; some releases raise instead
            raise KeyboardInterrupt
        return 2 if is_empty else code if isinstance(code, int) else 0
    except SystemExit as ended:
        # typer exits by itself where the reader of a pipe has gone.
        if isinstance(ended.__context__, BrokenPipeError):
            return _enough()
        return ended.code if isinstance(ended.code, int) else 1
    except (KeyboardInterrupt, typer.Abort):
        if sys.stderr.isatty():
            typer.echo(err=True)  # the terminal shows ^C, and stays in its line
        return _failed("interrupted", 130)
    except Exception as error:
        if is_broken_pipe(error, windows=os.name == "nt"):
            return _enough()
        if os.environ.get("STRANDS_PERSQL_DEBUG"):
            raise
        return _failed(*_told(error))


def is_broken_pipe(error: Exception, *, windows: bool) -> bool:
    """Whether the reader of standard output is gone; Windows calls that an invalid argument."""
    is_invalid = isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or (windows and is_invalid)


def _enough() -> int:
    """The reader of the pipe is gone (`| head`): write no more, and exit as after SIGPIPE."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _told(error: Exception) -> tuple[str, int]:
    """What went wrong, in one line, and the exit code."""
    if isinstance(error, Problem):
        return in_options(str(error)), error.code
    if isinstance(error, ClickException):
        return _told_of_usage(error)
    if isinstance(error, PermissionDeniedError) and error.kind == "unknown_table" and error.status != 403:
        return (
            "this database has no tables of strands-persql under this prefix; check the database and --table-prefix, "
            "or create them: strands-persql init",
            1,
        )
    if isinstance(error, (PerSQLError, SessionException, ValueError, TypeError, ImportError)):
        return in_options(str(error)), 1
    if type(error).__module__.startswith("botocore."):
        return f"S3 could not be read: {error}; check the AWS credentials, the region and the bucket", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}", 1
    return f"unexpected {type(error).__name__}: {error}; STRANDS_PERSQL_DEBUG=1 shows where", 1


def _told_of_usage(error: Any) -> tuple[str, int]:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "strands-persql"
    return f"{str(error.format_message()).rstrip('.')}; see {path} --help", int(error.exit_code)


def _failed(words: str, code: int) -> int:
    if words:
        line = plain(" ".join(words.split()))
        print(f"strands-persql: {line}", file=sys.stderr)
    return code
