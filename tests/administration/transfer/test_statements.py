"""The statements of imports and exports by themselves, over both kinds of databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from strands.session import FileSessionManager
from strands.types.session import SessionAgent, SessionMessage

from strands_persql import PerSQLSessionRepository
from strands_persql.database.connector import Connector
from strands_persql.database.encoding import Document
from strands_persql.database.faults import fault_of
from strands_persql.database.query import unanswered
from strands_persql.database.tables import AgentColumns, TransferTables
from strands_persql.errors import PerSQLError

from ...agents.harness import Store
from .material import (
    export_of,
    files,
    import_of,
    long_session,
    store_of,
)


def test_a_page_ends_at_its_size_or_limit(place: Store) -> None:
    """A page has as many messages as its limit and its size allow, one at least, over all agents in order."""
    store = store_of(place)
    store.set_up()
    tables = TransferTables(store.tables)
    written(store, [store.tables.sessions.ensure("s", "{}")])
    for agent_id, sizes in (("a", [10, 10, 500]), ("b", [10, 10])):
        rows = [(number, f'"{"x" * size}"') for number, size in enumerate(sizes)]
        written(store, [tables.import_messages("s", agent_id, rows)])

    def page(after: tuple[str, int], limit: int, size: int) -> list[tuple[str, int]]:
        found = store.ask(tables.page("s", after, limit=limit, size=size))
        return [(paged.agent_id, paged.message.position) for paged in found]

    everything = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert page(("", -1), 10, 10_000) == everything
    assert page(("", -1), 4, 10_000) == everything[:4]
    assert page(("a", 0), 2, 10_000) == everything[1:3]
    assert page(("", -1), 10, 15) == everything[:2]
    assert page(("", -1), 10, 1) == everything[:1]
    assert page(("a", 1), 10, 1) == everything[2:3]
    assert page(("b", 1), 10, 10_000) == []


def written(store: Connector[Any], statements: Any) -> None:
    """Run statements as one transaction."""
    store.carry_out(unanswered(*statements))


def test_owners_are_found_without_agents(place: Store) -> None:
    """The head of a session tells whose messages there are, and each one's last."""
    store = store_of(place)
    store.set_up()
    tables = TransferTables(store.tables)
    for session_id in ("r", "s", "t"):
        written(store, [store.tables.sessions.ensure(session_id, "{}")])
    written(store, [tables.import_messages("s", "a", [(0, '"x"'), (7, '"x"')])])
    written(store, [tables.import_message("s", "ä", 3, "x"), tables.import_message("t", "z", 1, "x")])
    assert list(store.ask(tables.read_head("s")).last.items()) == [("a", 7), ("ä", 3)]
    assert store.ask(tables.read_head("r")).last == {}


def test_an_agent_is_written_after_its_last_message_alone(place: Store) -> None:
    """An agent's row is refused where its messages end elsewhere, where another stands there, or without a session."""
    store = store_of(place)
    store.set_up()
    tables = TransferTables(store.tables)
    written(store, [store.tables.sessions.ensure("s", "{}"), tables.import_message("s", "a", 3, "x")])

    def refused(session_id: str, data: str, last: int | None) -> str | None:
        try:
            written(
                store, tables.import_agent(session_id, "a", Document(data), own=AgentColumns(None, None), last=last)
            )
        except PerSQLError as error:
            return fault_of(error)
        return None

    assert refused("s", "{}", 2) == "not_null_violation"
    assert refused("s", "{}", None) == "not_null_violation"
    assert refused("nowhere", "{}", None) == "not_null_violation"
    assert refused("s", "{}", 3) is None
    assert refused("s", "{}", 3) is None
    assert refused("s", '{"other":1}', 3) == "not_null_violation"
    with pytest.raises(PerSQLError):  # there is no such session
        written(store, [tables.import_messages("nowhere", "a", [(4, '"x"')])])
    with pytest.raises(PerSQLError):  # the agent is there: nobody imports into it any more
        written(store, [tables.import_messages("s", "a", [(4, '"x"')])])


def test_parts_keep_what_an_update_keeps(local: Store, tmp_path: Path) -> None:
    """A long message that was updated comes out with the time of its first writing."""
    manager = FileSessionManager("big", storage_dir=str(tmp_path / "from"))
    manager.create_agent("big", SessionAgent("default", {}, {"removed_message_count": 0}))
    words: list[Any] = [{"role": "user", "content": [{"text": letter * 1_200_000}]} for letter in "ab"]
    manager.create_message("big", "default", SessionMessage(words[0], 0, created_at="first", updated_at="first"))
    import_of(local, tmp_path / "from")
    update = SessionMessage(words[1], 0, created_at="second", updated_at="second")
    PerSQLSessionRepository(local.database()).update_message("big", "default", update)
    manager.update_message("big", "default", update)
    export_of(local, "big", tmp_path / "to")
    (name,) = (name for name in files(tmp_path / "to") if name.endswith("message_0.json"))
    assert files(tmp_path / "to")[name] == files(tmp_path / "from")[name]


def test_a_second_import_finds_the_parts_of_the_first(local: Store, tmp_path: Path) -> None:
    """Parts have the same names in every run: an import that was cut off leaves none behind that nobody reads."""
    folder = long_session(tmp_path / "from", 2)
    message: Any = {"role": "user", "content": [{"text": "x" * 2_500_000}]}
    manager = FileSessionManager("long", storage_dir=str(tmp_path / "from"))
    manager.create_message("long", "default", SessionMessage(message, 2))
    import_of(local, folder)
    with local.sqlite() as connection:  # as after a death between the parts and their row
        connection.execute("DELETE FROM strands_agents")
        connection.execute("DELETE FROM strands_messages WHERE message_id = 2")
    assert import_of(local, folder).written == 1
    with local.sqlite() as connection:
        assert connection.execute("SELECT count(*) FROM strands_chunks").fetchone() == (4,)
