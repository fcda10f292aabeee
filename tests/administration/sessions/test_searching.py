"""Searching messages, with the full-text index and without."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

import pytest

from strands_persql import PerSQLError, PerSQLSessionRepository
from strands_persql.administration.sessions import PerSQLSessions

from ...agents.harness import assert_rows_sound, user, words_of
from ...agents.scripted import (
    redact_user,
    text,
    tools,
    use,
)
from .conftest import Place
from .test_reading import fill


@pytest.fixture(params=[False, True], ids=["scan", "index"])
def indexed(request: pytest.FixtureRequest, place: Place) -> bool:
    """The database without an index, and with one from the start."""
    if request.param:
        place.sessions.enable_search()
    return bool(request.param)


def found(place: Place, words: str, **options: Any) -> list[tuple[str, int]]:
    """Where a search finds words, in the order of keys."""
    return sorted((hit.session_id, hit.message_id) for hit in place.sessions.search(words, **options).hits)


def test_words_are_found(place: Place, indexed: bool) -> None:
    """All words of a text, in any order and case; in texts, tool inputs and tool results; in one session or all."""
    place.agent("a", tools(use("ask_nobody", {"where": ["Reykjavík"]})), text("It is raining."))("The weather, please")
    place.agent("b", tools(use("long_answer", {"length": 30})), text("Sunny; the WEATHER is fine."))("And there?")
    assert found(place, "weather THE") == [("a", 0), ("b", 3)]
    assert found(place, "the weather", session_id="b") == [("b", 3)]
    assert found(place, "reykjavík") == [("a", 1)]
    assert found(place, "ask_nobody") == [("a", 2)]  # the tool's name is no text, but its error is
    assert ("b", 2) in found(place, "0.1.2.3.4")
    assert found(place, "rainy weather") == []
    result = place.sessions.search("raining")
    assert (result.method, result.complete) == ("index" if indexed else "scan", True)
    (hit,) = result.hits
    assert (hit.agent_id, hit.role, hit.snippet) == ("default", "assistant", "It is raining.")
    assert hit.created_at.startswith("20") and (hit.score is not None) is indexed


TYPED = [
    'say "hello', "NEAR(hello there)", "hello*", "hello AND there", "^hello", "hello'; DROP TABLE x; --", "-hello",
    "{text}:hello", "(hello", "100%", "a_b", "\\hello", "hello\0there", "%" * 60 + "hello", "x" * 5000,
    "\U0001f600 hello",
]  # fmt: skip


def test_what_a_user_types_is_no_syntax(place: Place, indexed: bool) -> None:
    """Any text is searched for as it is: it neither fails nor means anything else."""
    fill(place, ["s"], messages=len(TYPED))
    for position, words in enumerate(TYPED):
        place.run(
            "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', ?) WHERE message_id = ?",
            f"before {words.replace(chr(0), ' ')} number{position} after",
            position,
        )
    for position, words in enumerate(TYPED):
        hits = place.sessions.search(f"{words} number{position}").hits
        assert [hit.message_id for hit in hits] == [position], words
        assert not place.sessions.search(f"{words} elsewhere").hits


def test_punctuation_parts_words(place: Place, indexed: bool) -> None:
    """Punctuation is no part of a word, and what it joins in the query has to stand together, with an index or not."""
    place.agent("s", text("Hello - world; w1, e-mail foo_bar"))("Is it 10.0.0.1?")
    for words in ("w1?", "hello, world", "Hello world!", "(e-mail)", "e_mail", "foo-bar", "- hello", "world/w1"):
        assert found(place, words) == [("s", 1)], words
    assert found(place, '"10.0.0.1"') == found(place, "is, it?") == [("s", 0)]
    for words in ("world-hello", "bar_foo", "1.0.0.10", "hello, nobody"):
        assert found(place, words) == [], words


def test_letters_of_all_kinds_are_found(place: Place, indexed: bool) -> None:
    """Words are found as they are written, where lower case, folding and what FTS5 makes of them are three things."""
    words = ["Straße", "\ufb01n", "İstanbul", "ΟΔΟΣ", "café", "cafe\u0301s", "हिन्दी", "ΐ", "½", "ŉ"]
    fill(place, ["s"], messages=len(words))
    for position, word in enumerate(words):
        sql = "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', ?) WHERE message_id = ?"
        place.run(sql, f"before {word} after", position)
    for position, word in enumerate(words):
        assert ("s", position) in found(place, word), word
    assert found(place, "straße BEFORE") == [("s", 0)]


def test_what_a_redaction_hides_is_not_found(place: Place, indexed: bool) -> None:
    """Rows with a `redact_message`, as Strands' own managers write them, are found by that alone."""
    fill(place, ["s"], messages=3)
    stored = json.dumps({"role": "assistant", "content": [{"text": "[blocked]"}]})
    for position, redaction in enumerate((stored, "null")):
        place.run(
            "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', 'swordfish', "
            "'$.redact_message', json(?)) WHERE message_id = ?",
            redaction,
            position,
        )
    assert found(place, "swordfish") == [("s", 1)]
    (hit,) = place.sessions.search("blocked").hits
    assert (hit.message_id, hit.role, hit.snippet) == (0, "assistant", "[blocked]")
    place.sessions.enable_search()
    assert found(place, "swordfish") == [("s", 1)] and found(place, "blocked") == [("s", 0)]


