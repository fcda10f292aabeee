"""The command line: `strands-persql init`. Needs the extra `cli`.

typer reads a command's annotations, which name typer itself: they are evaluated where they stand, once it is imported.
"""

import os
import sys
from typing import TYPE_CHECKING, Annotated

from strands.types.exceptions import SessionException

from .client import PerSQL
from .errors import PerSQLError
from .store import Store
from .tables import Tables

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    try:
        app = _app()
    except ModuleNotFoundError as error:
        sys.exit(f"strands-persql: {error.name} is missing; install the extra: pip install 'strands-persql[cli]'")
    try:
        app()
    except (PerSQLError, SessionException, ValueError, TypeError) as error:
        sys.exit(f"strands-persql: {' '.join(str(error).split())}")


def _app() -> "Typer":
    import typer

    app = typer.Typer(
        name="strands-persql",
        help="Sessions of AWS Strands agents in PerSQL.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def commands() -> None:  # pyright: ignore[reportUnusedFunction]
        """Sessions of AWS Strands agents in PerSQL."""

    @app.command()
    def init(  # pyright: ignore[reportUnusedFunction]
        local: Annotated[str | None, typer.Option(metavar="FILE", help="A local SQLite file.")] = None,
        database: Annotated[
            str | None,
            typer.Option(metavar="NS/SLUG", envvar="PERSQL_DATABASE", help="A database at PerSQL; takes PERSQL_TOKEN."),
        ] = None,
        table_prefix: Annotated[str, typer.Option(metavar="PREFIX", help="Starts each table's name.")] = "strands_",
    ) -> None:
        """Create the tables, or bring them to the newest layout. Takes an admin token; then readwrite is enough."""
        with _client(local, database) as client:
            store = Store(client.database(database or "local/agents"), Tables(table_prefix))
            version = store.set_up()
        typer.echo(f"{local or database}: tables {table_prefix}* have layout {version}")

    return app


def _client(local: str | None, database: str | None) -> PerSQL:
    if local is not None:
        return PerSQL(local=local)
    if not database:
        raise ValueError("name a database: --local FILE, or --database NS/SLUG with PERSQL_TOKEN set")
    if not os.environ.get("PERSQL_TOKEN"):
        raise ValueError("no token: set PERSQL_TOKEN to an admin token of the database's namespace")
    return PerSQL.from_env()
