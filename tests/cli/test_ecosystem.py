"""The commands that other programs meet: exports in their forms, files of other libraries, views."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import boto3
import pytest
from strands.session import FileSessionManager

from strands_persql.administration.transfer import FORMATS

from ..administration.transfer.foreign.files import NAMES, made
from ..administration.transfer.material import file_session
from ..administration.transfer.test_buckets import PREFIX, Bucket
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


def test_import_of_a_folder_of_snapshots(place: Place, tmp_path: Path) -> None:
    """Written by one release of Strands, read with any: those without snapshots too."""
    folder = tmp_path / "snapshots" / "session" / "s" / "scopes" / "agent" / "helper" / "snapshots"
    (folder / "immutable_history").mkdir(parents=True)
    said = [{"role": "user", "content": [{"text": f"word {number}"}]} for number in range(3)]
    for number, name in ((1, "immutable_history/snapshot_01"), (2, "snapshot_latest")):
        document = {
            "scope": "agent",
            "schema_version": "1.0",
            "created_at": f"2026-11-29T03:22:3{number}.103347Z",
            "data": {"messages": said[number - 1 : number + 1], "state": {"k": number}},
            "app_data": {},
        }
        (folder / f"{name}.json").write_text(json.dumps(document), "utf-8")
    done = place.run("import", str(tmp_path / "snapshots"), "--json")
    assert done.code == 0, done.err
    [session] = json.loads(done.out)["sessions"]
    assert (session["session_id"], session["messages"]) == ("s", 3)
    away = place.run("import", str(tmp_path / "snapshots"), "--session", "../../snapshots/session/s")
    assert (away.code, "holds no snapshot of session" in away.err) == (1, True)


def test_import_from_s3(place: Place, tmp_path: Path) -> None:
    """All sessions below a prefix or one; one that is not there is not begun in the bucket; AWS's errors are told."""
    file_session(tmp_path / "from")
    FileSessionManager("other", storage_dir=str(tmp_path / "from"))
    bucket = Bucket(tmp_path / "from")
    with mock.patch.object(boto3, "client", lambda service: bucket):
        done = place.run("import", f"s3://mine/{PREFIX}", "--json")
        assert done.code == 0, done.err
        assert [each["session_id"] for each in json.loads(done.out)["sessions"]] == ["other", "user-1"]
        one = place.run("import", f"s3://mine/{PREFIX}", "--session", "user-1", "--as", "again", "--json")
        assert [each["session_id"] for each in json.loads(one.out)["sessions"]] == ["again"]
        objects = dict(bucket.objects)
        nobody = place.run("import", f"s3://mine/{PREFIX}", "--session", "nobody")
        assert nobody.code == 1 and "'nobody'" in nobody.err and bucket.objects == objects
    assert place.run("import", "s3://").code == 2
    place.environment.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="", AWS_SHARED_CREDENTIALS_FILE="")
    done = place.run("import", "s3://mine/sessions")
    assert done.code == 1 and done.err.startswith("strands-persql: S3 could not be read: "), done.err
    assert "unexpected" not in done.err and done.err.count("\n") == 1


def test_import_of_what_holds_nothing(place: Place, tmp_path: Path) -> None:
    """A folder without sessions is a mistake, as a file without any is."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    for name in ("empty", "empty.jsonl"):
        done = place.run("import", str(tmp_path / name))
        assert (done.code, "holds no session to import" in done.err) == (1, True)