def test_the_index_is_made_of_what_is_there(place: Place) -> None:
    """An index made later finds all of it, tells of its progress, and may be made again and dropped."""
    fill(place, ["s", "t"], messages=700)
    place.run(
        "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', 'needle') "
        "WHERE session_id = 't' AND message_id = 650"
    )
    seen: list[int] = []
    assert not place.sessions.has_search()
    assert place.sessions.enable_search(progress=seen.append) == 1400
    assert seen == [500, 1000, 1400] and place.sessions.has_search()
    assert found(place, "needle") == [("t", 650)]
    assert place.sessions.enable_search() == 1400 and found(place, "needle") == [("t", 650)]
    place.sessions.disable_search()
    assert not place.sessions.has_search()
    assert not place.run("SELECT 1 FROM sqlite_master WHERE name LIKE 'strands_search%'")
    assert place.sessions.search("needle").method == "scan" and found(place, "needle") == [("t", 650)]
    place.sessions.disable_search()


def test_an_index_that_was_broken_off_is_completed(local: Place) -> None:
    """A run that was killed at any request is finished by another; until then each message is looked at."""
    fill(local, ["s"], messages=600)
    for killed_at in range(1, 6):
        local.sessions.disable_search()
        local.database.fail_next(killed_at)
        with contextlib.suppress(PerSQLError):
            local.sessions.enable_search()
        local.database.heal()
        for method in ("scan", "index"):
            result = local.sessions.search("hi", limit=1000)
            assert (result.method, len(result.hits), result.complete) == (method, 600, True), killed_at
            assert local.sessions.has_search() is (method == "index")
            local.sessions.enable_search()
        local.run("INSERT INTO strands_search (strands_search) VALUES ('integrity-check')")


def test_a_session_renamed_meanwhile_is_in_the_index(place: Place) -> None:
    """A session that was not entered yet, and gets a name that was passed already, is found all the same."""
    fill(place, ["s", "t"], messages=600)

    def progress(seen: int) -> None:
        if seen == 500:
            place.sessions.rename("t", "a")

    place.sessions.enable_search(progress=progress)
    for session_id in ("a", "s"):
        assert len(place.sessions.search("hi", session_id=session_id, limit=1000).hits) == 600


