"""The stored tables as plain data, for snapshot tests of what an agent leaves behind.

```python
from strands_persql.testing import stored_rows

def test_what_my_agent_stores(snapshot):          # `snapshot` is syrupy's fixture
    client = PerSQL(local=":memory:")
    db = client.database("test/agents")
    agent = Agent(model=my_scripted_model, session_manager=PerSQLSessionManager("user-42", db))
    agent("hello")
    assert stored_rows(db) == snapshot
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from .database.about import COLUMNS
from .database.connector import Connector
from .database.tables import Tables

if TYPE_CHECKING:
    from .client import Database

__all__ = ["VOLATILE", "stored_rows"]

VOLATILE = frozenset(
    {
        "active",
        "created_at",
        "revision",
        "updated_at",
        "tracking_id",
        "execution_time",
        "latencyMs",
    }
)
"""The fields whose values differ from run to run although nothing else does: times, durations, random ids."""

_SOMETIMES = "timeToFirstByteMs"  # Strands leaves it out where it is 0
_OPTIONAL = ("live", *COLUMNS)  # columns that most rows leave empty
_UNORDERED = ("completed_nodes", "failed_nodes", "interrupted_nodes")  # a Graph keeps these in sets


def stored_rows(
    database: Database, *, table_prefix: str = "strands_", mask: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """All that is stored under one prefix.

    Args:
        database: The handle; nothing is written.
        table_prefix: As the session manager has it.
        mask: Put `"<name>"` in the place of volatile values (see `VOLATILE`), and give an order to what has none.

    Returns:
        `{table: [row, …]}`, tables without their prefix, rows in the order of their key, the JSON columns `data`,
        `live`, `live_window`, `tags` and `metadata` decoded, documents that are stored in parts joined. A message has
        `live` only where the model sees something else than what was said; a session has what it was given alone. The
        tables `chunks` and `schema` are left out.

    Raises:
        PerSQLError: The tables don't exist.
    """
    store = Connector(database, Tables(table_prefix), create_tables=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, rows in store.ask(store.tables.documents()).items():
        found[name] = []
        for row in rows:
            columns = ("data", "live", "live_window", "tags", "metadata")
            plain = {key: json.loads(value) if key in columns and value else value for key, value in row.items()}
            plain = {key: value for key, value in plain.items() if value is not None or key not in _OPTIONAL}
            found[name].append(_masked(plain) if mask else plain)
    return found


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _masked_item(key, item) for key, item in items if key != _SOMETIMES}
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[Any]", value)]
    return value


def _masked_item(key: str, item: Any) -> Any:
    if isinstance(item, (dict, list)):
        return sorted(cast("list[str]", item)) if key in _UNORDERED else _masked(item)
    return f"<{key}>" if key in VOLATILE else item
