"""Finding objects by their words: by Strands' own keyword search, or by an index of the database's."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from .conftest import Place
from .features import needs_search

pytestmark = needs_search

NOTES = {
    "notes/deploy.md": b"Blue green deployments, on Fridays never.",
    "notes/theme.md": "Dark mode. The caf\u00e9 is called Zo\u00eb's.".encode(),
    "notes/dark/room.md": b"Nothing to see.",
    "other/mode.bin": b"\xff\xfe\0",
    "other/long.md": b"mode " * 250_000,
}


async def filled(place: Place, **options: Any) -> Any:
    storage = place.storage(**options)
    for key, value in NOTES.items():
        await storage.write(key, value)
    return storage


@pytest.mark.slow
async def test_without_an_index_it_finds_what_strands_finds(place: Place) -> None:
    """The same keys, scores and values in the same order as over Strands' own storage in memory."""
    from strands.storage import InMemoryStorage

    storage, model = await filled(place), InMemoryStorage()
    for key, value in NOTES.items():
        await model.write(key, value)
    for query in ("dark mode", "the", "", "deployments blue", "nothing", "zoë", "md"):
        assert await storage.search(query) == await model.search(query), query
    scoped = model.namespace("notes")
    if isinstance(scoped, InMemoryStorage):  # at first a namespace of Strands' counted its own name
        assert await storage.namespace("notes").search("notes mode") == await scoped.search("notes mode")


@pytest.mark.slow
async def test_without_an_index_objects_are_read_by_pages(service: Place) -> None:
    """A hundred objects: a list, and a request for each few dozen."""
    storage = service.storage()
    for number in range(100):
        await storage.write(f"k{number:03}", b"common")
    emulator = service.emulator
    assert emulator is not None
    emulator.reset()
    assert len(await storage.search("common")) == 100
    assert emulator.requests == 4


async def test_an_object_that_cannot_be_read_fails_no_search(place: Place) -> None:
    """It is left out, on every release."""
    storage = await filled(place)
    with place.sqlite() as connection:
        connection.execute("UPDATE strands_objects SET encoding = 'zip' WHERE key = 'notes/theme.md'")
    assert [found.key for found in await storage.search("zoë dark")] == ["notes/dark/room.md"]


async def test_an_index_ranks_and_is_one_request(service: Place) -> None:
    """By words and their beginnings, in the text or the name; accents and case don't count."""
    storage = await filled(service, index=True)
    emulator = service.emulator
    assert emulator is not None

    async def keys(query: str, where: Any = storage) -> list[str]:
        emulator.reset()
        found = await where.search(query)
        assert emulator.requests <= 1
        assert all(result.score > 0 for result in found)
        assert [result.score for result in found] == sorted((result.score for result in found), reverse=True)
        return [result.key for result in found]

    assert await keys("deploy") == ["notes/deploy.md"]
    assert await keys("CAFE zoe") == ["notes/theme.md"]
    assert (await keys("dark mode"))[0] == "notes/theme.md"
    assert set(await keys("mode")) == {"notes/theme.md", "other/mode.bin", "other/long.md"}
    assert await keys("md") == await keys("and") == await keys("") == await keys('") OR x NEAR(') == []
    assert await keys("mode", storage.namespace("notes")) == ["theme.md"]
    assert await keys("notes", storage.namespace("notes")) == []


async def test_an_index_follows_every_change(place: Place) -> None:
    """What is overwritten or deleted is found no more, and stands in no table."""
    storage = place.storage(index=True)
    await storage.write("k", b"firstword")
    await storage.write("k", b"secondword")
    assert await storage.search("firstword") == []
    assert [found.key for found in await storage.search("secondword")] == ["k"]
    await storage.delete("k")
    assert await storage.search("secondword") == []
    with place.sqlite() as connection:
        assert connection.execute("SELECT count(*) FROM strands_objects_index_docsize").fetchone() == (0,)


async def test_words_that_no_space_parts(place: Place) -> None:
    """Words of scripts that don't part them are found in texts and names, written with the index or before it."""
    texts = {"元宝老婆刚怀孕": "怀孕", "これはサンドボックス修正テストです": "サンドボックス", "서울주소변경": "주소"}
    for number, text in enumerate(texts):
        await (place.storage() if number else place.storage(index=True)).write(f"k{number}", text.encode())
    await place.storage().write("身份.md", b"\xff")
    indexed = place.storage(index=True)
    await indexed.rebuild_index()
    for number, word in enumerate(texts.values()):
        assert [each.key for each in await indexed.search(word)] == [f"k{number}"]
    assert [each.key for each in await indexed.search("身份")] == ["身份.md"]
    await indexed.write("glued/用deploy做的", "これはSTRANDSです".encode())
    await indexed.write("strands", b"apart")
    assert {each.key for each in await indexed.search("Strands")} == {"glued/用deploy做的", "strands"}
    assert [each.key for each in await indexed.namespace("glued").search("deploy strands")] == ["用deploy做的"]


