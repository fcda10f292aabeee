"""Exports to one place at once, and what killed ones have left there."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQLSessions, SessionDataError
from strands_persql.administration.transfer import _tables as stored
from strands_persql.administration.transfer._beside import Beside
from strands_persql.administration.transfer._progress import Reporter

from ...agents.harness import Store
from .material import files, import_of, long_session

WAIT = 60
COUNT = 30


class Halted:
    """An export in a thread of its own that halts among its messages.

    Attributes:
        error: What it raised.
    """

    def __init__(self, sessions: PerSQLSessions, target: Path, **options: Any) -> None:
        self.error: BaseException | None = None
        self._halted, self._goes_on = threading.Event(), threading.Event()
        self._export = partial(sessions.export, "long", target, progress=self._told, **options)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._halted.wait(WAIT)

    def end(self) -> None:
        """Let it go on to its end."""
        self._goes_on.set()
        self._thread.join(WAIT)

    def _run(self) -> None:
        try:
            self._export()
        except BaseException as error:
            self.error = error
        self._halted.set()

    def _told(self, done: int, total: int | None) -> None:
        if done >= COUNT // 2:
            self._halted.set()
            assert self._goes_on.wait(WAIT)


@pytest.fixture
def sessions(local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PerSQLSessions:
    """A database with a session; exports tell of each page of a few messages."""
    monkeypatch.setattr(stored, "SMALLEST_PAGE", 5)
    monkeypatch.setattr(stored, "LARGEST_PAGE", 5)
    monkeypatch.setattr(Reporter, "STEP", 1)
    long_session(tmp_path / "from", COUNT)
    import_of(local, tmp_path / "from")
    return PerSQLSessions(local.database())


@pytest.mark.parametrize(("name", "options"), [("to.jsonl", {}), ("to.md", {"form": "markdown"})])
def test_two_exports_to_one_file(sessions: PerSQLSessions, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """Each writes a file of its own: whoever ends last, what stands there is whole."""
    target = tmp_path / "to" / name
    halted = Halted(sessions, target, **options)
    sessions.export("long", target, **options)
    whole = target.read_bytes()
    halted.end()
    assert halted.error is None
    assert target.read_bytes() == whole
    assert [path.name for path in target.parent.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_two_exports_to_one_folder(sessions: PerSQLSessions, tmp_path: Path) -> None:
    """The second one is told to wait, and changes nothing; one that was cut off is in nobody's way."""
    target = tmp_path / "to"

    def cut_off(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.export("long", target, progress=cut_off)
    halted = Halted(sessions, target)
    with pytest.raises(SessionDataError, match="Another export writes to"):
        sessions.export("long", target)
    halted.end()
    assert halted.error is None
    assert files(target) == files(tmp_path / "from")
    assert sessions.export("long", target).written == 0


def test_what_a_killed_export_left_is_deleted(sessions: PerSQLSessions, tmp_path: Path) -> None:
    """By the next one to the same place; that of one that is alive stays, and so does what is nobody's."""
    target = tmp_path / "to.jsonl"
    alive = Beside(target)
    path = alive.make()
    (tmp_path / ".to.jsonl.0123abcd.part").write_text("left")
    others = [tmp_path / ".to.jsonl.mine.part", tmp_path / ".to.md.0123abcd.part"]
    for other in others:
        other.write_text("others'")
    sessions.export("long", target)
    assert sorted(tmp_path.glob(".to*")) == sorted([path, *others])
    alive.discard()
    assert not path.exists()