def test_the_index_follows_every_change(place: Place) -> None:
    """Turns, redactions, forks, renames, erasures and deletions are found at once, whoever writes."""
    place.sessions.enable_search()
    agent = place.agent("s", text("an apple"), redact_user("[gone]"), text("a cherry"))
    agent("fruit?")
    agent("a secret banana")
    agent("more")
    assert found(place, "apple") == [("s", 1)] and found(place, "banana") == [] and found(place, "gone") == [("s", 2)]
    place.sessions.fork("s", "copy", at=1)
    assert found(place, "apple") == [("copy", 1), ("s", 1)] and found(place, "cherry") == [("s", 5)]
    place.sessions.rename("copy", "new")
    assert found(place, "apple") == [("new", 1), ("s", 1)]
    place.sessions.erase("s", "default", 1)
    assert found(place, "apple") == [("new", 1)]
    place.sessions.rewind("s", "default", to=1)
    assert found(place, "cherry") == [("s", 5)]
    place.sessions.delete("new")
    assert found(place, "apple") == []
    place.run("INSERT INTO strands_search (strands_search) VALUES ('integrity-check')")


def test_writes_go_on_as_before_with_an_index(place: Place) -> None:
    """Odd rows, long messages and surrogates are stored and restored as without an index."""
    place.sessions.enable_search()
    agent = place.agent(
        "s", tools(use("remember", {"key": "k", "value": float("nan")})), text("ok \ud800 lone"), text("end")
    )
    agent("x" * 1_200_000 + " needle")
    agent("emoji \U0001f600 and \\ud backslash")
    assert words_of(place.agent("s").messages) == words_of(agent.messages)
    assert_rows_sound(place.store)
    assert found(place, "needle") == [("s", 0)] and found(place, "emoji") == [("s", 4)]
    assert found(place, "lone") == [("s", 3)]
    place.run("UPDATE strands_messages SET data = 'junk' WHERE message_id = 4")
    assert found(place, "emoji") == []
    place.run("UPDATE strands_messages SET data = '{}' WHERE message_id = 4")
    place.run("INSERT INTO strands_search (strands_search) VALUES ('integrity-check')")


def test_long_messages_are_searched_without_the_index(place: Place, indexed: bool) -> None:
    """Messages in parts are read and looked into, and counted; the bound on them is told."""
    agent = place.agent("s", text("short"), text("short"))
    agent("x" * 1_200_000 + " Needle at the end")
    agent("y" * 1_200_000 + " needle too")
    result = place.sessions.search("needle")
    assert [hit.message_id for hit in result.hits] == [0, 2] and result.complete
    assert "Needle at the end" in result.hits[0].snippet and len(result.hits[0].snippet) < 300
    assert result.scanned == (2 if indexed else 4)
    bounded = place.sessions.search("needle", max_scanned=100 if indexed else 1)
    assert [hit.message_id for hit in bounded.hits] == [0] and not bounded.complete and bounded.scanned == 1


def test_long_messages_use_up_a_scan(local: Place) -> None:
    """Each counts as a hundred, with an index and without, and the first one is read in any case."""
    agent = local.agent("s", *[text("short")] * 3)
    for _ in range(3):
        agent("x" * 1_200_000 + " needle")
    for most, found in ((1, [0]), (101, [0]), (200, [0]), (201, [0, 2]), (302, [0, 2, 4]), (303, [0, 2, 4])):
        result = local.sessions.search("needle", max_scanned=most)
        assert ([hit.message_id for hit in result.hits], result.complete) == (found, most == 303), most


def test_a_search_has_twenty_words(local: Place) -> None:
    """More of them are refused before anything is read."""
    words = [f"word{number}" for number in range(20)]
    local.agent("s", text("short"))(" ".join(words))
    assert len(local.sessions.search(" ".join(words)).hits) == 1
    assert not local.sessions.search(" ".join([*words[:19], "other"])).hits
    with pytest.raises(ValueError, match="may hold 20 words, got 21: leave out"):
        local.sessions.search(" ".join([*words, "more"]))


def test_odd_characters_hide_no_words(place: Place, indexed: bool) -> None:
    """Words behind a NUL or half a surrogate pair are found, and a text that only spells such escapes is its own."""
    place.agent("s", text("ok \ud800 lone"))("before \0 behind \\u0000 spelt")
    place.agent("t", text("a path: C:\\udder \0"))("hi")
    assert found(place, "lone") == [("s", 1)] and found(place, "udder") == [("t", 1)]
    assert found(place, "before") == found(place, "behind") == found(place, "spelt") == [("s", 0)]
    assert found(place, "u0000") == [("s", 0)]


