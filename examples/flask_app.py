# /// script
# requires-python = ">=3.10"
# dependencies = ["flask", "strands-persql"]
# ///
"""A Flask service with one session per user: a thread a request, and nothing asynchronous.

    python examples/flask_app.py             # asks itself, in this process
    python examples/flask_app.py --serve     # http://127.0.0.1:5000, until Ctrl-C

Needs `pip install flask`.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

from flask import Flask, Response, abort, jsonify, request
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager, SessionConflictError
from strands_persql.client import Database
from strands_persql.testing import OfflineModel


class Turn:
    """A user's turn: within this process, requests of one user wait for each other."""

    def __init__(self) -> None:
        self.lock = Lock()


def create_app(database: Database) -> Flask:
    """Return the service, over one database for all users."""
    app = Flask("agents")
    turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    @app.post("/users/<user>/messages")
    def say(user: str) -> Response:
        text = str(request.get_json().get("text", ""))
        if not (user.strip() and text.strip()):
            abort(422)
        turn = turns.setdefault(user, Turn())
        with turn.lock, PerSQLSessionManager(user, database) as session:
            agent = Agent(model=OfflineModel(), session_manager=session, callback_handler=None)
            answer = str(agent(text)).strip()
        return jsonify(text=answer, messages=len(agent.messages))

    @app.errorhandler(SessionConflictError)
    def conflict(error: SessionConflictError) -> tuple[Response, int]:
        # Between processes the database decides: the later of two writers is refused, and nothing is overwritten.
        return jsonify(detail="this session is in use elsewhere; try again"), 409

    return app


def show(app: Flask) -> None:
    """Ask the service as its clients would, a thread each."""

    def say(user: str, text: str) -> str:
        answer = app.test_client().post(f"/users/{user}/messages", json={"text": text}).get_json()
        return f"{user}: {text}\n  {answer['text']} ({answer['messages']} messages)"

    print(say("ada", "my name is Ada"))
    print(say("grace", "my name is Grace"))
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(say, user, "what is my name?") for user in ("ada", "grace", "ada", "grace")]
        print(*sorted(each.result() for each in asked), sep="\n")


def main() -> None:
    """Serve the app, to others or to itself."""
    parser = argparse.ArgumentParser(description="A Flask service with one session per user.")
    parser.add_argument("--serve", action="store_true", help="serve on loopback instead of showing")
    parser.add_argument("--port", type=int, default=5000, help="with --serve; default: 5000")
    parser.add_argument("--file", help="the database; default: one for this run alone")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        PerSQL(local=options.file or str(Path(temporary) / "users.db")) as client,
    ):
        app = create_app(client.database("local/users"))
        if options.serve:
            app.run(host="127.0.0.1", port=options.port, threaded=True)
        else:
            show(app)


if __name__ == "__main__":
    main()
