"""An import or export in a process of its own: run, and killed, by test_killed.py.

It says how far it is after each small batch, and waits for a line on its input before it goes on.
"""

from __future__ import annotations

import sys

from strands_persql import PerSQL
from strands_persql.administration.transfer import (
    _batch,
    export,
    import_from,
    opened,
)
from strands_persql.administration.transfer import (
    _tables as _stored,
)
from strands_persql.administration.transfer._progress import Reporter
from strands_persql.database.connector import Connector
from strands_persql.database.tables import Tables


def main(url: str, token: str, database: str, way: str, path: str) -> None:
    """Bring one session in, or take it out."""
    _batch.BATCH_BYTES, _batch.GROUP_BYTES = 8_000, 4_000
    _stored.SMALLEST_PAGE = _stored.LARGEST_PAGE = 20
    Reporter.STEP = 1

    def told(done: int, total: int | None) -> None:
        print(done, flush=True)
        sys.stdin.readline()

    with PerSQL(token, base_url=url) as client:
        store = Connector(client.database(database), Tables())
        if way == "import":
            import_from(store, opened(path), progress=told)
        else:
            export(store, "long", path, progress=told)


if __name__ == "__main__":
    main(*sys.argv[1:])