SCRIPTS = {
    "怀孕": "元宝老婆刚怀孕", "サンドボックス": "これはサンドボックス修正テストです", "주소": "서울주소변경",
    "ภาษา": "ผมพูดภาษาไทย",
}  # fmt: skip


@pytest.mark.parametrize("word", SCRIPTS)
def test_words_that_no_space_parts(place: Place, indexed: bool, word: str) -> None:
    """Words of scripts that don't part them are found inside a sentence."""
    place.agent("s", text(SCRIPTS[word]))("hi")
    result = place.sessions.search(word)
    assert [hit.message_id for hit in result.hits] == [1] and result.complete


GLUED = [
    "用strands做的",
    "これはSTRANDSです",
    "ผมใช้strandsครับ",
    "주소strands변경",
    "ｽﾄﾗﾝｽﾞstrands",
    "the strands, apart",
]


def test_words_between_letters_of_other_scripts(place: Place, indexed: bool) -> None:
    """A word is found between letters of a script without spaces, after what the index tells of."""
    texts = [*GLUED, "用strand做的", "没有"]
    fill(place, ["s", "t"], messages=len(texts))
    for position, words in enumerate(texts):
        sql = "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', ?) WHERE message_id = ?"
        place.run(sql, words, position)
    result = place.sessions.search("Strands", session_id="s")
    assert sorted(hit.message_id for hit in result.hits) == [*range(len(GLUED))] and result.complete
    assert len({hit.message_id for hit in result.hits}) == len(result.hits)
    assert len(place.sessions.search("strands").hits) == 2 * len(GLUED)
    assert found(place, "strands 做的", session_id="t") == [("t", 0)] and found(place, "strands 没有") == []
    for limit, complete in ((3, False), (len(GLUED), True)):
        some = place.sessions.search("strands", session_id="t", limit=limit)
        assert (len(some.hits), some.complete) == (limit, complete)
    if indexed:
        scores = [hit.score for hit in result.hits]  # the index tells of the Thai one, too: signs of vowels part words
        assert [score is None for score in scores] == [False] * 2 + [True] * 4 and result.scanned == len(GLUED) - 1
        bounded = place.sessions.search("strands", session_id="t", max_scanned=2)
        assert (bounded.scanned, bounded.complete) == (2, False)
        place.sessions.erase("s", "default", 0)
        assert ("s", 0) not in found(place, "strands")


def test_a_word_that_a_message_has_often(local: Place) -> None:
    """The time that a search by the index takes does not grow by the square of a word's occurrences."""
    log = "\n".join(f"{number} ERROR worker, retry" for number in range(4000))
    local.agent("s", text(f"{'.' * 5000} {log}"))("hi")
    local.sessions.enable_search()
    local.database.clear()
    (hit,) = local.sessions.search("error").hits
    assert hit.snippet.startswith("…") and "0 ERROR worker, retry 1 ERROR" in hit.snippet and len(hit.snippet) < 200
    assert not any("snippet(" in sql for request in local.database.requests for sql, _ in request.statements)


@pytest.mark.slow
def test_a_scan_is_bounded_and_says_so(place: Place) -> None:
    """A scan stops at its bounds of messages and of hits, and tells that it did."""
    fill(place, ["s", "t"], messages=700)
    search = place.sessions.search
    for bound, complete in ((1, False), (600, False), (1399, False), (1400, True), (5000, True)):
        result = search("nothing", max_scanned=bound)
        assert (result.scanned, result.complete) == (min(bound, 1400), complete)
    assert len(search("hi", limit=5).hits) == 5 and not search("hi", limit=5).complete
    assert search("hi", session_id="t", limit=700).complete and not search("hi", limit=1000).complete
    assert (
        search("nothing", session_id="t").scanned == search("nothing", session_id="t", max_scanned=700).scanned == 700
    )


