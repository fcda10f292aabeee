"""The store by itself, over a local file and the service."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from strands_persql import PermissionDeniedError, PerSQLError, SessionDataError
from strands_persql.database.tables import memory_id

from .conftest import Place
from .features import needs_memory

pytestmark = needs_memory


def contents(entries: Sequence[Any]) -> list[str]:
    """What was found, in order."""
    return [entry.content for entry in entries]


async def test_remembered_and_found(place: Place) -> None:
    """A memory is found by its words, with what was given along and what the store knows of it."""
    store = place.store()
    added = await store.add("Ada prefers dark mode", {"source": "settings", "since": 2024})
    await store.add("Ada lives in London")
    [entry] = await place.store().search("Which mode does she prefer?")
    assert entry.metadata is not None
    score = entry.metadata.pop("_relevance_score")
    created_at = entry.metadata.pop("_created_at")
    assert entry.content == "Ada prefers dark mode"
    assert entry.metadata == {"source": "settings", "since": 2024, "_id": added}
    assert 0 < score < 1
    assert created_at.endswith("+00:00")


async def test_the_same_text_is_kept_once(place: Place) -> None:
    """Adding again, even in other white space or another Unicode form, keeps the first."""
    store = place.store()
    first = await store.add("Ada likes café", {"n": 1})
    again = [
        await place.store().add(text, {"n": 2})
        for text in ("Ada likes café", " Ada\n likes  café", "Ada likes cafe\u0301")
    ]
    assert again == [first] * 3
    assert [memory.metadata for memory in (await store.list_memories()).memories] == [{"n": 1}]
    assert contents(await store.search("café")) == ["Ada likes café"]


async def test_added_at_the_same_time(place: Place) -> None:
    """Many writers of the same texts leave each text once."""
    stores = [place.store() for _ in range(4)]
    await stores[0].initialize()
    await asyncio.gather(*(store.add(f"fact {number}") for store in stores for number in range(5)))
    assert len(await stores[0].search("fact")) == 5


async def test_best_first(place: Place) -> None:
    """Who has more of the words, or rarer ones, comes first; as many as were asked for."""
    store = place.store(max_search_results=2)
    for text in ("tea", "green tea in the morning", "coffee", "black tea", "water", "milk", "juice"):
        await store.add(text)
    found = await store.search("green tea")
    assert contents(found)[0] == "green tea in the morning"
    assert len(found) == 2
    scores = [
        (entry.metadata or {})["_relevance_score"]
        for entry in await store.search("green tea", {"max_search_results": 9})
    ]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    assert len(await store.search("green tea", {"max_search_results": 1})) == 1


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_limits(local: Place, limit: int) -> None:
    """A number of results that makes no sense is refused, wherever it is given."""
    with pytest.raises(ValueError, match="between 1 and 100"):
        local.store(max_search_results=limit)
    with pytest.raises(ValueError, match="between 1 and 100"):
        await local.store().search("x", {"max_search_results": limit})
    with pytest.raises(ValueError, match="between 1 and 100"):
        await local.store().list_memories(limit=limit)


async def test_no_query_is_syntax(place: Place) -> None:
    """What FTS5 or SQL would read as syntax is words, and what has no words finds nothing."""
    store, other = place.store(), place.store("bob")
    await store.add("she likes dark mode, not light mode")
    await other.add("he likes light mode")
    hostile = ['"', '"dark', 'dark"', "dark AND", "NOT dark", "dark NEAR(mode", "words : dark", "owner : dark", "dark*",
               "^dark", "-dark", "{dark} : mode", "dark + mode", "dark'; DROP TABLE strands_memories", "dark\x00mode",
               "dark \ud800", ") OR (dark", f"owner : {b'facts'.hex()}x{b'bob'.hex()} OR dark"]  # fmt: skip
    for query in hostile:
        assert contents(await store.search(query)) in ([], ["she likes dark mode, not light mode"]), query
        assert (await store.search(query) != []) == ("dark" in query), query
    for query in ("", " ", "*", "()", "🙂", "\x00"):
        assert await store.search(query) == []


async def test_scopes(place: Place) -> None:
    """Users, and stores of other names, never see, list or forget what isn't theirs, whatever their names are."""
    names = ["ada", "ADA", "a'; --", 'x" OR "ada', "ada%", "a\x00da", "阿达", "ada ", "*"]
    stores = [place.store(scope) for scope in names]
    stores += [place.store("bc", name="a"), place.store("c", name="ab"), place.store("ada", name="other")]
    ids: list[str] = []
    for number, store in enumerate(stores):
        ids.append(await store.add("a fact of everybody"))
        await store.add(f"a fact of {number}")
    assert len(set(ids)) == len(stores)
    for number, store in enumerate(stores):
        assert set(contents(await store.search("fact"))) == {"a fact of everybody", f"a fact of {number}"}
        assert len((await store.list_memories()).memories) == 2
        assert not await store.forget(ids[number - 1])
    assert await stores[0].forget_all() == 2
    assert [len(await store.search("fact")) for store in stores] == [0] + [2] * (len(stores) - 1)


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("她喜欢绿茶", ["绿茶", "茶", "喜欢喝茶"]),
        ("東京都に住んでいる", ["東京", "京都", "住んで"]),
        ("ㄱ 그녀는 서울에 산다", ["서울", "서울에서"]),
        ("เธอชอบชาเขียว", ["ชา", "ชาเขียว"]),
        ("Она любит чай", ["ЧАЙ"]),
        ("उसे हिन्दी पसंद है", ["हिन्दी"]),
        ("la crème brûlée", ["creme", "BRÛLÉE"]),
        ("She was running late", ["runs", "run"]),
    ],
)
async def test_languages(place: Place, text: str, queries: list[str]) -> None:
    """Any script is found by a part of what was said, without case and accents."""
    store = place.store()
    await store.add(text)
    await store.add("något annat")
    for query in queries:
        assert contents(await store.search(query)) == [text], query


