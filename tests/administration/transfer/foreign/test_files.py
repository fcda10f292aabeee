"""What holds of the file of every library: it is read alone, checked, gone on with, and its agents go on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from strands import Agent

from strands_persql import PerSQLSessionManager, SessionDataError
from strands_persql.administration.transfer import _batch, _import, is_foreign

from ....agents.scripted import ScriptedModel
from ....systems import needs_linux
from .files import NAMES, Imported, made


def files(folder: Path) -> dict[str, str]:
    """The files of a folder, and what is in them."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("log", [False, True], ids=["journal", "log"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_to_the_source(name: str, log: bool, tmp_path: Path, place: Imported) -> None:
    """The file is as it was, and there is no other beside it."""
    (tmp_path / "theirs").mkdir()
    path = made(name, tmp_path / "theirs", log=log)
    before = files(path.parent)
    assert is_foreign(path)
    assert place.sessions.import_from(path)
    assert files(path.parent) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_second_import_writes_nothing(name: str, tmp_path: Path, place: Imported) -> None:
    """What was imported is found again, with the same checksum."""
    path = made(name, tmp_path)
    first = place.sessions.import_from(path)
    rows = place.rows()
    second = place.sessions.import_from(str(path))
    assert [(each.session_id, each.checksum, each.messages) for each in second] == [
        (each.session_id, each.checksum, each.messages) for each in first
    ]
    assert sum(each.written for each in first) == sum(each.messages for each in first) > 0
    assert sum(each.written for each in second) == 0
    assert place.rows() == rows


@pytest.mark.parametrize("name", NAMES)
def test_an_import_that_was_cut_off_goes_on(
    name: str, tmp_path: Path, place: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an import that failed in its middle what was stored is not sent again."""
    path = made(name, tmp_path)
    [session_id, *_] = [each.session_id for each in place.sessions.import_from(path)]
    whole = place.rows()
    other = tmp_path / "other"
    other.mkdir()
    second = Imported(other)
    monkeypatch.setattr(_batch, "GROUP_BYTES", 1)
    monkeypatch.setattr(_batch, "BATCH_BYTES", 1)
    state = _import._Import._finish

    def fails(self: Any) -> None:
        self._batch.send()
        raise OSError("cut off")

    monkeypatch.setattr(_import._Import, "_finish", fails)
    with pytest.raises(OSError, match="cut off"):
        second.sessions.import_from(path, session_id=session_id)
    assert second.rows()["messages"]
    assert not second.rows()["agents"]
    monkeypatch.setattr(_import._Import, "_finish", state)
    assert {each.session_id for each in second.sessions.import_from(path)} >= {session_id}
    for table in ("sessions", "messages", "agents"):
        assert [{**row, "revision": 0} for row in second.rows()[table]] == [
            {**row, "revision": 0} for row in whole[table]
        ]
    second.client.close()


@pytest.mark.parametrize("name", NAMES)
def test_agents_go_on(name: str, tmp_path: Path, place: Imported) -> None:
    """An agent restores from what was imported, without a word in the log, and takes the next prompt."""
    for each in place.sessions.import_from(made(name, tmp_path)):
        [agent, *_] = place.sessions.get(each.session_id).agents
        for words in ("I go on", "and on"):
            with PerSQLSessionManager(each.session_id, place.database) as manager:
                live = Agent(
                    agent_id=agent.agent_id,
                    model=ScriptedModel([words]),
                    session_manager=manager,
                    callback_handler=None,
                )
                assert str(live("go on")).strip() == words
        assert place.said(each.session_id, agent.agent_id)[-1] == ("assistant", [{"text": "and on"}])
        assert len(place.said(each.session_id, agent.agent_id)) == agent.messages + 4


@pytest.mark.parametrize("name", NAMES)
def test_one_session_under_another_name(name: str, tmp_path: Path, place: Imported) -> None:
    """A session is named, and renamed; one that is not there is told."""
    path = made(name, tmp_path)
    [session_id, *_] = sorted({each.session_id for each in place.sessions.import_from(path)})
    [renamed] = place.sessions.import_from(path, session_id=session_id, new_id="mine")
    assert place.said("mine") == place.said(session_id)
    assert renamed.written == renamed.messages
    with pytest.raises(SessionDataError, match=r"holds no session 'nobody' to import"):
        place.sessions.import_from(path, session_id="nobody")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_short_is_told(name: str, tmp_path: Path, place: Imported) -> None:
    """Of a damaged file nothing is imported that an agent could restore from."""
    path = made(name, tmp_path)
    os.truncate(path, path.stat().st_size // 4096 // 2 * 4096)
    with pytest.raises(SessionDataError, match=r"can't be imported: SQLite can't read it|tables are of no library"):
        place.sessions.import_from(path)
    assert place.rows()["agents"] == []


@needs_linux("file systems elsewhere take names that are Unicode, and fewer signs")
def test_any_name_is_opened(tmp_path: Path, place: Imported) -> None:
    """A path may have what means something in an address, and bytes that are no UTF-8."""
    path = made(NAMES[0], tmp_path)
    odd = tmp_path / os.fsdecode(b"50 %41?mode=rwc#\xff.db")
    path.rename(odd)
    assert place.sessions.import_from(odd)
