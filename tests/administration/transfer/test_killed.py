"""Processes that die in the middle of an import or export, and the same run again."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from strands.session import FileSessionManager

from strands_persql import TransportError

from ... import processes
from ...agents.harness import assert_same
from ...agents.remote.places import Remote
from ...emulator import Emulator, faults
from .material import (
    export_of,
    files,
    import_of,
    long_session,
    store_of,
    talk,
)

COUNT = 400
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def place(emulator: Emulator, tmp_path: Path) -> Iterator[Remote]:
    """A database of the service."""
    place = Remote(tmp_path, emulator=emulator, options={"timeout": 60.0})
    yield place
    place.close()


def killed(place: Remote, way: str, path: Path, *, at: int, delay: float) -> int:
    """Let a process go on until it has told of so many messages, and a moment more; how it ended."""
    emulator = place.emulator
    arguments = [emulator.url, emulator.token(), emulator.name, way, str(path)]
    with subprocess.Popen(
        [*processes.python(), "-m", "tests.administration.transfer.process", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            process.stdin.write(b"\n")
            if int(line) >= at:
                time.sleep(delay)  # into the next batch, which is the last one that it can end
                processes.kill(process)
                break
    assert process.returncode in (0, processes.KILLED)
    return process.returncode


def points(seed: int, count: int) -> list[tuple[int, float]]:
    """Where to kill, from the beginning to the end of what there is to do."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    return [(chance.randrange(1, COUNT), chance.random() * 0.02) for _ in range(count)]


@pytest.mark.slow
def test_a_killed_import_goes_on(place: Remote, tmp_path: Path) -> None:
    """However often it is killed, nothing is doubled or sent twice, and no agent restores before it is whole."""
    source = long_session(tmp_path / "from", COUNT)
    killed_ones = 0
    for at, delay in sorted(points(random.SystemRandom().randrange(10**6), 3)):
        code = killed(place, "import", tmp_path / "from", at=at, delay=delay)
        killed_ones += code == processes.KILLED
        rows = place.rows()
        stored = [row["message_id"] for row in rows["messages"]]
        assert stored == list(range(len(stored)))
        assert not rows["agents"] or len(stored) == COUNT
    assert killed_ones
    before = len(place.rows()["messages"])
    place.emulator.reset()
    transfer = import_of(place, tmp_path / "from")
    assert (transfer.messages, transfer.written) == (COUNT, COUNT - before)
    sent = [sql for request in place.emulator.log for sql in request.sql if sql.startswith("INSERT")]
    assert bool(sent) == (before < COUNT)
    export_of(place, "long", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")
    theirs = talk(replies=[])(FileSessionManager("long", storage_dir=str(source.parent)))
    assert_same(theirs, talk(replies=[])(place.manager(session_id="long")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["to", "to.jsonl"])
def test_a_killed_export_goes_on(place: Remote, tmp_path: Path, name: str) -> None:
    """Nothing stands in its place before it is whole; the next run takes over the files that are there."""
    long_session(tmp_path / "from", COUNT)
    imported = import_of(place, tmp_path / "from")
    target = tmp_path / name
    final = target if name.endswith(".jsonl") else target / "session_long"
    codes: list[int] = []
    for at, delay in points(random.SystemRandom().randrange(10**6), 1):
        codes.append(killed(place, "export", target, at=at // 2 + 1, delay=delay / 10))
        if final.exists():  # it was quicker, once or now
            assert import_of(place, target).checksum == imported.checksum
    assert processes.KILLED in codes
    there = final.exists()
    transfer = export_of(place, "long", target)
    assert (transfer.messages, transfer.checksum) == (COUNT, imported.checksum)
    if name == "to":
        assert transfer.written < COUNT
        assert files(target) == files(tmp_path / "from")
    elif not there:
        assert transfer.written == COUNT
    assert import_of(place, target).written == 0
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_lost_answers_double_nothing(place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are carried out although their answer is lost are sent again, and change nothing."""
    from strands_persql.administration.transfer import _batch

    monkeypatch.setattr(_batch, "BATCH_BYTES", 20_000)
    monkeypatch.setattr(_batch, "GROUP_BYTES", 10_000)
    long_session(tmp_path / "from", COUNT)
    place.options["max_retries"] = 20
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    place.emulator.faults.randomly(seed, 0.4, [faults.cut(), faults.cut_after_commit(cached=False)])
    transfer = import_of(place, tmp_path / "from")
    place.emulator.faults.clear()
    assert transfer.written == COUNT
    export_of(place, "long", tmp_path / "to")
    assert files(tmp_path / "to") == files(tmp_path / "from")


@pytest.mark.parametrize("fault", [faults.cut(), faults.cut_after_commit(cached=False)], ids=["before", "after"])
def test_an_import_without_retries_goes_on(place: Remote, tmp_path: Path, fault: faults.Fault) -> None:
    """A handle that doesn't retry gives its error, and the next run goes on, whether or not the write was through."""
    store_of(place).set_up()
    long_session(tmp_path / "from", 40)
    place.options["max_retries"] = 0
    place.emulator.faults.next(None, fault)
    with pytest.raises(TransportError):
        import_of(place, tmp_path / "from")
    transfer = import_of(place, tmp_path / "from")
    assert (transfer.messages, transfer.written) == (40, 40 if fault == faults.cut() else 0)


def test_the_last_answer_may_be_lost(place: Remote, tmp_path: Path) -> None:
    """The transaction that ends an import is told apart from a rival's when it is sent again, and counted."""
    store_of(place).set_up()
    long_session(tmp_path / "from", 40)
    place.emulator.faults.next(None, faults.cut_after_commit(cached=False))
    transfer = import_of(place, tmp_path / "from")
    assert (transfer.messages, transfer.written) == (40, 40)
