# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql"]
# ///
"""A mirror beside a session manager that is there already.

    python examples/hooks_beside_files.py

Strands' own FileSessionManager keeps the session, and restores it. `PerSQLHooks` writes the same conversation to a
database as it happens, where it can be asked about in SQL. It restores nothing and changes nothing, so it can be added
to an agent that runs today, and one day take over: the last part does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from strands import Agent
from strands.session import FileSessionManager
from texts import text_of

from strands_persql import PerSQL, PerSQLHooks, PerSQLSessionManager
from strands_persql.client import Database
from strands_persql.testing import OfflineModel

QUESTION = """
SELECT json_extract(block.value, '$.text') AS said
FROM strands_messages, json_each(strands_messages.data, '$.message.content') AS block
WHERE session_id = ? AND json_extract(strands_messages.data, '$.message.role') = 'assistant'
ORDER BY message_id
"""


def main() -> None:
    """Talk in three processes' worth of agents, ask the mirror, and go on from it."""
    parser = argparse.ArgumentParser(description="A mirror beside a FileSessionManager.")
    parser.add_argument("--folder", type=Path, help="keeps the files and the database; default: one for this run alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with PerSQL(local=str(folder / "mirror.db")) as client:
            show(folder / "sessions", client.database("local/mirror"))


def show(files: Path, database: Database) -> None:
    """Run the example with the session's files in one place and its mirror in another."""
    for prompt in ("my name is Ada", "how many messages were there?", "what is my name?"):
        # Each of these could be a process of its own: nothing is shared but the files and the database.
        agent = Agent(
            model=OfflineModel(),
            session_manager=FileSessionManager(session_id="ada", storage_dir=str(files)),
            hooks=[PerSQLHooks("ada", database)],
            callback_handler=None,
        )
        print(f"> {prompt}\n{str(agent(prompt)).strip()}")

    print("\nWhat the agent said, asked of the mirror in SQL:")
    for row in database.query(QUESTION, ["ada"])["data"]:
        print(f"- {row['said']}")

    restored = Agent(model=OfflineModel(), session_manager=PerSQLSessionManager("ada", database), callback_handler=None)
    same = [text_of(message) for message in restored.messages] == [text_of(message) for message in agent.messages]
    print(f"\nA PerSQLSessionManager restores {len(restored.messages)} messages from it; the files' own: {same}.")


if __name__ == "__main__":
    main()
