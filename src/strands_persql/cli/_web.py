"""The command that shows sessions in a browser: web."""

import os
import socket
from typing import Annotated

import typer

from ._options import Problem, Settings


def web(
    settings: Settings,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port; 0 for any that is free.")
    ] = 8765,
    auth_token: Annotated[
        str | None,
        typer.Option(
            "--auth-token",
            metavar="TOKEN",
            envvar="STRANDS_PERSQL_WEB_TOKEN",
            show_envvar=True,
            help="What a browser must send to log in, 16 characters or more; needed for any HOST but this computer's.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name under which browsers reach it; may be repeated."),
    ] = None,
) -> None:
    """Show the sessions in a browser, until Ctrl-C.

    Whoever reaches it sees and changes all sessions. On an address of this computer alone nothing is asked for; any
    other takes a token. A token in the environment stays out of the list of processes.
    """
    try:
        import uvicorn

        from ..web.pages import is_loopback, pages_app
    except ModuleNotFoundError as error:
        raise Problem(f"{error.name} is missing; install the extra: pip install 'strands-persql[web]'") from error
    names = [host, *(allow_host or [])]
    others = [name for name in names if not is_loopback(name)]
    if others and auth_token is None:
        option = "--host" if others[0] == host else "--allow-host"
        words = "others reach it, so set a token: --auth-token, or STRANDS_PERSQL_WEB_TOKEN"
        raise Problem(f"{option} {others[0]}: {words}", 2)
    with settings.opened() as place:
        place.sessions.list(limit=1)  # what is wrong with the database is told here, and not by each page
        try:
            app = pages_app(
                place.handle,
                auth_token=auth_token,
                hosts=names,
                table_prefix=place.table_prefix,
                encryption=place.encryption,
            )
        except ValueError as error:
            raise Problem(f"--auth-token: {error}", 2) from error
        with _listening(host, port) as listener:
            address = f"[{host}]" if ":" in host else host
            typer.echo(f"{place.name}: http://{address}:{listener.getsockname()[1]}/ (Ctrl-C ends it)", err=True)
            # A page that is open holds a stream, which would keep the server up for as long as it is looked at. That
            # it is cut off would be logged as an error; those of the pages have a logger of their own.
            config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)  # binding tells this error as if it were any other
        return socket.create_server((host, port), family=family)
    except socket.gaierror as error:
        raise Problem(f"--host {host}: there is no such address; name one of this computer's") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Problem(f"{host}:{port}: {reason}; name another: --port, or --host") from error
