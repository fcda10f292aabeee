"""An agent that remembers, across processes.

    python examples/quickstart.py "my name is Ada"
    python examples/quickstart.py "what is my name?"

The second process answers from the history that the first one stored. Without a prompt it becomes a conversation.
By default it needs neither a key nor a network: the model is a small scripted one, the database a file. `--model` puts
a real model in its place, `--database` (with `PERSQL_TOKEN`) a database at PerSQL.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from providers import PROVIDERS, REMEDIES, Unavailable, make_model
from strands import Agent
from strands.types.exceptions import SessionException

from strands_persql import PerSQL, PerSQLError, PerSQLSessionManager

FILE = Path(__file__).resolve().parent.parent / ".quickstart" / "agents.db"


def main() -> None:
    """Open the database, build the agent over its session, and talk."""
    options = parse_arguments()
    model = make_model(options.model, options.model_id)
    with open_client(options) as client:
        database = client.database(options.database or "local/quickstart")

        # These two lines are all there is to it: whatever the session holds is in `agent.messages` from here on.
        session = PerSQLSessionManager(options.session, database)
        agent = Agent(model=model, session_manager=session, callback_handler=None)

        where = options.database or options.file
        print(f"Session {options.session!r} in {where}: {len(agent.messages)} messages restored.", file=sys.stderr)
        if options.prompt:
            print(ask(agent, " ".join(options.prompt), options.model))
        else:
            converse(agent, options.model)


def converse(agent: Agent, model: str) -> None:
    """Talk at the terminal until an empty line, `exit`, or the end of the input."""
    print("Ctrl-D, an empty line or 'exit' ends the conversation; the next one goes on from there.", file=sys.stderr)
    while True:
        try:
            prompt = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if prompt.casefold() in ("", "exit", "quit"):
            return
        print(ask(agent, prompt, model))


def ask(agent: Agent, prompt: str, model: str) -> str:
    """Return the agent's answer to `prompt`."""
    try:
        return str(agent(prompt)).strip()
    except (PerSQLError, SessionException):
        raise
    except Exception as error:
        if model == "scripted":
            raise  # it has no server and no key that could fail: this is a defect, and wants its traceback
        raise Unavailable(f"the {model} model failed, {REMEDIES[model]} ({type(error).__name__}: {error})") from error


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options, checked; `database` is None for a local file, `file` for the service."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("QUICKSTART_PROG"),
        description="Talk to an agent whose session is stored in PerSQL.",
        epilog="Run it twice: the second process goes on where the first one stopped.",
    )
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help="what to say; without it, a conversation")
    parser.add_argument("--model", choices=PROVIDERS, default="scripted", help="default: scripted, offline")
    parser.add_argument("--model-id", metavar="ID", help="which model of that provider, where not the usual one")
    parser.add_argument("--session", default="quickstart", metavar="ID", help="default: quickstart")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--file", metavar="PATH", help="a local SQLite file; default: .quickstart/agents.db")
    place.add_argument("--database", metavar="NS/SLUG", help="a database at PerSQL; default: $PERSQL_DATABASE")
    parser.add_argument("--token", help="its token; default: $PERSQL_TOKEN, which keeps it out of the process list")
    options = parser.parse_args()

    def refuse(reason: str) -> None:
        parser.exit(2, f"quickstart: {reason}\n")

    if options.file and options.token:
        refuse("--file is local and needs no --token: leave out one of the two")
    if not options.file:
        options.token = options.token or os.environ.get("PERSQL_TOKEN")
        options.database = options.database or os.environ.get("PERSQL_DATABASE")
        if options.token and not options.database:
            refuse("a token, but no database: add --database NS/SLUG, or --file PATH to stay local")
        if options.database and not options.token:
            refuse("a database, but no token: set PERSQL_TOKEN (or --token), or --file PATH to stay local")
        if not options.database:
            options.file = str(FILE)
    return options


def open_client(options: argparse.Namespace) -> PerSQL:
    """Return the client: the service where a database of its is named, else an SQLite file in this process."""
    if options.database:
        base_url = os.environ.get("PERSQL_API_URL")
        return PerSQL(token=options.token, base_url=base_url) if base_url else PerSQL(token=options.token)
    Path(options.file).parent.mkdir(parents=True, exist_ok=True)
    return PerSQL(local=options.file)


if __name__ == "__main__":
    try:
        main()
    except (Unavailable, ValueError, PerSQLError, SessionException) as error:
        sys.exit(f"quickstart: {' '.join(str(error).split())}")
