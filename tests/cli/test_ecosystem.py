"""The commands that other programs meet: exports in their forms, files of other libraries, views."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strands_persql.administration.transfer import FORMATS

from ..administration.transfer.foreign.files import NAMES, made
from .places import Place, talk


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_export_in_a_form(place: Place, form: str, tmp_path: Path) -> None:
    """To a file and to stdout, the same text."""
    talk(place.database, "chat")
    target = tmp_path / "chat.out"
    done = place.run("export", "chat", str(target), "--format", form)
    assert done.code == 0, done.err
    assert "exported to" in done.out
    stdout = place.run("export", "chat", "-", "--format", form)
    assert stdout.out == target.read_text("utf-8")
    assert "How is the weather?" in stdout.out
    again = place.run("export", "chat", str(target), "--format", form)
    assert again.code == 1
    assert "exists already" in again.err


def test_a_form_that_there_is_not(place: Place, tmp_path: Path) -> None:
    """It is told, with those that there are."""
    done = place.run("export", "chat", str(tmp_path / "x"), "--format", "xml")
    assert (done.code, "'xml' is none of anthropic, markdown, openai, otel, otel-events" in done.err) == (2, True)


def test_views_on_and_off(place: Place) -> None:
    """They are created and dropped."""
    talk(place.database, "chat")
    done = place.run("views", "--json")
    assert json.loads(done.out)["views"] == ["strands_conversation", "strands_usage"], done.err
    rows = place.database.query("SELECT text FROM strands_conversation WHERE position = 0")["data"]
    assert [row["text"] for row in rows] == ["How is the weather?"]
    assert "are dropped" in place.run("views", "off").out
    assert place.run("views", "maybe").code == 2


@pytest.mark.parametrize("name", NAMES)
def test_import_of_other_libraries(place: Place, name: str, tmp_path: Path) -> None:
    """The path of the file is enough."""
    path = made(name, tmp_path)
    done = place.run("import", str(path), "--json")
    assert done.code == 0, done.err
    sessions = json.loads(done.out)["sessions"]
    assert sessions and all(each["messages"] for each in sessions)
    again = json.loads(place.run("import", str(path), "--json").out)["sessions"]
    assert {each["written"] for each in again} == {0}