async def test_pages(place: Place) -> None:
    """A list of any length comes in pages, each memory once."""
    store = place.store()
    await store.add_messages([{"role": "user", "content": [{"text": f"fact {number}"}]} for number in range(70)])
    seen, after, pages = [], None, 0
    while True:
        page = await store.list_memories(after=after, limit=30)
        assert len(page.memories) <= 30
        seen += [memory.content for memory in page.memories]
        pages += 1
        if (after := page.after) is None:
            break
    assert pages == 3
    assert sorted(seen) == sorted(f"fact {number}" for number in range(70))
    assert (await place.store("nobody").list_memories()).memories == ()


async def test_forgotten_for_good(place: Place) -> None:
    """Of what is forgotten no table keeps a byte, neither ours nor the index's own; the rest is found as before."""
    store = place.store()
    for number in range(20):
        await store.add(f"fact {number} about tea")
    secret = await store.add("the code is qzxkvwsecret", {"hint": "qzxkvwhint"})
    assert place.holds("zxkvwsecret")
    assert await store.forget(secret)
    assert not await store.forget(secret)
    assert not place.holds("zxkvw")
    assert await store.search("code qzxkvwsecret") == []
    assert len(await store.search("tea", {"max_search_results": 100})) == 20
    assert await store.add("the code is qzxkvwsecret") == secret
    assert len(await store.search("qzxkvwsecret")) == 1


async def test_forget_all(place: Place) -> None:
    """A whole scope is forgotten, however many memories it has, and no other."""
    store, other = place.store(), place.store("bob")
    messages: Any = [{"role": "user", "content": [{"text": f"qzxkv{number}ada"}]} for number in range(130)]
    await store.add_messages(messages)
    await other.add("qzxkv of bob")
    assert await store.forget_all() == 130
    assert await store.forget_all() == 0
    assert not any(place.holds(f"{number}ada") for number in range(130))
    assert contents(await other.search("bob")) == ["qzxkv of bob"]


