"""A handle of PerSQL's own SDK, in its local mode: the shapes this package counts on. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from strands_persql.client import Database

sdk = pytest.importorskip("persql", reason="PerSQL's SDK is not installed")


@pytest.fixture
def db() -> Iterator[Any]:
    client = sdk.PerSQL(local=":memory:")
    handle = client.database("acme/agents")
    handle.query("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    yield handle
    if hasattr(client, "close"):
        client.close()


def test_it_keeps_the_protocol(db: Any) -> None:
    """It is a `Database` as it stands."""
    assert isinstance(db, Database)


def test_queries_answer_dict_rows(db: Any) -> None:
    """Under `"data"`."""
    db.query("INSERT INTO t VALUES (?, ?)", [1, "Ada"])
    assert list(db.query("SELECT id, name FROM t", [])["data"]) == [{"id": 1, "name": "Ada"}]


def test_batches_answer_each_statement(db: Any) -> None:
    """In order, with `params` or without."""
    results = db.batch(
        [{"sql": "INSERT INTO t VALUES (?, ?)", "params": [1, "Ada"]}, {"sql": "SELECT name FROM t"}], transaction=True
    )
    assert list(results[1]["data"]) == [{"name": "Ada"}]


def test_a_transaction_is_all_or_nothing(db: Any) -> None:
    """Whatever error it raises."""
    statements = [{"sql": "INSERT INTO t VALUES (?, ?)", "params": [1, name]} for name in ("Ada", "Bob")]
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        db.batch(statements, transaction=True)
    assert list(db.query("SELECT * FROM t", [])["data"]) == []
