"""Sessions in the database that the environment, or a configuration file, names; one client for the whole process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strands.session import SessionManager

import strands_persql
from strands_persql import PerSQLSessionManager
from strands_persql.client import _shared

from .agents import agent_of
from .harness import words_of
from .scripted import ScriptedModel


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of the user's settings, an empty folder, and no client left behind."""
    for name in ("PERSQL_TOKEN", "PERSQL_API_URL", "PERSQL_LOCAL", "PERSQL_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    _shared._client.cache_clear()


def handle_of(manager: PerSQLSessionManager) -> Any:
    """The database handle of a manager."""
    return manager._connector.database


@pytest.mark.parametrize("local", ["agents.db", ":memory:"])
def test_a_session_goes_on(monkeypatch: pytest.MonkeyPatch, local: str) -> None:
    """A file needs no database's name, and neither does memory, which is the process's."""
    monkeypatch.setenv("PERSQL_LOCAL", local)
    agent_of(ScriptedModel(["one!"]))(PerSQLSessionManager.from_env("s"))("one")
    again = agent_of(ScriptedModel())(PerSQLSessionManager.from_env("s", durability="invocation", user="ada"))
    assert words_of(again.messages) == ["one", "one!"]


def test_the_service(monkeypatch: pytest.MonkeyPatch, emulator: Any) -> None:
    """Token, address and database are the environment's; the manager's own name goes before it."""
    monkeypatch.setenv("PERSQL_TOKEN", emulator.token())
    monkeypatch.setenv("PERSQL_API_URL", emulator.url)
    with pytest.raises(ValueError, match="PERSQL_DATABASE"):
        PerSQLSessionManager.from_env("s")
    monkeypatch.setenv("PERSQL_DATABASE", "no/such")
    first = PerSQLSessionManager.from_env("s", database=emulator.name)
    monkeypatch.setenv("PERSQL_DATABASE", emulator.name)
    assert handle_of(first) is handle_of(PerSQLSessionManager.from_env("t"))
    agent_of(ScriptedModel(["one!"]))(first)("one")
    first.close()  # which leaves the others their client
    assert len(PerSQLSessionManager.from_env("s").list_messages("s", "default")) == 2


def test_a_client_for_each_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same settings share a client; a file of the same name in another folder is another file."""
    one = PerSQLSessionManager.from_env("a", local="agents.db")
    assert handle_of(one) is handle_of(PerSQLSessionManager.from_env("b", local="agents.db"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert handle_of(one) is not handle_of(PerSQLSessionManager.from_env("a", local="agents.db"))


def test_what_is_named_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`local=` wins over a token; a folder needs the name of a database."""
    monkeypatch.setenv("PERSQL_TOKEN", "psql_token")
    with pytest.raises(ValueError, match="PERSQL_DATABASE"):
        PerSQLSessionManager.from_env("s", local="folder/")
    manager = PerSQLSessionManager.from_env("s", local="folder/", database="acme/agents")
    agent_of(ScriptedModel(["one!"]))(manager)("one")
    assert [path.name for path in (tmp_path / "folder").glob("*.db")] == ["acme.agents.db"]


def test_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shell has put the home folder in for `~` where a file of settings names the place."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PERSQL_LOCAL", "~/agents.db")
    agent_of(ScriptedModel(["one!"]))(PerSQLSessionManager.from_env("s"))("one")
    assert (tmp_path / "agents.db").is_file()
    (tmp_path / "folder").mkdir()
    path: Any = Path("~/folder")
    for local in ("~/folder/", "~/folder", path):
        with pytest.raises(ValueError, match="PERSQL_DATABASE"):
            PerSQLSessionManager.from_env("s", local=local)
        manager = PerSQLSessionManager.from_env("s", local=local, database="acme/agents")
        assert handle_of(manager).path == str(tmp_path / "folder" / "acme.agents.db")
    assert not (tmp_path / "~").exists()


def test_blanks_round_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of settings that was written on Windows leaves line ends; a blank setting is none."""
    monkeypatch.setenv("PERSQL_TOKEN", " ")
    monkeypatch.setenv("PERSQL_LOCAL", "folder/\r")
    monkeypatch.setenv("PERSQL_DATABASE", "acme/agents\r")
    assert handle_of(PerSQLSessionManager.from_env("s")).path == str(tmp_path / "folder" / "acme.agents.db")
    monkeypatch.setenv("PERSQL_LOCAL", " ")
    with pytest.raises(ValueError, match="neither"):
        PerSQLSessionManager.from_env("s")


def test_neither_and_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names no place, or two, it is said, and nothing is opened."""
    with pytest.raises(ValueError, match="neither"):
        PerSQLSessionManager.from_env("s", database="acme/agents")
    monkeypatch.setenv("PERSQL_TOKEN", "psql_token")
    monkeypatch.setenv("PERSQL_LOCAL", "agents.db")
    with pytest.raises(ValueError, match="both set"):
        PerSQLSessionManager.from_env("s")


def test_a_configuration_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module's function, found as frameworks find one: by `module:name`, called with plain values alone."""
    monkeypatch.setenv("PERSQL_LOCAL", "agents.db")
    module, _, name = "strands_persql:session_manager".partition(":")
    manager = getattr(importlib.import_module(module), name)(session_id="s", local=":memory:", tags=["a"])
    assert isinstance(manager, SessionManager)
    assert strands_persql.session_manager == PerSQLSessionManager.from_env


def test_compose(tmp_path: Path) -> None:
    """strands-compose builds an agent of YAML, whose session goes on."""
    compose: Any = pytest.importorskip("strands_compose")
    (tmp_path / "model.py").write_text(
        "from strands_persql.testing import OfflineModel\n"
        "class Model(OfflineModel):\n    def __init__(self, *_, **__): super().__init__()\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        "models:\n  m:\n    provider: ./model.py:Model\n    model_id: x\n"
        "session_manager:\n  type: strands_persql:session_manager\n  params: {session_id: s, local: agents.db}\n"
        "agents:\n  helper:\n    model: m\n    system_prompt: x\nentry: helper\n"
    )
    compose.load(str(config)).entry("my name is Ada")
    assert "Ada" in str(compose.load(str(config)).entry("what is my name?"))