async def test_messages(place: Place) -> None:
    """Messages are kept by their text, with their role; those without text are left, long ones are parted."""
    store = place.store()
    long = " ".join(f"word{number}" for number in range(15_000))
    messages: Any = [
        {"role": "user", "content": [{"text": "I like tea"}, {"text": "and milk"}]},
        {"role": "assistant", "content": [{"toolUse": {"name": "x", "toolUseId": "1", "input": {}}}]},
        {"role": "assistant", "content": [{"text": long}]},
        {"role": "user", "content": []},
    ]
    ids = await store.add_messages(messages)
    assert await store.add_messages(messages) == ids
    memories = (await store.list_memories()).memories
    assert len(memories) == len(ids) == 4
    by_role = {memory.metadata["role"]: memory.content for memory in memories}
    assert by_role["user"] == "I like tea\nand milk"
    assert "".join(m.content for i in ids[1:] for m in memories if m.memory_id == i) == long
    assert await store.add_messages([]) == []


@pytest.mark.parametrize(
    ("content", "metadata", "words"),
    [
        ("", None, "not empty"),
        (" \n", None, "not empty"),
        ("x" * 64_001, None, "at most 64,000 bytes"),
        ("茶" * 30_000, None, "at most 64,000 bytes"),
        ("x", ["a"], "must be a dict"),
        ("x", {"a": object()}, "what JSON can hold"),
        ("x", {"a": float("nan")}, "what JSON can hold"),
        ("x", {"a": "y" * 17_000}, "at most 16,000 bytes"),
    ],
)
async def test_refused(local: Place, content: Any, metadata: Any, words: str) -> None:
    """What can't be kept is refused before any request, with the remedy."""
    store = local.store()
    with pytest.raises(ValueError, match=words):
        await store.add(content, metadata)
    assert (await store.list_memories()).memories == ()


async def test_odd_texts(place: Place) -> None:
    """Texts of odd letters come back as they were; only lone surrogates, which UTF-8 can't hold, are replaced."""
    store = place.store()
    for text in ("nul \x00 inside", "🙂", "''\"\\", "x" * 64_000, "a\u0301 b"):
        added = await store.add(text, {"text": text[:100]})
        [memory] = [m for m in (await store.list_memories()).memories if m.memory_id == added]
        assert (memory.content, memory.metadata) == (text, {"text": text[:100]})
    await store.add("lone \ud800")
    assert contents(await store.search("lone")) == ["lone \ufffd"]


async def test_not_writable(local: Place) -> None:
    """A store that isn't writable answers, and changes nothing."""
    memory = await local.store().add("a fact")
    store = local.store(writable=False)
    for change in (store.add("x"), store.add_messages([]), store.forget(memory), store.forget_all()):
        with pytest.raises(ValueError, match="not writable"):
            await change
    assert contents(await store.search("fact")) == ["a fact"]


@pytest.mark.parametrize("value", ["", "xyz", "0" * 12, "A" * 13, "../../etc/pass"])
async def test_ids(local: Place, value: str) -> None:
    """What is no memory's id is refused."""
    with pytest.raises(ValueError, match="13 hexadecimal digits"):
        await local.store().forget(value)


@pytest.mark.parametrize("option", [{"name": ""}, {"scope": " "}, {"scope": "x" * 256}, {"scope": "\ud800"}])
def test_names(local: Place, option: dict[str, Any]) -> None:
    """A name or scope that can't be told from none, or is too long, is refused."""
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        local.store(**option)


async def test_two_contents_with_one_id(place: Place) -> None:
    """Where another content has a memory's id already, here or in another scope, it gets the next; both stay whole."""
    store = place.store()
    for scope, content in (("bob", "of bob"), ("ada", "of ada")):
        text = f"a new fact, {scope}"
        other = place.store(scope)
        taken = await other.add(content)
        with place.sqlite() as connection:  # as if the two had the same hash
            number, old = memory_id("facts", "ada", text), int(taken, 16)
            connection.execute("UPDATE strands_memories SET id = ? WHERE id = ?", (number, old))
            connection.execute("INSERT INTO strands_memories_index (strands_memories_index) VALUES ('delete-all')")
            connection.execute(
                "INSERT INTO strands_memories_index (rowid, owner, words) "
                "SELECT id, hex(name) || 'x' || hex(scope), words FROM strands_memories"
            )
        added = await store.add(text)
        assert int(added, 16) == memory_id("facts", "ada", text, 1)
        assert await store.add(text) == added
        assert content in contents(await other.search(content))
        assert contents(await store.search("new " + scope))[0] == text
        assert await store.forget(added)
        assert content in contents(await other.search(content))