async def test_an_index_is_kept_by_everybody(place: Place) -> None:
    """Whoever writes or deletes; and values of several rows, over one another, have one entry."""
    indexed, plain = place.storage(index=True), place.storage()
    await indexed.write("a/k.md", b"zebra " + b"x" * 3_000_000)
    await plain.write("a/k.md", b"apple " + b"y" * 5_000_000)
    await plain.write("l", b"lion")
    assert await indexed.search("zebra") == []
    assert {each.key for each in await indexed.search("apple lion")} == {"a/k.md", "l"}
    assert [each.key for each in await indexed.search("k")] == ["a/k.md"]
    with place.sqlite() as connection:  # parts of a write that was broken off, and their end
        connection.execute("INSERT INTO strands_objects VALUES ('l', 5, 0, 0, '', 0, 'zebra')")
    assert [each.key for each in await indexed.search("lion")] == ["l"] and await indexed.search("zebra") == []
    with place.sqlite() as connection:
        connection.execute("DELETE FROM strands_objects WHERE part = 5")
    assert [each.key for each in await indexed.search("lion")] == ["l"]
    await plain.delete("a/k.md")
    assert await indexed.search("apple k") == []
    with place.sqlite() as connection:
        connection.execute("INSERT INTO strands_objects_index (strands_objects_index) VALUES ('integrity-check')")


async def test_no_word_is_left_in_the_index(place: Place) -> None:
    """What was overwritten, deleted or rebuilt stands in no page of the index, on any SQLite."""

    def left() -> set[str]:
        with place.sqlite() as connection:
            pages = b"".join(row[0] for row in connection.execute("SELECT block FROM strands_objects_index_data"))
        return {word for word in ("zebra", "xylophone", "lion", "apple") if word.encode() in pages}

    storage = place.storage(index=True)
    for number in range(20):
        await storage.write(f"n/{number}", b"common text")
    await storage.write("k", b"zebra")
    await storage.write("k", b"apple")
    await storage.write("other", b"xylophone")
    assert left() == {"apple", "xylophone"}
    await place.storage(index=True).delete("other")  # one that has not written yet
    assert left() == {"apple"} and [found.key for found in await storage.search("apple")] == ["k"]
    await storage.write("lion", b"lion")
    await place.storage().delete("lion")
    await place.storage().write("k", b"lion")
    await storage.rebuild_index()
    assert left() == {"lion"} and len(await storage.search("common")) == 20
    with place.sqlite() as connection:
        connection.execute("INSERT INTO strands_objects_index (strands_objects_index) VALUES ('integrity-check')")


async def test_an_index_can_be_made_later(place: Place) -> None:
    """Objects from before are found by keywords until there is an index, and by it when it has been rebuilt."""
    await filled(place)
    storage = place.storage(index=True)
    assert [found.key for found in await storage.search("deployments")] == ["notes/deploy.md"]
    await storage.delete("notes/dark/room.md")
    assert await storage.rebuild_index() == len(NOTES) - 1
    assert [found.key for found in await storage.search("deployment")] == ["notes/deploy.md"]
    await place.storage().delete("notes/deploy.md")
    assert await storage.search("deployment") == []
    assert await storage.rebuild_index() == len(NOTES) - 2
    with place.sqlite() as connection:
        assert connection.execute("SELECT count(*) FROM strands_objects_index_docsize").fetchone() == (len(NOTES) - 2,)
    with pytest.raises(ValueError, match="index=True"):
        await place.storage().rebuild_index()


async def test_a_database_without_fts5_goes_without(local: Place, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and searches by keywords."""

    def refuse(sql: list[str]) -> None:
        if any("fts5" in each for each in sql):
            raise sqlite3.OperationalError("no such module: fts5")

    database = local.database()
    database.before = lambda number: refuse(database.requests[number - 1])
    storage = await filled(local, database=database, index=True)
    assert len([record for record in caplog.records if "no FTS5" in record.message]) == 1
    assert [found.key for found in await storage.search("deployments")] == ["notes/deploy.md"]
    assert await storage.namespace("notes").read("deploy.md") == NOTES["notes/deploy.md"]


async def test_a_strategy_of_the_user_s_is_told_and_asked(place: Place) -> None:
    """Of each write, with the key inside the namespace; and for each search."""
    calls: list[Any] = []

    class Strategy:
        async def index(self, storage: Any, key: str, data: bytes) -> None:
            calls.append((storage, key, data))

        async def search(self, storage: Any, query: str) -> list[Any]:
            calls.append((storage, query))
            return []

    scoped = place.storage(search_strategy=Strategy()).namespace("scope")
    await scoped.write("//k", b"1")
    assert await scoped.search("words") == []
    assert calls == [(scoped, "k", b"1"), (scoped, "words")]
