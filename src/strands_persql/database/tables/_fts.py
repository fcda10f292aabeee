"""What every full-text index of this package says to FTS5, so that it holds nothing of what was deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._statements import statement

if TYPE_CHECKING:
    from ...client import Statement

__all__ = ["delete_securely", "lacks_secure_deletion", "merge"]


def delete_securely(index: str) -> Statement:
    """Let an index drop words from its pages as they are deleted; fails before SQLite 3.42 (sqlite.org/fts5.html).

    It stays with the index: said again, it writes nothing.
    """
    return statement(
        f"INSERT INTO {index} ({index}, rank) SELECT 'secure-delete', 1 "
        f"WHERE NOT EXISTS (SELECT 1 FROM {index}_config WHERE k = 'secure-delete')"
    )


def lacks_secure_deletion(error: BaseException) -> bool:
    """Whether an error is how FTS5 says that it doesn't know the option of `delete_securely`."""
    # A handle of another make may have the engine's own words in `detail`, or in the cause alone.
    return "logic error" in f"{error} {getattr(error, 'detail', '')} {error.__cause__ or ''}".lower()


def merge(index: str, condition: str = "1") -> Statement:
    """Merge an index, so that deleted words stand nowhere in it: what an older SQLite has for `delete_securely`."""
    return statement(f"INSERT INTO {index} ({index}) SELECT 'optimize' WHERE {condition}")