async def test_a_memory_that_the_index_lacks(local: Place) -> None:
    """What another program took out of the index alone is forgotten without harm."""
    store = local.store()
    memory = await store.add("green tea")
    await store.add("black coffee")
    with local.sqlite() as connection:
        connection.execute("INSERT INTO strands_memories_index (strands_memories_index) VALUES ('delete-all')")
    assert await store.search("tea") == []
    assert await store.forget(memory)
    assert await store.forget_all() == 1
    with local.sqlite() as connection:
        connection.execute("INSERT INTO strands_memories_index (strands_memories_index) VALUES ('integrity-check')")
        [[averages]] = connection.execute("SELECT hex(block) FROM strands_memories_index_data WHERE id = 1")
    assert set(averages) <= {"0"}  # no documents, no words: none was taken out that was not in


async def test_a_memory_that_is_kept_out(local: Place) -> None:
    """A database that takes a memory and doesn't keep it is told of, not asked for ever."""
    store = local.store()
    await store.initialize()
    with local.sqlite() as connection:
        connection.execute(
            "CREATE TRIGGER keeps_out AFTER INSERT ON strands_memories BEGIN "
            "DELETE FROM strands_memories WHERE id = new.id; END"
        )
    with pytest.raises(SessionDataError, match="not there afterwards"):
        await store.add("a fact")


async def test_a_damaged_row(local: Place) -> None:
    """A row that can't be read is named, and can be forgotten."""
    store = local.store()
    memory = await store.add("a fact", {"a": 1})
    with local.sqlite() as connection:
        connection.execute("UPDATE strands_memories SET metadata = '{'")
    with pytest.raises(SessionDataError, match=memory):
        await store.search("fact")
    assert await store.forget(memory)


async def test_without_an_index(place: Place) -> None:
    """full_text=False finds whole words by scanning; an index made later has what was there."""
    plain = place.store(full_text=False)
    for text in ("green tea", "teapot", "black coffee"):
        await plain.add(text)
    await place.store("bob", full_text=False).add("tea of bob")
    assert contents(await plain.search("tea or green")) == ["green tea"]
    [entry] = await plain.search("black tea", {"max_search_results": 1})
    assert (entry.metadata or {})["_relevance_score"] == 0.5
    [entry] = (await plain.search("teapot"))[:1]
    assert await plain.forget((entry.metadata or {})["_id"])
    indexed = place.store()
    assert contents(await indexed.search("teas")) == ["green tea"]
    assert await indexed.forget_all() == 2
    assert not place.holds("coffee")


@pytest.mark.parametrize("full_text", [True, False])
async def test_words_between_letters_of_other_scripts(place: Place, full_text: bool) -> None:
    """A word is found between letters of a script that doesn't part words."""
    store = place.store(full_text=full_text)
    texts = ["用strands做的", "これはSTRANDSです", "ผมใช้strandsครับ", "주소strands변경"]
    await asyncio.gather(*map(store.add, texts))
    assert sorted(contents(await store.search("Strands"))) == sorted(texts)
    assert contents(await store.search("做的")) == texts[:1]


async def test_a_scan_is_bounded(local: Place) -> None:
    """A scan looks at the newest 5,000 memories."""
    store = local.store(full_text=False)
    await store.initialize()
    with local.sqlite() as connection:
        connection.execute(
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) "
            "INSERT INTO strands_memories SELECT 'facts', 'ada', n, 'fact ' || n, 'fact ' || n, NULL, "
            "'2025-01-01T00:' || printf('%02d', n / 60 % 60) || ':' || printf('%02d', n % 60) || n FROM n "
            "ORDER BY random()"
        )
        connection.execute("UPDATE strands_memories SET created_at = '2024' WHERE id = 7")
    assert await store.search("7") == []
    assert contents(await store.search("5000")) == ["fact 5000"]


