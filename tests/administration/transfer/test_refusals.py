"""What is refused, and that nothing is lost by it."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands import Agent
from strands.session import FileSessionManager
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from strands_persql import PerSQL, PerSQLSessionRepository, PerSQLSessions, SessionConflictError, SessionDataError
from strands_persql.administration.transfer import _batch, _jsonl, import_from, opened
from strands_persql.administration.transfer._folders import is_no_name_on_windows
from strands_persql.administration.transfer._items import Checksum, HeadItem, Item, StateItem
from strands_persql.database import connector as stores
from strands_persql.database.tables import Tables
from strands_persql.errors import PermissionDeniedError
from strands_persql.testing import stored_rows

from ...agents.harness import Store
from ...agents.remote.places import Remote
from ...agents.scripted import ScriptedModel
from ...systems import needs_links, needs_posix
from .material import (
    export_of,
    file_session,
    files,
    graph,
    import_of,
    long_session,
    talk,
)

MESSAGES = "session_long/agents/agent_default/messages"


# What stands in the target already


def test_a_session_that_goes_on_is_left_alone(place: Store, tmp_path: Path) -> None:
    """An imported session that an agent went on with is not imported over; under another name it is."""
    long_session(tmp_path / "from", 6)
    import_of(place, tmp_path / "from")
    talk(replies=["I go on"])(place.manager(session_id="long"))("go on")
    before = place.rows()
    with pytest.raises(SessionConflictError, match=r"agent 'default' has another state.*new_id="):
        import_of(place, tmp_path / "from")
    assert place.rows() == before
    assert import_of(place, tmp_path / "from", new_id="copy").written == 6


@pytest.mark.parametrize("what", ["agent", "multi_agent"])
def test_another_state_is_left_alone(local: Store, tmp_path: Path, what: str) -> None:
    """An agent or Graph whose document alone is another one is not imported over."""
    file_session(tmp_path / "from")
    graph(FileSessionManager("user-1", storage_dir=str(tmp_path / "from")))
    import_of(local, tmp_path / "from")
    before = local.rows()
    folder = tmp_path / "from" / "session_user-1" / f"{what}s"
    path = sorted(folder.glob(f"{what}_*/{what}.json"))[0]
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "more": 1}), encoding="utf-8")
    with pytest.raises(SessionConflictError, match=rf"{what.replace('_', '-')} '\w+' has another state"):
        import_of(local, tmp_path / "from")
    assert local.rows() == before


def test_another_session_of_the_same_name_is_left_alone(place: Store, tmp_path: Path) -> None:
    """A session that an agent began here is not mixed with one from elsewhere."""
    long_session(tmp_path / "from", 6)
    talk(replies=["hello"])(place.manager(session_id="long"))("hi")
    before = place.rows()
    with pytest.raises(SessionConflictError, match="no earlier import of this source"):
        import_of(place, tmp_path / "from")
    assert place.rows() == before


def half_imported(place: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the first messages of a session: an import that fails on its way."""
    with monkeypatch.context() as patch:
        patch.setattr(_batch, "BATCH_BYTES", 2_000)
        patch.setattr(_batch, "GROUP_BYTES", 1_000)
        broken = folder / MESSAGES / "message_30.json"
        text = broken.read_text(encoding="utf-8")
        broken.write_text("{", encoding="utf-8")
        with pytest.raises(SessionDataError, match=r"message_30\.json can't be imported: it is no JSON"):
            import_of(place, folder)
        broken.write_text(text, encoding="utf-8")


