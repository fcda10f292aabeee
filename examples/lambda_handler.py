# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql"]
# ///
"""A handler for AWS Lambda: a session per conversation, in the database that the environment names.

    python examples/lambda_handler.py     # calls the handler as Lambda would, in memory

Set PERSQL_TOKEN and PERSQL_DATABASE for the function. All calls that one process answers share a client; its
connections are kept for the next call, and opened anew where they were cut while the process was frozen.
"""

from __future__ import annotations

import json
import os
from typing import Any

from strands import Agent

from strands_persql import PerSQLSessionManager, SessionConflictError
from strands_persql.testing import OfflineModel


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of an HTTP API or a function URL."""
    asked = json.loads(event["body"])
    try:
        # At the end of `with` everything is stored: a frozen process can store nothing.
        with PerSQLSessionManager.from_env(asked["conversation"]) as session:
            agent = Agent(model=OfflineModel(), session_manager=session, callback_handler=None)
            answer = str(agent(asked["text"])).strip()
    except SessionConflictError:  # another process answers in this conversation
        return {"statusCode": 409, "body": json.dumps({"detail": "try again"})}
    return {"statusCode": 200, "body": json.dumps({"text": answer})}


def main() -> None:
    """Call the handler."""
    if not os.environ.get("PERSQL_TOKEN"):
        os.environ.setdefault("PERSQL_LOCAL", ":memory:")
    for text in ("my name is Ada", "what is my name?"):
        body = json.dumps({"conversation": "chat-1", "text": text})
        print(f"{text}\n  {handler({'body': body}, None)['body']}")


if __name__ == "__main__":
    main()