def test_an_index_is_bounded_and_says_so(place: Place) -> None:
    """A search by the index that has more hits than asked for tells it, best first."""
    fill(place, ["s"], messages=30)
    place.run(
        "UPDATE strands_messages SET data = json_set(data, '$.message.content[0].text', 'hi hi hi') "
        "WHERE message_id = 9"
    )
    place.sessions.enable_search()
    result = place.sessions.search("hi", limit=5)
    assert result.hits[0].message_id == 9 and len(result.hits) == 5 and not result.complete
    scores = [hit.score or 0 for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert place.sessions.search("hi", limit=30).complete


def test_a_prefix_of_its_own(local: Place) -> None:
    """Another table prefix has another index."""
    local.sessions.enable_search()
    other = PerSQLSessions(local.store.database(), table_prefix="other_")
    assert not other.has_search()
    other.enable_search()
    other.disable_search()
    assert local.sessions.has_search()


def test_what_an_index_costs(local: Place) -> None:
    """A message with an index writes several rows more: at most nine, and none without."""

    def written(session_id: str) -> int:
        agent = local.agent(session_id, text("one"), text("two"))
        agent("hi")
        manager: Any = agent._session_manager
        connection: sqlite3.Connection = manager._connector.database._inner._store._connection
        before = connection.total_changes
        agent("hello there, how are you?")
        return connection.total_changes - before

    assert written("a") == 2
    local.sessions.enable_search()
    assert 2 < written("b") <= 2 + 2 * 9


def test_messages_without_text_cost_nothing(local: Place) -> None:
    """A message of an image alone has no row in the index."""
    local.sessions.enable_search()
    fill(local, ["s"], messages=1)
    message = {**user(""), "content": [{"image": {"source": {"bytes": {"__bytes_encoded__": True, "data": "aGk="}}}}]}
    local.run("UPDATE strands_messages SET data = json_set(data, '$.message', json(?))", json.dumps(message))
    assert local.run("SELECT text FROM strands_search_texts") == [{"text": ""}]
    local.run(
        "INSERT INTO strands_messages (session_id, agent_id, message_id, data) VALUES ('s', 'default', 1, ?)",
        json.dumps({"message": message, "message_id": 1}),
    )
    assert len(local.run("SELECT text FROM strands_search_texts")) == 1


def test_words_are_scrubbed_with_and_without_secure_deletion(local: Place) -> None:
    """Whether SQLite deletes words securely or not, rewritten and deleted ones leave nothing in the index's pages."""
    local.sessions.enable_search()
    settings = {row["k"] for row in local.run("SELECT k FROM strands_search_config")}
    assert ("secure-delete" in settings) == (sqlite3.sqlite_version_info >= (3, 42))
    agent = local.agent("s", text("zebra one"), text("zebra two"), text("lion"))
    for _ in range(3):
        agent("xylophone")
    local.sessions.erase("s", "default", 1)
    local.sessions.delete("s")
    blocks = local.store.dump().lower()
    assert b"zebra".hex() not in blocks and b"xylophone".hex() not in blocks


@pytest.mark.parametrize("door", ["manager", "repository", "sessions"])
def test_a_deleted_session_leaves_no_words(local: Place, door: str) -> None:
    """Whoever deletes a session, even if killed right after it: its words stand in no page of the index."""
    local.agent("kept", text("antelope"))("giraffe")
    local.sessions.enable_search()
    local.agent("s", text("zebra"))("xylophone")
    if door == "manager":
        local.store.manager(session_id="other").delete_session("s")
    elif door == "repository":
        PerSQLSessionRepository(local.store.database()).delete_session("s")
    else:

        def kill(rows: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            local.sessions.delete("s", progress=kill)
    blocks = local.store.dump().lower()
    assert b"zebra".hex() not in blocks and b"xylophone".hex() not in blocks
    assert found(local, "giraffe") == [("kept", 0)]
