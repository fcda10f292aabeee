"""What a rewind took back: marked wherever messages are shown, and never a history's again unasked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager

from strands_persql import PerSQL, PerSQLSessions, SessionDataError
from strands_persql.administration.viewer import session_html

from ...agents.scripted import text
from .conftest import Place


def talk(place: Place, session_id: str, *prompts: str, **options: Any) -> Any:
    """An agent that was asked some questions; each is two messages."""
    agent = place.agent(session_id, *(text(f"answer to {prompt}") for prompt in prompts), **options)
    for prompt in prompts:
        agent(prompt)
    return agent


def taken_back(sessions: PerSQLSessions, session_id: str) -> list[int]:
    """The positions of the messages that are marked, the same in records and transcripts."""
    records = [each for each in sessions.messages(session_id, limit=1000).messages if each.taken_back]
    pages = sessions.transcript(session_id)
    said = [message.message_id for page in pages for message in page if message.taken_back]
    assert [each.message_id for each in records] == said and not any(each.in_window for each in records)
    return [number for number in said if number is not None]


def window(place: Place, session_id: str) -> list[int | None]:
    """The positions of what the model sees."""
    return [message.message_id for message in place.pages(session_id, live=True)]


def test_what_is_taken_back_is_told(place: Place) -> None:
    """Of an edited question and its answer, from the moment of the rewind on; trimmed messages are not."""
    talk(place, "s", "one", "two", "three")
    assert taken_back(place.sessions, "s") == []
    place.sessions.rewind("s", "default", before=2)
    assert taken_back(place.sessions, "s") == [2, 3, 4, 5]
    talk(place, "s", "four")
    assert taken_back(place.sessions, "s") == [2, 3, 4, 5]
    assert window(place, "s") == [0, 1, 6, 7]
    page = session_html(place.sessions, "s")
    assert page.count('<span class="chip">Taken back</span>') == 4 and "Trimmed" not in page
    place.sessions.rewind("s", "default", to=5)  # back to what was taken back
    assert window(place, "s") == [0, 1, 2, 3, 4, 5]
    assert taken_back(place.sessions, "s") == [6, 7]
    place.sessions.rewind("s", "default", to=None)
    assert taken_back(place.sessions, "s") == list(range(8)) and window(place, "s") == []


@pytest.mark.parametrize("how", ["rewind", "fork"])
def test_a_trimmed_message_is_gone_back_to(place: Place, how: str) -> None:
    """Its history is what came before it: not what was taken back by then."""
    talk(place, "s", "one", "two")
    place.sessions.rewind("s", "default", before=2)
    manager = SlidingWindowConversationManager(window_size=2)
    talk(place, "s", "three", "four", "five", conversation_manager=lambda: manager)
    assert not set(window(place, "s")) & {0, 1, 4, 5}
    if how == "rewind":
        place.sessions.rewind("s", "default", to=5)
        assert window(place, "s") == [0, 1, 4, 5]
        assert taken_back(place.sessions, "s") == [2, 3, 6, 7, 8, 9]
    else:
        place.sessions.fork("s", "copy", at=5)
        assert window(place, "copy") == [0, 1, 4, 5]
        assert taken_back(place.sessions, "copy") == [2, 3]
        talk(place, "copy", "six")
        assert taken_back(place.sessions, "copy") == [2, 3]


def test_it_goes_along(place: Place, tmp_path: Path) -> None:
    """Into a copy, under another id, through a file of lines, into another database and a backup."""
    talk(place, "s", "one", "two")
    place.sessions.rewind("s", "default", before=2)
    talk(place, "s", "three")
    place.sessions.fork("s", "copy")
    place.sessions.rename("s", "t")
    assert taken_back(place.sessions, "copy") == taken_back(place.sessions, "t") == [2, 3]
    lines = io.StringIO()
    place.sessions.export("t", lines)
    place.sessions.import_from(lines.getvalue().splitlines(True), new_id="lines")
    place.sessions.import_from(lines.getvalue().splitlines(True), new_id="lines")
    assert taken_back(place.sessions, "lines") == [2, 3]
    with PerSQL(local=":memory:") as client:
        there = PerSQLSessions(client.database("acme/there"))
        source: Any = place.sessions
        there.import_from(source, session_id="t")
        assert taken_back(there, "t") == [2, 3]
    place.sessions.backup(tmp_path / "copy.db")
    with PerSQL(local=tmp_path / "copy.db") as client:
        assert taken_back(PerSQLSessions(client.database("any/name")), "t") == [2, 3]
    for other in ('"rewinds":[[1,5]]', '"rewinds":7'):
        changed = lines.getvalue().replace('"rewinds":[[1,4]]', other)
        assert changed != lines.getvalue()
        with pytest.raises(SessionDataError, match=r"checksum|rewinds"):
            place.sessions.import_from(changed.splitlines(True), new_id="changed")


def test_a_title_follows_an_edited_prompt(place: Place) -> None:
    """The first prompt is the one that begins the history now; a title that somebody gave stays."""
    talk(place, "s", "one", "two")
    place.sessions.rewind("s", "default", before=0)
    (found,) = place.sessions.list().sessions
    assert found.title == ""
    talk(place, "s", "another one")
    (found,) = place.sessions.list().sessions
    assert found.title == place.sessions.get("s").title == "another one"
    talk(place, "s", "and more")
    place.sessions.rewind("s", "default", before=6)
    assert place.sessions.get("s").title == "another one"
    place.sessions.update("s", title="mine")
    place.sessions.rewind("s", "default", before=4)
    talk(place, "s", "a third one")
    assert place.sessions.get("s").title == "mine"


def test_copies_are_listed(place: Place) -> None:
    """By an index that only they are in; they keep to a session that gets another id."""
    talk(place, "s", "one", "two")
    for name in ("c", "a", "b"):
        place.sessions.fork("s", name, at=1 if name == "b" else None)
    place.sessions.fork("a", "aa")
    copies = place.sessions.list(copy_of="s", limit=2)
    assert [(each.session_id, each.copy_of) for each in copies.sessions] == [("a", "s"), ("b", "s")]
    rest = place.sessions.list(copy_of="s", limit=2, after=copies.after)
    assert [each.session_id for each in rest.sessions] == ["c"] and rest.after is None
    assert place.sessions.get("aa").copy_of == "a" and place.sessions.get("s").copy_of is None
    place.sessions.rename("s", "moved")
    assert not place.sessions.list(copy_of="s").sessions
    assert [each.session_id for each in place.sessions.list(copy_of="moved").sessions] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="copy_of lists sessions in the order of their ids"):
        place.sessions.list(copy_of="moved", order="recent")
    lines = io.StringIO()
    place.sessions.export("b", lines)
    place.sessions.import_from(lines.getvalue().splitlines(True), new_id="d")
    assert place.sessions.get("d").copy_of == "moved"
    plan = place.run("EXPLAIN QUERY PLAN SELECT session_id FROM strands_sessions WHERE origin = 's'")
    assert "strands_copies" in plan[0]["detail"]


def told(place: Place, session_id: str, **options: Any) -> tuple[str, int, int]:
    """What a list says of a session: the preview, how many messages it has, and how many of them are taken back."""
    found = next(each for each in place.sessions.list(**options).sessions if each.session_id == session_id)
    assert (found.messages, found.taken_back) == (
        sum(agent.messages for agent in place.sessions.get(session_id).agents),
        sum(agent.taken_back for agent in place.sessions.get(session_id).agents),
    )
    assert found.taken_back == len(taken_back(place.sessions, session_id))
    return found.preview, found.messages, found.taken_back


@pytest.mark.parametrize("order", ["id", "recent"])
def test_a_preview_is_of_a_message_that_counts(place: Place, order: str) -> None:
    """Of the last one that no rewind took back, with the first request for it; and the figures tell the others."""
    talk(place, "s", "one", "two", "three")
    assert told(place, "s", order=order) == ("answer to three", 6, 0)
    place.sessions.rewind("s", "default", to=2)
    assert told(place, "s", order=order) == ("two", 6, 3)
    place.sessions.rewind("s", "default", before=1)  # a second one before anything is said
    assert told(place, "s", order=order) == ("one", 6, 5)
    copy = place.sessions.fork("s", "copy")
    assert (copy.preview, copy.taken_back) == ("one", 5)
    talk(place, "s", "four")
    assert told(place, "s", order=order) == ("answer to four", 8, 5)
    place.sessions.rewind("s", "default", to=5)  # back to what was taken back
    assert told(place, "s", order=order) == ("answer to three", 8, 2)
    place.sessions.rewind("s", "default", to=None)
    assert told(place, "s", order=order) == ("", 8, 8)
    place.run("UPDATE strands_agents SET rewinds = '{' WHERE session_id = 's'")  # by hand: nothing depends on it
    (listed,) = (each for each in place.sessions.list().sessions if each.session_id == "s")
    assert (listed.preview, listed.taken_back) == ("answer to four", 0)


def test_a_preview_costs_no_more_after_a_rewind(remote: Place, emulator: Any) -> None:
    """A list is the same request as ever."""
    talk(remote, "s", "one", "two", "three")
    costs: list[tuple[int, int]] = []
    for to in (5, 1):
        remote.sessions.rewind("s", "default", to=to)
        emulator.reset()
        remote.sessions.list()
        costs.append((emulator.requests, emulator.billing.rows_read))
    assert costs[0] == costs[1] and costs[0][0] == 1


def test_a_preview_of_several_agents(local: Place) -> None:
    """It is the newest message of those that count, whichever agent's."""
    talk(local, "s", "first", agent_id="a")
    talk(local, "s", "second", "third", agent_id="b")
    assert told_preview(local) == "answer to third"
    local.sessions.rewind("s", "b", to=1)
    assert told_preview(local) == "answer to second"
    local.sessions.rewind("s", "b", to=None)
    assert told_preview(local) == "answer to first"


def told_preview(place: Place) -> str:
    """The preview of the only session."""
    (found,) = place.sessions.list().sessions
    return found.preview
