"""What a release has stored and named stays: the layout, files of every older one, and the public names.

A change of the layout or the names fails here until the snapshot and CHANGELOG.md have it: see CONTRIBUTING.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from strands import Agent
from syrupy.assertion import SnapshotAssertion

import strands_persql
from strands_persql import (
    PerSQL,
    PerSQLMemoryStore,
    PerSQLSessions,
    PerSQLStorage,
    errors,
    testing,
    web,
)
from strands_persql.administration import records, results
from strands_persql.administration.doctor import diagnose
from strands_persql.database.tables import STEPS
from strands_persql.testing import OfflineModel

from ...agents.features import needs
from .make import HERE, NAME, opened, restored

CHANGELOG = (Path(__file__).parents[3] / "CHANGELOG.md").read_text("utf-8")
FILES = sorted(HERE.glob("layout-*.sqlite"))


def public_names(module: ModuleType) -> list[str]:
    """Each public name of a module with its signature, and those of its methods and fields."""
    return [line for name in sorted(module.__all__) for line in described(name, getattr(module, name))]


def described(name: str, thing: object) -> Iterator[str]:
    """A name and what it takes; of a class also its methods, properties and fields that are this package's."""
    if not inspect.isclass(thing):
        yield name + signature(thing)
        return
    yield name
    for base in reversed(thing.__mro__):
        if base.__module__.startswith("strands_persql"):
            for member, value in sorted(vars(base).items()):
                if member == "__init__" or not member.startswith("_"):
                    yield f"{name}.{member}{signature(value)}"


def signature(value: object) -> str:
    """The arguments and the result, as the source has them; nothing for what is no function."""
    value = getattr(value, "__func__", value)
    return str(inspect.signature(value)) if inspect.isfunction(value) else ""


def mark(text: str) -> str:
    """A short mark that changes with a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@pytest.mark.parametrize("module", [strands_persql, errors, testing, web, records, results], ids=lambda m: m.__name__)
def test_public_names(module: ModuleType, snapshot: SnapshotAssertion) -> None:
    """Nothing is renamed, removed or added unless the changelog has the mark of the names as they are now."""
    names = public_names(module)
    assert names == snapshot
    assert mark("\n".join(names)) in CHANGELOG, f"public names of {module.__name__}: {mark(chr(10).join(names))}"


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
def test_steps(number: int, snapshot: SnapshotAssertion) -> None:
    """A step of the layout is never changed, only followed by others."""
    statements = STEPS[number - 1]("strands_")
    assert list(statements) == snapshot
    assert mark("\n".join(statements)) in CHANGELOG, f"layout {number}: {mark(chr(10).join(statements))}"


def test_every_layout_has_a_file() -> None:
    """Each layout that there was has left one."""
    assert [path.name for path in FILES] == [f"layout-{number}.sqlite" for number in range(1, len(STEPS) + 1)]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PerSQL]:
    """A copy of a file that an older version has written."""
    path = Path(shutil.copy(request.param, tmp_path / "agents.db"))
    path.chmod(0o600)
    with PerSQL(local=str(path)) as client:
        yield client


def test_sessions_of_older_layouts(client: PerSQL, snapshot: SnapshotAssertion) -> None:
    """Each session restores what it did then, is sound, and goes on."""
    db = client.database(NAME)
    assert restored(db) == snapshot
    for name in restored(db):
        session_id, agent_id = name.split("/")
        manager = opened(session_id, db)
        agent = Agent(agent_id=agent_id, model=OfflineModel(), session_manager=manager, callback_handler=None)
        before = len(agent.messages)
        agent("Go on.")
        assert agent.messages[before]["content"] == [{"text": "Go on."}]
    assert [finding for finding in diagnose(db) if finding.severity != "ok" and finding.session_id != "sealed"] == []


@needs(importlib.util.find_spec("strands.storage") is not None, "storage")
async def test_what_else_older_layouts_hold(client: PerSQL) -> None:
    """Objects are read, memories and messages are found."""
    db = client.database(NAME)
    assert await PerSQLStorage(db, session_id="plain").read("results/1") == b"\x00\x01 of a session"
    assert await PerSQLStorage(db).read("free/1") == b"of nobody"
    found = await PerSQLMemoryStore(db, name="facts", scope="ada").search("seasick")
    assert [memory.content for memory in found] == ["I get seasick."]
    assert [hit.session_id for hit in PerSQLSessions(db).search("colour blue").hits] == ["plain"]
