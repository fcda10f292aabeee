"""Sessions in the objects of Strands' `S3SessionManager`, from a bucket in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from strands.session import FileSessionManager

from strands_persql import SessionDataError

from ...agents.harness import Store
from .material import file_session, graph, import_of, long_session

PREFIX = "agents/prod/"


class NoSuchKey(Exception):
    """As botocore's, by its answer."""

    response: ClassVar = {"Error": {"Code": "NoSuchKey"}}


class Bucket:
    """What an import calls of boto3's client for S3, over a folder's files; each page of a listing holds three."""

    def __init__(self, folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        self.objects = {f"{PREFIX}{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
        self.objects["agents/other/session_x/session.json"] = b"{}"

    def list_objects_v2(self, **given: Any) -> dict[str, Any]:
        """One page of keys."""
        found = sorted(key for key in self.objects if key.startswith(given["Prefix"]))
        return {"Contents": [{"Key": key} for key in found[: given["MaxKeys"]]]} if found else {}

    def get_paginator(self, name: str) -> Any:
        """The pages of a listing."""
        assert name == "list_objects_v2"
        return SimpleNamespace(paginate=self.pages)

    def pages(self, **given: str) -> Iterator[dict[str, Any]]:
        """Keys, or what stands before the next delimiter."""
        prefix, delimiter = given["Prefix"], given.get("Delimiter")
        found = sorted(key for key in self.objects if key.startswith(prefix))
        if delimiter is not None:
            rests = [key.removeprefix(prefix) for key in found]
            found = sorted({prefix + rest.partition("/")[0] + "/" for rest in rests if "/" in rest})
        name, key = ("Contents", "Key") if delimiter is None else ("CommonPrefixes", "Prefix")
        for start in range(0, len(found), 3):
            yield {name: [{key: each} for each in found[start : start + 3]]}

    def get_object(self, **given: str) -> dict[str, Any]:
        """One object."""
        if given["Key"] not in self.objects:
            raise NoSuchKey
        return {"Body": io.BytesIO(self.objects[given["Key"]])}


def manager_of(bucket: Bucket) -> Any:
    """What is asked of Strands' manager."""
    return SimpleNamespace(client=bucket, bucket="mine", prefix=PREFIX)


def test_objects_are_read_as_files_are(local: Store, tmp_path: Path) -> None:
    """The same sessions come out of a bucket as out of a folder, whatever the pages of its listings."""
    long_session(tmp_path / "from", 70)
    file_session(tmp_path / "from")
    graph(FileSessionManager("g", storage_dir=str(tmp_path / "from")))
    manager = manager_of(Bucket(tmp_path / "from"))
    told: list[tuple[int, int | None]] = []
    from_bucket = import_of(local, manager, progress=lambda done, total: told.append((done, total)))
    assert [(each.session_id, each.multi_agents) for each in from_bucket] == [("g", 1), ("long", 0), ("user-1", 0)]
    assert told[-1][0] == told[-1][1] == sum(each.messages for each in from_bucket)
    from_folder = import_of(local, tmp_path / "from")
    assert [each.checksum for each in from_folder] == [each.checksum for each in from_bucket]
    assert [each.written for each in from_folder] == [0, 0, 0]
    assert import_of(local, manager, session_id="long", new_id="copy").written == 70


def test_an_object_that_cannot_be_read_is_named(local: Store, tmp_path: Path) -> None:
    """A damaged or missing object is told by its address, a missing session by the bucket's name."""
    long_session(tmp_path / "from", 4)
    bucket = Bucket(tmp_path / "from")
    agent = f"{PREFIX}session_long/agents/agent_default"
    for key, change, words in (
        (f"{agent}/messages/message_2.json", b"{", r"s3://mine/.*message_2\.json can't be imported: it is no JSON"),
        (f"{agent}/messages/message_02.json", b"{}", r"s3://mine/.*another file is message 2, too"),
        (f"{agent}/agent.json", None, r"s3://mine/.*agent\.json can't be imported: there is no such object"),
    ):
        before = dict(bucket.objects)
        if change is None:
            del bucket.objects[key]
        else:
            bucket.objects[key] = change
        with pytest.raises(SessionDataError, match=words):
            import_of(local, manager_of(bucket))
        bucket.objects = before
    with pytest.raises(SessionDataError, match="The bucket 'mine' holds no session 'nobody'"):
        import_of(local, manager_of(bucket), session_id="nobody")
    assert import_of(local, manager_of(bucket)).messages == 4