async def test_an_index_that_was_not_asked_for(place: Place) -> None:
    """Who asks for no index where there is one keeps it all the same."""
    store, plain = place.store(), place.store(full_text=False)
    memory = await store.add("green tea")
    await plain.add("black coffee")
    assert contents(await plain.search("tea")) == ["green tea"]
    assert contents(await store.search("coffees")) == ["black coffee"]
    assert await plain.forget(memory)
    assert await store.search("tea") == [] and contents(await store.search("black")) == ["black coffee"]
    assert await plain.forget_all() == 1
    with place.sqlite() as connection:
        assert connection.execute("SELECT count(*) FROM strands_memories_index_docsize").fetchone() == (0,)


class WithoutFTS5:
    """A handle of a database whose SQLite was built without FTS5: it says so in SQLite's words.

    So it does where a trigger writes to an index.
    """

    def __init__(self, database: Any) -> None:
        self._database = database

    def query(self, sql: str, params: Any = ()) -> Any:
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        triggers = self._database.query("SELECT 1 FROM sqlite_master WHERE name = 'strands_memories_index'")["data"]
        for each in statements:
            is_write = each["sql"].startswith(("INSERT INTO strands_memories ", "DELETE FROM strands_memories "))
            if "fts5" in each["sql"] or "strands_memories_index " in each["sql"] or (triggers and is_write):
                raise sqlite3.OperationalError("no such module: fts5")
        return self._database.batch(statements, transaction=transaction)


async def test_without_fts5(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Where SQLite has no FTS5 memories are scanned, with one warning; a full-text index made elsewhere stays whole."""
    store = local.store(database=WithoutFTS5(local.database()))
    await store.initialize()
    await store.add("green tea")
    assert contents(await store.search("tea")) == ["green tea"]
    assert await store.forget_all() == 1
    assert [record.levelname for record in caplog.records if "no FTS5" in record.getMessage()] == ["WARNING"]
    await local.store().add("black tea")
    assert contents(await store.search("tea")) == ["black tea"]
    with pytest.raises(PerSQLError, match="has FTS5"):
        await store.add("coffee")


async def test_an_index_of_a_newer_sqlite(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An index in a format that this SQLite doesn't know is left alone, and memories are scanned."""
    await local.store().add("green tea")
    with local.sqlite() as connection:
        connection.execute("UPDATE strands_memories_index_config SET v = 99 WHERE k = 'version'")
    store = local.store()
    assert contents(await store.search("tea")) == ["green tea"]
    assert "newer SQLite" in caplog.text
    with pytest.raises(PerSQLError, match="not older than the one"):
        await store.add("coffee")


async def test_roles(remote: Place) -> None:
    """A token that may not run DDL works once the tables are there, and says what to do before."""
    assert remote.emulator is not None
    database = remote.emulator.database(role="readwrite")
    with pytest.raises(PermissionDeniedError, match="admin token"):
        await remote.store(database=database).initialize()
    with pytest.raises(PermissionDeniedError, match="create_tables=False"):
        await remote.store(create_tables=False).initialize()
    await remote.store().initialize()
    store = remote.store(database=database)
    memory = await store.add("a fact")
    assert contents(await store.search("fact")) == ["a fact"]
    assert await store.forget(memory)


async def test_prefixes(place: Place) -> None:
    """Stores of other prefixes have tables of their own."""
    await place.store(table_prefix="one_").add("a fact")
    assert await place.store(table_prefix="two_").search("fact") == []
    with pytest.raises(ValueError, match="table_prefix"):
        place.store(table_prefix="x; DROP")


class Watched:
    """A handle that notes on which threads it is used."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.threads: set[int] = set()

    def query(self, sql: str, params: Any = ()) -> Any:
        self.threads.add(threading.get_ident())
        return self._database.query(sql, params)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        self.threads.add(threading.get_ident())
        return self._database.batch(statements, transaction=transaction)


async def test_off_the_loop(local: Place) -> None:
    """No request is made on the loop's thread."""
    database = Watched(local.database())
    store = local.store(database=database)
    await store.initialize()
    memory = await store.add("a fact")
    await store.search("fact")
    await store.list_memories()
    await store.forget(memory)
    await store.forget_all()
    assert database.threads
    assert threading.get_ident() not in database.threads
