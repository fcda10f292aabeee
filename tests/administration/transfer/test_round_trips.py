"""What goes through the tables comes out the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from strands.session import FileSessionManager, RepositorySessionManager
from strands.types.session import SessionAgent, SessionMessage

from strands_persql import PerSQLSessionRepository, PerSQLSessions

from ...agents.agents import agent_of
from ...agents.harness import (
    RecordingDatabase,
    Store,
    assert_same,
    canonical,
    capture,
)
from ...agents.scripted import ScriptedModel, text
from .material import (
    PlainRepository,
    documents,
    export_of,
    file_session,
    files,
    graph,
    import_of,
    long_session,
    talk,
)


def test_files_come_back_to_the_byte(place: Store, tmp_path: Path) -> None:
    """A session of Strands' own files comes out of the tables file by file, each byte the same."""
    file_session(tmp_path / "from")
    imported = import_of(place, tmp_path / "from")
    exported = export_of(place, "user-1", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")
    assert imported.checksum == exported.checksum
    assert (imported.agents, imported.messages, imported.written) == (1, 16, 16)
    assert (exported.agents, exported.messages, exported.written) == (1, 16, 16)


def test_a_graph_comes_back_to_the_byte(place: Store, tmp_path: Path) -> None:
    """A Graph's state goes along, and its nodes' folders."""
    graph(FileSessionManager("g", storage_dir=str(tmp_path / "from")))
    imported = import_of(place, tmp_path / "from" / "session_g")
    export_of(place, "g", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")
    assert imported.multi_agents == 1


@pytest.mark.parametrize("summarizing", [False, True], ids=["sliding", "summarizing"])
def test_an_imported_agent_goes_on(place: Store, tmp_path: Path, summarizing: bool) -> None:
    """An agent restores from an imported session what Strands' own manager restores from the files."""
    folder = tmp_path / "from"
    file_session(folder, build=talk(summarizing=summarizing))
    import_of(place, folder)
    build = talk(summarizing=summarizing, replies=["I am back"])
    theirs = build(FileSessionManager("user-1", storage_dir=str(folder)))
    ours = build(place.manager(session_id="user-1"))
    assert_same(theirs, ours)
    ours("are you?")
    again = build(place.manager(session_id="user-1"))
    assert_same(ours, again)


@pytest.mark.parametrize("summarizing", [False, True], ids=["sliding", "summarizing"])
def test_lines_carry_the_live_window(place: Store, tmp_path: Path, summarizing: bool) -> None:
    """Through a .jsonl file an agent restores just what it was, whatever its window."""
    build = talk(summarizing=summarizing)
    live = build(place.manager(session_id="user-1"))
    for prompt in ("a picture, please", "remember this", "my number is 123", "and one", "and two", "and three"):
        live(prompt)
    if summarizing:
        live.conversation_manager.reduce_context(live)
        live("and four")
    del live.messages[1:3]  # what no rule of Strands' tells
    live("and five")
    exported = export_of(place, "user-1", tmp_path / "to.jsonl")
    imported = import_of(place, tmp_path / "to.jsonl", new_id="user-2")
    assert imported.checksum == exported.checksum
    assert_same(live, build(place.manager(session_id="user-2")))
    first, second = (
        [{**row, "session_id": "", "revision": 0} for row in place.rows()["agents"] if row["session_id"] == each]
        for each in ("user-1", "user-2")
    )
    assert canonical(first) == canonical(second)
    assert first[0]["live_window"] != [[0, None]]


def test_the_first_line_counts_what_follows(place: Store) -> None:
    """Messages that come in while a session is exported are neither in the lines nor in their number."""
    live = agent_of(ScriptedModel([text("one"), text("two")]))(place.manager(session_id="s"))
    live("hello")
    database = RecordingDatabase(place.database())
    requests = 0

    def write(request: Any) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            live("more")

    database.on_call = write
    stream = io.StringIO()
    PerSQLSessions(database).export("s", stream)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (lines[0]["messages"], lines[-1]["messages"]) == (2, 2) and len(live.messages) == 4


def test_a_graph_goes_through_lines(place: Store) -> None:
    """A Graph restores from lines, read from a stream and written to one."""
    graph(place.manager(session_id="g"))
    stream = io.StringIO()
    exported = export_of(place, "g", stream)
    imported = import_of(place, io.StringIO(stream.getvalue()), new_id="h")
    assert exported.checksum == imported.checksum
    rows = [row["data"] for row in place.rows()["multi_agents"]]
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert stream.getvalue().splitlines() == stream.getvalue().split("\n")[:-1]


def test_the_checksum_is_the_same_in_every_form(local: Store, tmp_path: Path) -> None:
    """Files, lines and tables of one session have one checksum, and another message has another."""
    file_session(tmp_path / "from")
    sums = {
        import_of(local, tmp_path / "from").checksum,
        export_of(local, "user-1", tmp_path / "to").checksum,
        export_of(local, "user-1", tmp_path / "to.jsonl").checksum,
        import_of(local, tmp_path / "to.jsonl", new_id="user-2").checksum,
        import_of(local, tmp_path / "to", new_id="user-3").checksum,
    }
    assert len(sums) == 1
    path = tmp_path / "to/session_user-1/agents/agent_default/messages/message_3.json"
    path.write_text(path.read_text(encoding="utf-8").replace("created_at", "made_at"), encoding="utf-8")
    assert import_of(local, tmp_path / "to", new_id="user-4").checksum not in sums


def test_fields_and_positions_are_kept(local: Store, tmp_path: Path) -> None:
    """Unknown fields, gaps between positions, and numbers as they are written come back; so do redactions."""
    folder = long_session(tmp_path / "from", 3)
    messages = folder / "agents/agent_default/messages"
    (messages / "message_1.json").unlink()
    odd = {
        "message": {"role": "user", "content": [{"text": "x"}], "x-mine": [1.0, 1e300, 10**25, float("nan"), "\u2028"]},
        "message_id": 40,
        "redact_message": {"role": "user", "content": [{"text": "[redacted]"}]},
        "created_at": "then",
        "updated_at": "now",
        "later_field": {"b": 1, "a": 2},
    }
    (messages / "message_40.json").write_text(json.dumps(odd, indent=2, ensure_ascii=False), encoding="utf-8")
    import_of(local, folder)
    export_of(local, "long", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")
    assert [row["message_id"] for row in local.rows()["messages"]] == [0, 2, 40]
    build = talk(replies=["fine"])
    theirs = build(FileSessionManager("long", storage_dir=str(tmp_path / "from")))
    ours = build(local.manager(session_id="long"))
    assert canonical(theirs.messages) == canonical(ours.messages)
    ours("go on")
    assert [row["message_id"] for row in local.rows()["messages"]] == [0, 2, 40, 41, 42]


@pytest.mark.slow
def test_long_documents_go_in_parts(place: Store, tmp_path: Path) -> None:
    """Messages and states beyond a row's size come back whole, among small ones."""
    manager = FileSessionManager("big", storage_dir=str(tmp_path / "from"))
    manager.create_agent("big", SessionAgent("default", {"notes": "ß" * 1_200_000}, {"removed_message_count": 0}))
    for number, size in enumerate([10, 4_500_000, 10, 300_000, 150_000, 999_000, 20]):
        message: Any = {"role": "user", "content": [{"text": '"\\\n' * (size // 3)}]}
        manager.create_message("big", "default", SessionMessage(message, number))
    imported = import_of(place, tmp_path / "from")
    assert imported.written == 7
    assert import_of(place, tmp_path / "from").written == 0
    export_of(place, "big", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")


def test_what_is_exported_is_private_and_whole(local: Store, tmp_path: Path) -> None:
    """Only their owner may read what is exported, and nothing half-written is left beside it."""
    file_session(tmp_path / "from")
    import_of(local, tmp_path / "from")
    export_of(local, "user-1", tmp_path / "to")
    export_of(local, "user-1", tmp_path / "to.jsonl")
    export_of(local, "user-1", tmp_path / "new" / "folder" / "to.jsonl")
    paths = [tmp_path / "to.jsonl", *(tmp_path / "to").rglob("*"), tmp_path / "new", *(tmp_path / "new").rglob("*")]
    if os.name == "posix":
        assert not [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".part", ".tmp"))]


def test_several_sessions_at_once(local: Store, tmp_path: Path) -> None:
    """Without a session_id all that a source has comes in; with one, that alone."""
    for name in ("a", "b", "c"):
        long_session(tmp_path / "from", 4, name)
    (tmp_path / "from" / "session_died" / "agents").mkdir(parents=True)
    one = import_of(local, tmp_path / "from", session_id="b")
    assert (one.session_id, one.written) == ("b", 4)
    every = import_of(local, str(tmp_path / "from"))
    assert [(each.session_id, each.written) for each in every] == [("a", 4), ("b", 0), ("c", 4)]
    lines = tmp_path / "all.jsonl"
    with open(lines, "w", encoding="utf-8") as stream:
        for name in ("a", "b", "c"):
            export_of(local, name, stream)
    third = import_of(local, lines, session_id="c", new_id="d")
    assert (third.session_id, third.written) == ("d", 4)
    with pytest.raises(ValueError, match="new_id is for one session, and the source has 3"):
        import_of(local, lines, new_id="e")
    with pytest.raises(ValueError, match="new_id is for one session, and the source has 3"):
        import_of(local, tmp_path / "from", new_id="e")


def test_managers_and_repositories_are_sources(local: Store, tmp_path: Path) -> None:
    """A manager stands for its own session; a repository that can't list needs to be told."""
    manager = file_session(tmp_path / "from")
    long_session(tmp_path / "from", 4)
    by_manager = import_of(local, manager)
    assert by_manager.session_id == "user-1"

    other = Store(tmp_path / "other.db")
    repository = PerSQLSessionRepository(local.database())
    copied = import_of(other, repository, session_id="user-1")
    assert copied.checksum == by_manager.checksum
    wrapped = RepositorySessionManager("user-1", repository)
    assert import_of(other, wrapped).written == 0
    plain = PlainRepository(manager)
    with pytest.raises(ValueError, match="Name the one to import: session_id="):
        import_of(other, plain)
    with pytest.raises(ValueError, match="Name them: agent_ids="):
        import_of(other, plain, session_id="user-1")
    assert import_of(other, plain, session_id="user-1", agent_ids=["default"]).written == 0
    assert import_of(other, plain, session_id="long", agent_ids=["default"]).written == 4
    other.close()


def test_lines_can_be_read_by_people(local: Store, tmp_path: Path) -> None:
    """A .jsonl file is what its documentation says."""
    long_session(tmp_path / "from", 2)
    transfer = import_of(local, tmp_path / "from")
    export_of(local, "long", tmp_path / "to.jsonl")
    head, agent, *messages, end = documents(tmp_path / "to.jsonl")
    assert list(head) == ["format", "version", "session_id", "messages", "session"]
    assert (agent["agent"], agent["live_window"]) == ("default", None)
    assert [message["message"] for message in messages] == [0, 1]
    windows = hashlib.sha256(b"null\n").hexdigest()
    sums = {"checksum": transfer.checksum, "windows": windows, "objects": hashlib.sha256().hexdigest()}
    assert end == {"end": "long", "messages": 2, **sums}


@pytest.mark.slow
def test_progress_is_told(place: Store, tmp_path: Path) -> None:
    """Progress goes up to the whole, both ways, written or found."""
    long_session(tmp_path / "from", 250)
    told: list[tuple[int, int | None]] = []

    def tell(done: int, total: int | None) -> None:
        told.append((done, total))

    for _ in range(2):
        told.clear()
        import_of(place, tmp_path / "from", progress=tell)
        assert told == sorted(told)
        assert told[-1] == (250, 250)
    for target in (tmp_path / "to", tmp_path / "to.jsonl", io.StringIO()):
        told.clear()
        export_of(place, "long", target, progress=tell)
        assert told[-1] == (250, 250)


def test_captured_state_is_equal_to_the_last_field(local: Store, tmp_path: Path) -> None:
    """The agent restored after File, tables and File again is the one that Strands' manager knew."""
    file_session(tmp_path / "from")
    import_of(local, tmp_path / "from")
    export_of(local, "user-1", tmp_path / "to")
    build = talk(replies=[])
    one, two = (build(FileSessionManager("user-1", storage_dir=str(tmp_path / name))) for name in ("from", "to"))
    assert capture(one) == capture(two)