def test_half_of_another_source_is_left_alone(place: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an import left is gone on with from the same source alone."""
    folder = tmp_path / "from"
    long_session(folder, 40)
    half_imported(place, folder, monkeypatch)
    before = place.rows()
    assert 0 < len(before["messages"]) < 40
    assert not before["agents"]
    changed = folder / MESSAGES / "message_3.json"
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("message 3", "message three"), encoding="utf-8")
    with pytest.raises(SessionConflictError, match="message 3 of agent 'default' is another one"):
        import_of(place, folder)
    changed.unlink()
    with pytest.raises(SessionConflictError, match="message 3 of agent 'default' is another one"):
        import_of(place, folder)
    assert place.rows() == before
    changed.write_text(text, encoding="utf-8")
    assert import_of(place, folder).written == 40 - len(before["messages"])


def test_a_half_imported_session_is_not_half_restored(
    place: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent on half an import can't write over it, and half an import is not exported."""
    folder = tmp_path / "from"
    long_session(folder, 40)
    half_imported(place, folder, monkeypatch)
    before = place.rows()
    agent = talk(replies=["hello"])(place.manager(session_id="long"))
    assert agent.messages == []
    with pytest.raises(SessionConflictError):
        agent("hi")
    assert place.rows() == before
    with pytest.raises(SessionDataError, match="an import of it has not come to its end"):
        export_of(place, "long", tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("doing", ["begins", "deletes", "adds"])
def test_a_writer_in_between_is_noticed(
    place: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    """Somebody who begins or deletes the session while it is imported is not written over."""
    monkeypatch.setattr(_batch, "BATCH_BYTES", 2_000)
    monkeypatch.setattr(_batch, "GROUP_BYTES", 1_000)
    long_session(tmp_path / "from", 300)
    repository = PerSQLSessionRepository(place.database())
    told: list[int] = []

    def meanwhile(done: int, total: int | None) -> None:
        told.append(done)
        if len(told) == 1 and doing == "begins":
            repository.create_agent("long", SessionAgent("default", {}, {"removed_message_count": 0}))
        elif len(told) == 1 and doing == "deletes":
            repository.delete_session("long")
        elif len(told) == 1:
            message: Any = {"role": "user", "content": [{"text": "mine"}]}
            repository.create_agent("long", SessionAgent("other", {}, {"removed_message_count": 0}))
            repository.create_message("long", "other", SessionMessage(message, 0))

    with pytest.raises(SessionConflictError):
        import_of(place, tmp_path / "from", progress=meanwhile)
    rows = place.rows()
    assert {row["agent_id"] for row in rows["agents"]} == {
        "begins": {"default"},
        "deletes": set(),
        "adds": {"default", "other"},
    }[doing]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["message", "agent", "graph"])
def test_no_part_outlives_a_deletion(local: Store, tmp_path: Path, what: str) -> None:
    """Where the session is deleted between the requests of one long document, none of its parts stay."""
    long_session(tmp_path / "from", 300)
    manager = FileSessionManager("long", storage_dir=str(tmp_path / "from"))
    text = "x" * 9_000_000
    if what == "message":
        message: Any = {"role": "user", "content": [{"text": text}]}
        manager.create_message("long", "default", SessionMessage(message, 300))
    elif what == "agent":
        manager.update_agent("long", SessionAgent("default", {"text": text}, {"removed_message_count": 0}))
    else:
        folder = tmp_path / "from" / "session_long" / "multi_agents" / "multi_agent_g"
        folder.mkdir(parents=True)
        (folder / "multi_agent.json").write_text(json.dumps({"id": "g", "text": text}), encoding="utf-8")
    handle = Deleting(local)
    with pytest.raises(SessionConflictError, match="was deleted, while it is imported"):
        import_from(stores.Connector(handle, Tables()), opened(tmp_path / "from"))
    assert handle.parts == 1
    assert {name: rows for name, rows in local.rows().items() if rows and name != "schema"} == {}


class Deleting:
    """A handle whose session somebody else deletes once the first request with parts was carried out."""

    def __init__(self, place: Store) -> None:
        self._inner = place.database()
        self._repository = PerSQLSessionRepository(place.database())
        self.parts = 0

    def query(self, *given: Any) -> Any:
        """One statement."""
        return self._inner.query(*given)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        answers = self._inner.batch(statements, transaction=transaction)
        if any("INTO strands_chunks" in statement["sql"] for statement in statements):
            self.parts += 1
            if self.parts == 1:
                self._repository.delete_session("long")
        return answers


class Trimming:
    """A handle whose agents get another live window as soon as they are written."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def query(self, *given: Any) -> Any:
        """One statement."""
        return self._inner.query(*given)

    def batch(self, statements: Any, *, transaction: bool = False) -> Any:
        """One request."""
        answers = self._inner.batch(statements, transaction=transaction)
        if any("INTO strands_agents" in statement["sql"] for statement in statements):
            self._inner.query("UPDATE strands_agents SET live_window = '[[2,null]]'")
        return answers


def test_another_window_is_noticed_when_it_is_read_back(local: Store, tmp_path: Path) -> None:
    """Where only the live window is another one than the source's, the import is not called whole."""
    long_session(tmp_path / "from", 4)
    with pytest.raises(SessionConflictError, match="What was read back of session 'long' is not what the source holds"):
        import_from(stores.Connector(Trimming(local.database()), Tables()), opened(tmp_path / "from"))


@pytest.mark.slow
def test_a_rewrite_while_exporting_is_noticed(local: Store, tmp_path: Path) -> None:
    """What was rewritten while it was read is not called whole."""
    long_session(tmp_path / "from", 300)
    import_of(local, tmp_path / "from")
    repository = PerSQLSessionRepository(local.database())
    message: Any = {"role": "user", "content": [{"text": "rewritten"}]}

    def rewrite(done: int, total: int | None) -> None:
        repository.update_message("long", "default", SessionMessage(message, 4))

    for target in (tmp_path / "to", tmp_path / "to.jsonl"):
        with pytest.raises(SessionConflictError, match="was written to while it was read"):
            export_of(local, "long", target, progress=rewrite)
        assert not (target / "session_long").exists()
        assert not target.is_file()
        assert export_of(local, "long", target).messages == 300
    assert not list(tmp_path.rglob("*.part"))


# Sources that can't be read


def cut(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8")[:20], encoding="utf-8")


def listed(path: Path) -> None:
    path.write_text("[1, 2]", encoding="utf-8")


def latin(path: Path) -> None:
    path.write_bytes('{"message": "ä"}'.encode("latin-1"))


def without_message(path: Path) -> None:
    path.write_text('{"message": {"role": "user", "content": "text"}}', encoding="utf-8")


def linked(path: Path) -> None:
    other = path.with_name("elsewhere")
    path.rename(other)
    path.symlink_to(other)


def deep(path: Path) -> None:
    path.write_text('{"message":' + "[" * 100_000 + "]" * 100_000 + "}", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (f"{MESSAGES}/message_2.json", cut),
        (f"{MESSAGES}/message_2.json", listed),
        (f"{MESSAGES}/message_2.json", latin),
        pytest.param(f"{MESSAGES}/message_2.json", linked, marks=needs_links),
        (f"{MESSAGES}/message_2.json", without_message),
        (f"{MESSAGES}/message_2.json", deep),
        (f"{MESSAGES}/message_2.json", lambda path: path.rename(path.with_name("message_two.json"))),
        (f"{MESSAGES}/message_2.json", lambda path: path.with_name("message_02.json").write_bytes(path.read_bytes())),
        ("session_long/agents/agent_default/agent.json", cut),
        ("session_long/agents/agent_default/agent.json", lambda path: path.write_text("{}", encoding="utf-8")),
        ("session_long/agents/agent_default/agent.json", Path.unlink),
        ("session_long/session.json", listed),
        ("session_long/session.json", Path.unlink),
    ],
)
@pytest.mark.usefixtures("no_collection")
def test_a_file_that_cannot_be_read_is_named(
    local: Store, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    """A damaged source is told by the file's name, and leaves nothing that an agent could restore."""
    long_session(tmp_path / "from", 4)
    path = tmp_path / "from" / name
    damage(path)
    with pytest.raises(SessionDataError) as caught:
        import_of(local, tmp_path / "from")
    assert path.name.replace("_2", "_") in str(caught.value).replace("_02", "_").replace("_2", "_").replace("two", "")
    assert "can't be imported" in str(caught.value)
    assert not talk(replies=[])(local.manager(session_id="long")).messages


def with_window(lines: list[str], window: str) -> list[str]:
    changed = lines[1].replace('"live_window":null', f'"live_window":{window}')
    assert changed != lines[1]
    return [lines[0], changed, *lines[2:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "line that ends session 'long': it was cut short"),
        (lambda lines: [*lines[:3], *lines[4:]], "it says 4 messages, and 3 stand before it"),
        (lambda lines: [*lines[:3], lines[3].replace('"text":"', '"text":"not '), *lines[4:]], "its checksum is not"),
        (lambda lines: [*lines[:3], lines[3][:30], *lines[4:]], "^Line 4 of .* it is no JSON"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "^Line 4 of .* message 0 stands after message 1"),
        (lambda lines: [lines[0], *lines[2:]], "^Line 2 of .* no agent's line stands before"),
        (lambda lines: lines[1:], "^Line 1 of .* first line, with its format and session_id"),
        (lambda lines: [lines[0].replace('"version":1', '"version":2'), *lines[1:]], "has version 2"),
        (lambda lines: [*lines[:2], '{"mesage":0}', *lines[2:]], "^Line 3 of .* it is no agent, message"),
        (lambda lines: [*lines[:2], '{"message":true,"data":{}}', *lines[2:]], "a number from 0 up"),
        (lambda lines: [line.encode() for line in lines], "^Line 1 of .* open the file in text mode"),
        (lambda lines: [], "holds no session to import"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "agents stand in the order of their ids"),
        (
            lambda lines: [lines[0], lines[1].replace('"live_window":null', '"live_window":3'), *lines[2:]],
            "window is none .not a list",
        ),
        (lambda lines: with_window(lines, '["x"]'), r"^Line 2 of .* its live window is none \(a range is no pair"),
        (
            lambda lines: with_window(lines, '[{"text":"x"}]'),
            r"^Line 2 of .* its live window is none \(an inline message has no role",
        ),
        (lambda lines: with_window(lines, "[[0,-1]]"), r"^Line 2 of .* \(a range is no pair of positions"),
        (lambda lines: with_window(lines, "[[0,1]]"), "its checksum of live windows is not that of the lines"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    local: Store, tmp_path: Path, change: Callable[[list[str]], list[str]], words: str
) -> None:
    """Damaged lines are told by their number, and leave nothing that an agent could restore."""
    long_session(tmp_path / "from", 4)
    import_of(local, tmp_path / "from")
    stream = io.StringIO()
    export_of(local, "long", stream)
    other = Store(tmp_path / "other.db")
    with pytest.raises(SessionDataError, match=words):
        import_of(other, change(stream.getvalue().splitlines()))
    assert not talk(replies=[])(other.manager(session_id="long")).messages
    other.close()


def lines_of(items: list[Item]) -> list[str]:
    """What an export would write."""
    return list(_jsonl.lines_of(items, "s", 0, Checksum()))


@pytest.mark.parametrize(
    ("agent_id", "words"),
    [
        ("../../x", "empty or holds a path separator"),
        ("/x", "empty or holds a path separator"),
        ("", "empty or holds a path separator"),
        ("\ud800", "no valid Unicode"),
    ],
)
def test_an_agent_that_no_agent_could_open_is_not_brought_in(local: Store, agent_id: str, words: str) -> None:
    """An id that Strands refuses, or that no database stores, is named; nothing of the session is restored."""
    agent = SessionAgent(agent_id, {}, {"removed_message_count": 0})
    items: list[Item] = [HeadItem({"session_id": "s"}), StateItem("agent", agent_id, agent.to_dict())]
    lines = lines_of(items)
    with pytest.raises(SessionDataError, match=rf"^Agent '.*' of session 's' can't be imported: .*{words}"):
        import_of(local, lines)
    assert not local.path.exists() or not local.rows()["agents"]


def test_a_graph_that_no_database_stores_is_not_brought_in(local: Store) -> None:
    """A Graph's id may hold a path separator, which Strands takes; but it is valid Unicode."""
    lines = lines_of([HeadItem({"session_id": "s"}), StateItem("multi_agent", "\udfff", {"id": "g"})])
    with pytest.raises(
        SessionDataError, match=r"^Multi-agent '.*' of session 's' can't be imported: .*no valid Unicode"
    ):
        import_of(local, lines)
    lines = lines_of([HeadItem({"session_id": "s"}), StateItem("multi_agent", "a/b", {"id": "a/b"})])
    assert import_of(local, lines).multi_agents == 1


def test_a_broken_window_is_not_taken_out(local: Store, tmp_path: Path) -> None:
    """A live window that no agent restores from is named when its session is exported."""
    long_session(tmp_path / "from", 5)
    import_of(local, tmp_path / "from")
    with local.sqlite() as connection:
        connection.execute("UPDATE strands_agents SET live_window = '[\"x\"]'")
    with pytest.raises(
        SessionDataError, match=r"'default' can't be read: its live window is none \(a range is no pair.*live_window"
    ):
        export_of(local, "long", tmp_path / "to.jsonl")
    assert not (tmp_path / "to.jsonl").exists()


def test_sources_that_are_none(local: Store, tmp_path: Path) -> None:
    """What can't be a source is refused by name, before anything is written."""
    long_session(tmp_path / "from", 2)
    for source in (3, b"bytes", None, object()):
        with pytest.raises(TypeError, match="source must be the folder of a FileSessionManager"):
            import_of(local, source)
    with pytest.raises(SessionDataError, match="There is no folder"):
        import_of(local, tmp_path / "nowhere")
    with pytest.raises(SessionDataError, match="There is no file"):
        import_of(local, tmp_path / "nowhere.jsonl")
    with pytest.raises(SessionDataError, match="holds no session 'other'"):
        import_of(local, tmp_path / "from", session_id="other")
    with pytest.raises(ValueError, match="agent_ids"):
        import_of(local, tmp_path / "from", agent_ids=["default"])
    with pytest.raises(ValueError, match="session_id"):
        import_of(local, tmp_path / "from", new_id=" ")
    assert not local.path.exists() or not local.rows()["sessions"]


def test_a_storage_without_snapshots(local: Store, tmp_path: Path) -> None:
    """A snapshot manager that has saved nothing yet: the error says that there is none."""
    snapshots = pytest.importorskip("strands.session.snapshot_session_manager")
    storage = pytest.importorskip("strands.storage").LocalFileStorage(str(tmp_path / "snapshots"))
    with pytest.raises(SessionDataError, match="holds no snapshot of session 's'"):
        import_of(local, snapshots.SnapshotSessionManager("s", storage=storage))


# Targets that can't be written


def test_a_place_that_is_taken_is_left_alone(local: Store, tmp_path: Path) -> None:
    """A folder or file that holds something else is refused, and stays; an export of the same session is replaced."""
    long_session(tmp_path / "from", 5)
    import_of(local, tmp_path / "from")
    long_session(tmp_path / "to", 4)
    before = files(tmp_path / "to")
    with pytest.raises(SessionDataError, match="exists already and holds something else"):
        export_of(local, "long", tmp_path / "to")
    assert files(tmp_path / "to") == before
    lines = tmp_path / "to.jsonl"
    lines.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(SessionDataError, match="is no export of session 'long' alone"):
        export_of(local, "long", lines)
    assert lines.read_text(encoding="utf-8") == "my notes\n"
    lines.unlink()
    export_of(local, "long", lines)
    talk(replies=["more"])(local.manager(session_id="long"))("go on")
    assert export_of(local, "long", lines).messages == 7
    with open(lines, "a", encoding="utf-8") as stream:
        stream.write(lines.read_text(encoding="utf-8").replace('"long"', '"other"'))
    with pytest.raises(SessionDataError, match="is no export of session 'long' alone"):
        export_of(local, "long", lines)
    with pytest.raises(ValueError, match="is a file"):
        export_of(local, "long", tmp_path / "place.db")
    with pytest.raises(TypeError, match="target must be a path"):
        export_of(local, "long", 3)


def test_an_extra_message_in_the_place_is_noticed(local: Store, tmp_path: Path) -> None:
    """A folder that holds all of a session, and more, is not called the same; an earlier try's leavings are removed."""
    long_session(tmp_path / "from", 5)
    import_of(local, tmp_path / "from")
    long_session(tmp_path / "from", 6, first=5)
    (tmp_path / "from" / "session_long").rename(tmp_path / "from" / ".session_long.part")
    assert export_of(local, "long", tmp_path / "from").messages == 5
    (tmp_path / "from" / ".session_long.part" / "agents").mkdir(parents=True)
    assert export_of(local, "long", tmp_path / "from").written == 0
    assert not (tmp_path / "from" / ".session_long.part").exists()
    long_session(tmp_path / "from", 6, first=5)
    before = files(tmp_path / "from")
    with pytest.raises(SessionDataError, match="What was read back"):
        export_of(local, "long", tmp_path / "from")
    assert files(tmp_path / "from") == before


@pytest.mark.parametrize("name", ["a/b", "a\\b", "../up", "nul\0"])
def test_ids_that_are_no_names_stay_out_of_folders(local: Store, tmp_path: Path, name: str) -> None:
    """An id with a path in it never becomes one; lines take it."""
    repository = PerSQLSessionRepository(local.database())
    file_session(tmp_path / "from")
    import_of(local, tmp_path / "from", new_id="plain")
    repository.create_agent("plain", SessionAgent(name, {}, {"removed_message_count": 0}))
    import_of(local, tmp_path / "from", new_id=name)
    before = files(tmp_path)
    for session_id in (name, "plain"):
        with pytest.raises(ValueError, match=r"can't be a folder's name.*\.jsonl"):
            export_of(local, session_id, tmp_path / "to")
        assert not [path for path in files(tmp_path) if path not in before and "place" not in path and path != "to"]
        assert export_of(local, session_id, io.StringIO()).messages == 16


def test_an_id_that_is_too_long_for_a_name_stays_out_of_folders(local: Store, tmp_path: Path) -> None:
    """No file system takes it: it is told before anything is written; lines take it."""
    repository = PerSQLSessionRepository(local.database())
    file_session(tmp_path / "from")
    long = "ä" * 2_500
    import_of(local, tmp_path / "from", new_id="plain")
    repository.create_agent("plain", SessionAgent(long, {}, {"removed_message_count": 0}))
    import_of(local, tmp_path / "from", new_id=long)
    fits = "ä" * 120
    import_of(local, tmp_path / "from", new_id=fits)
    for session_id, kind in ((long, "session"), ("plain", "agent")):
        with pytest.raises(ValueError, match=rf"^The {kind} id 'ä+…ä+' can't be a folder's name: it is longer.*jsonl"):
            export_of(local, session_id, tmp_path / "to")
        assert not list((tmp_path / "to").glob("*"))
        assert export_of(local, session_id, tmp_path / "to.jsonl").messages == 16
        (tmp_path / "to.jsonl").unlink()
    assert export_of(local, fits, tmp_path / "to").messages == 16


@pytest.mark.parametrize("name", ["user:42", "who?", "a*", "<a>", "a|b", 'a"b', "a\nb", "a.", "a "])
def test_ids_that_windows_takes_for_no_names(name: str) -> None:
    """Behind a colon a file has a stream of its own, and a last dot is dropped: two ids might be one folder there."""
    assert is_no_name_on_windows(name) and not is_no_name_on_windows("a.b c-日本 é'%")


@needs_links
def test_ids_that_are_one_name_to_the_file_system(local: Store, tmp_path: Path) -> None:
    """As `a` and `A` are on macOS and Windows, for which a link stands here: no agent's files become another's."""
    repository = PerSQLSessionRepository(local.database())
    repository.create_session(Session("s", SessionType.AGENT))
    for agent_id in ("A", "a", "b"):
        repository.create_agent("s", SessionAgent(agent_id, {}, {"removed_message_count": 0}))
    agents = tmp_path / "to" / ".session_s.part" / "agents"
    (agents / "agent_A").mkdir(parents=True)
    (agents / "agent_a").symlink_to(agents / "agent_A")
    with pytest.raises(ValueError, match=r"'a' and 'agent_A' are one name to the file system .*\.jsonl"):
        export_of(local, "s", tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())
    assert len(export_of(local, "s", tmp_path / "to").checksum) == 64


@pytest.mark.parametrize(
    "inside", ["", "agents", "multi_agents", "agents/agent_default", "agents/agent_default/messages"]
)
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_the_way_is_not_followed(local: Store, tmp_path: Path, inside: str, dangling: bool) -> None:
    """A symbolic link that somebody put where an export writes leads nothing out of its folder."""
    long_session(tmp_path / "from", 5)
    import_of(local, tmp_path / "from")
    other = tmp_path / "other"
    if not dangling:
        other.mkdir()
    link = tmp_path / "to" / ".session_long.part" / inside
    link.parent.mkdir(parents=True)
    link.symlink_to(other)
    with pytest.raises(SessionDataError, match="is a symbolic link"):
        export_of(local, "long", tmp_path / "to")
    assert not other.exists() or not list(other.iterdir())
    assert not (tmp_path / "to" / "session_long").exists()


def test_a_session_that_is_not_there(place: Store, tmp_path: Path) -> None:
    """Exporting what does not exist says so, and leaves nothing."""
    for target in (tmp_path / "to", tmp_path / "to.jsonl"):
        with pytest.raises(SessionDataError, match="does not exist in this database"):
            export_of(place, "nobody", target)
        assert not target.exists()


def test_a_row_that_cannot_be_read_is_named(local: Store, tmp_path: Path) -> None:
    """A damaged row stops an export, and is named."""
    long_session(tmp_path / "from", 5)
    import_of(local, tmp_path / "from")
    with local.sqlite() as connection:
        connection.execute("UPDATE strands_messages SET data = '{' WHERE message_id = 3")
    with pytest.raises(SessionDataError, match="Message 3 of agent 'default' can't be read"):
        export_of(local, "long", tmp_path / "to")
    assert not (tmp_path / "to" / "session_long").exists()


# Requests and roles


@pytest.mark.slow
def test_an_import_takes_few_requests(remote: Remote, tmp_path: Path) -> None:
    """A thousand messages take a handful of requests, counted as the service counts them; a second run only reads."""
    long_session(tmp_path / "from", 1000)
    import_of(remote, long_session(tmp_path / "first", 1, "first"))
    remote.emulator.reset()
    transfer = import_of(remote, tmp_path / "from", session_id="long")
    assert transfer.requests == remote.emulator.requests <= 12
    remote.emulator.reset()
    again = import_of(remote, tmp_path / "from")
    assert again.requests == remote.emulator.requests <= 12
    assert not [sql for request in remote.emulator.log for sql in request.sql if not sql.startswith("SELECT")]


def test_an_import_writes_each_row_once(remote: Remote, tmp_path: Path) -> None:
    """The service bills a row for each document, and no more."""
    import_of(remote, long_session(tmp_path / "first", 1, "first"))
    remote.emulator.reset()
    import_of(remote, long_session(tmp_path / "from", 500))
    assert remote.emulator.billing.rows_written == 502


def test_a_reader_exports_and_a_writer_imports(remote: Remote, tmp_path: Path) -> None:
    """A token that only reads is enough to export, one without DDL to import; one that only reads imports nothing."""
    from strands_persql.administration.transfer import export, import_from, opened
    from strands_persql.database.connector import Connector as Tables_
    from strands_persql.database.tables import Tables

    long_session(tmp_path / "from", 20)
    import_of(remote, long_session(tmp_path / "first", 1, "first"))
    reader = Tables_(remote.database("readonly"), Tables())
    with pytest.raises(PermissionDeniedError):
        import_from(reader, opened(tmp_path / "from"))
    import_from(Tables_(remote.database("readwrite"), Tables()), opened(tmp_path / "from"))
    assert export(reader, "long", tmp_path / "to").messages == 20


def test_strands_reads_what_is_exported(local: Store, tmp_path: Path) -> None:
    """Strands' own manager goes on with an exported session, in its own files."""
    build = talk()
    live = build(local.manager(session_id="user-1"))
    for prompt in ("a picture, please", "remember this", "my number is 123", "and one", "and two"):
        live(prompt)
    export_of(local, "user-1", tmp_path / "to")
    agent = talk(replies=["I am theirs now"])(FileSessionManager("user-1", storage_dir=str(tmp_path / "to")))
    assert json.dumps(agent.messages[-1]["content"]) == json.dumps(live.messages[-1]["content"])
    agent("whose are you?")
    assert import_of(local, tmp_path / "to", new_id="back").messages == len(local.messages(session_id="user-1")) + 2


@needs_links
@pytest.mark.parametrize(
    "at", ["", "agents", "agents/agent_default", "agents/agent_default/messages", "agents/agent_default/agent.json"]
)
def test_nothing_is_read_through_a_link(tmp_path: Path, at: str) -> None:
    """Whichever folder or file of a session is one: it may lead to somebody else's session."""
    for name in ("mine", "theirs"):
        manager = FileSessionManager("s", storage_dir=str(tmp_path / name))
        Agent(model=ScriptedModel(["ok"]), session_manager=manager, callback_handler=None)(f"{name} alone")
    place, target = tmp_path / "mine" / "session_s" / at, tmp_path / "theirs" / "session_s" / at
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(target)
    with PerSQL(local=":memory:") as client:
        database = client.database("a/b")
        stores.Connector(database, Tables("strands_")).set_up()
        with pytest.raises(SessionDataError, match="it is a symbolic link"):
            PerSQLSessions(database).import_from(tmp_path / "mine")
        assert "theirs alone" not in str(stored_rows(database))


@needs_posix("no pipe has a name in a folder")
@pytest.mark.parametrize("name", ["session.json", "agents/agent_default/messages/message_0.json"])
def test_an_import_waits_for_no_pipe(tmp_path: Path, name: str) -> None:
    """Reading one that nobody writes to never ends."""
    manager = FileSessionManager("s", storage_dir=str(tmp_path))
    Agent(model=ScriptedModel(["ok"]), session_manager=manager, callback_handler=None)("hi")
    place = tmp_path / "session_s" / name
    place.unlink()
    os.mkfifo(place)
    with PerSQL(local=":memory:") as client, pytest.raises(SessionDataError, match="it is no file"):
        PerSQLSessions(client.database("a/b")).import_from(tmp_path)
