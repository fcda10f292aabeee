"""Sessions in the objects of Strands' `S3SessionManager`, which are the files of its `FileSessionManager`.

Source: `strands/session/s3_session_manager.py`, the same from Strands 1.42 to 1.62.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...errors import SessionDataError
from ._folders import position_of
from ._items import (
    AgentItem,
    Document,
    HeadItem,
    Item,
    MessageItem,
    MultiAgentItem,
    checked_agent,
    checked_message,
    malformed,
    parsed,
)

__all__ = ["ObjectSource"]

READERS = 16
"""Objects that are read at a time: each takes a round trip."""


class ObjectSource:
    """The sessions in a bucket.

    Args:
        client: S3's, as boto3 makes it.
        bucket: The bucket.
        prefix: Before the sessions' keys.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._objects = _Objects(client, bucket)
        stripped = prefix.strip("/")
        self._root = f"{stripped}/" if stripped else ""

    def session_ids(self) -> list[str]:
        """Which sessions it has."""
        return self._objects.folders(f"{self._root}session_")

    def count(self, session_ids: Iterable[str]) -> int:
        """How many messages these sessions have."""
        return sum(
            len(self._objects.positions(f"{root}agents/agent_{agent_id}/"))
            for root in map(self._folder, session_ids)
            for agent_id in self._objects.folders(f"{root}agents/agent_")
        )

    def sessions(self, session_id: str | None) -> Iterator[ObjectSession]:
        """One session, or all of them.

        Raises:
            SessionDataError: There is no such session.
        """
        ids = self.session_ids() if session_id is None else [session_id]
        if not all(self._objects.has_any(self._folder(each)) for each in ids):
            raise SessionDataError(f"The bucket {self._objects.bucket!r} holds no session {session_id!r} to import.")
        for each in ids:
            yield ObjectSession(each, self._objects, self._folder(each))

    def _folder(self, session_id: str) -> str:
        return f"{self._root}session_{session_id}/"


@dataclass(frozen=True)
class ObjectSession:
    """One session's objects."""

    session_id: str
    objects: _Objects
    folder: str

    def items(self) -> Iterator[Item]:
        """All of it.

        Raises:
            SessionDataError: An object is missing, or can't be read.
        """
        objects = self.objects
        yield HeadItem(objects.read(f"{self.folder}session.json"))
        for agent_id in objects.folders(f"{self.folder}agents/agent_"):
            folder = f"{self.folder}agents/agent_{agent_id}/"
            key = f"{folder}agent.json"
            yield AgentItem(agent_id, checked_agent(objects.read(key), objects.name(key)))
            for position, key, document in objects.read_many(objects.positions(folder)):
                yield MessageItem(agent_id, position, checked_message(document, objects.name(key)))
        for multi_agent_id in objects.folders(f"{self.folder}multi_agents/multi_agent_"):
            key = f"{self.folder}multi_agents/multi_agent_{multi_agent_id}/multi_agent.json"
            yield MultiAgentItem(multi_agent_id, objects.read(key))


@dataclass(frozen=True)
class _Objects:
    client: Any
    bucket: str

    def name(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def folders(self, prefix: str) -> list[str]:
        """What stands between a prefix and the next slash."""
        return sorted(
            each["Prefix"][len(prefix) : -1]
            for page in self._pages(prefix, Delimiter="/")
            for each in page.get("CommonPrefixes", ())
        )

    def has_any(self, prefix: str) -> bool:
        return bool(self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1).get("Contents"))

    def positions(self, folder: str) -> list[tuple[int, str]]:
        """An agent's messages: their positions and keys."""
        prefix = f"{folder}messages/"
        return sorted(
            (position, key)
            for page in self._pages(prefix)
            for key in (each["Key"] for each in page.get("Contents", ()))
            if (position := position_of(key.removeprefix(prefix), self.name(key))) is not None
        )

    def read(self, key: str) -> Document:
        where = self.name(key)
        try:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except Exception as error:
            response: Any = getattr(error, "response", {})
            if response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            raise malformed(where, "there is no such object") from error
        try:
            return parsed(body.decode(), where)
        except UnicodeDecodeError as error:
            raise malformed(where, "it is not UTF-8") from error

    def read_many(self, positions: list[tuple[int, str]]) -> Iterator[tuple[int, str, Document]]:
        """Objects in their order, a few ahead of who reads them."""
        with ThreadPoolExecutor(READERS) as pool:
            ahead: deque[tuple[int, str, Future[Document]]] = deque()
            try:
                for position, key in positions:
                    ahead.append((position, key, pool.submit(self.read, key)))
                    if len(ahead) >= 2 * READERS:
                        first, key, future = ahead.popleft()
                        yield first, key, future.result()
                while ahead:
                    first, key, future = ahead.popleft()
                    yield first, key, future.result()
            finally:
                for _, _, future in ahead:
                    future.cancel()

    def _pages(self, prefix: str, **options: str) -> Any:
        return self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **options)
