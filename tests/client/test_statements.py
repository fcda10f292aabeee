"""How statements are read before they are sent, without any database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strands_persql.client._failures import classify, quote_free
from strands_persql.client._statements import first_words, only_reads


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select 1", ("SELECT", "")),
        ("  -- c\n\t/* d\n */ ;create/**/TEMP table", ("CREATE", "TEMP")),
        ("\ufeffINSERT INTO t", ("INSERT", "INTO")),
        ("", ("", "")),
        ("-- nothing", ("", "")),
        ("/* open", ("", "")),
        ("1", ("", "")),
        ("WITH(", ("WITH", "")),
    ],
)
def test_the_first_words(sql: str, words: tuple[str, str]) -> None:
    """Comments, white space and empty statements before them don't count."""
    assert first_words(sql) == words


@given(st.text(alphabet="-/* \n;ab", max_size=2000))
def test_any_text_is_read_in_no_time(sql: str) -> None:
    """No nesting of comments makes it slow; hypothesis' own deadline would tell."""
    first_words(sql)


def test_long_gaps_are_read_in_no_time() -> None:
    """What takes a pattern with nested repetition longer than anybody lives."""
    for sql in (" " * 50_000 + "1", "-- " * 20_000 + "1", "/**/" * 20_000 + "1", ";" * 50_000 + "1"):
        assert first_words(sql) == ("", "")


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT 1", True),
        ("SELECT 'insert'", True),
        ("EXPLAIN DELETE FROM t", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x", True),
        ("WITH x AS (SELECT 1) DELETE FROM t", False),
        ("WITH x AS (SELECT 'delete') SELECT * FROM x", False),
        ("PRAGMA user_version", False),
        ("", False),
        ("INSERT INTO t SELECT 1", False),
    ],
)
def test_what_only_reads(sql: str, reads: bool) -> None:
    """In doubt, it writes: a write without a key could be doubled, a read with a fresh key is only longer."""
    assert only_reads(sql) is reads


def test_what_engines_say() -> None:
    """SQLite's words become the service's, with the names they concern."""
    assert classify("UNIQUE constraint failed: a.b, a.c: SQLITE_CONSTRAINT") == {
        "kind": "unique_violation",
        "message": "UNIQUE constraint failed: a.b, a.c: SQLITE_CONSTRAINT",
        "table": "a",
        "column": "b",
        "columns": [{"table": "a", "column": "b"}, {"table": "a", "column": "c"}],
    }
    assert classify("UNIQUE constraint failed: index 'i'")["kind"] == "unique_violation"
    assert classify("database table is locked: t")["kind"] == "database_locked"
    assert classify("D1_ERROR: no such table: t: SQLITE_ERROR")["table"] == "t"
    assert classify("whatever")["kind"] == "unknown"


def test_text_without_its_quotations() -> None:
    """One line, no quoted parts (open ones neither), cut."""
    assert quote_free("no\n 'a' \"b\" `c` 'open") == "no … … … …"
    assert quote_free("x" * 200, 10) == "x" * 9 + "…"
