"""The files of Strands' `S3SessionManager`: objects in a bucket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ...errors import named
from ._files import Files
from ._items import Document, decoded_object, malformed

READERS = 16
"""Objects that are read at a time: each takes a round trip."""


class Bucket(Files):
    """The objects below a prefix.

    Args:
        client: S3's, as boto3 makes it.
        bucket: The bucket.
        prefix: Stands before the sessions' keys.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        stripped = prefix.strip("/")
        self._root = f"{stripped}/" if stripped else ""

    @property
    def place(self) -> str:
        return f"The bucket {named(self._bucket)}"

    def where(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._root}{path}"

    def folders(self, prefix: str) -> list[str]:
        length = len(self._root + prefix)
        return sorted(
            each["Prefix"][length:-1]
            for page in self._pages(prefix, Delimiter="/")
            for each in page.get("CommonPrefixes", ())
        )

    def holds(self, prefix: str, name: str) -> bool:
        key = f"{self._root}{prefix}{name}/"
        return bool(self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents"))

    def names(self, folder: str) -> Iterator[str]:
        length = len(self._root + folder)
        for page in self._pages(folder):
            for each in page.get("Contents", ()):
                yield each["Key"][length:]

    def read(self, path: str) -> Document:
        where = self.where(path)
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._root + path)["Body"].read()
        except Exception as error:
            response: Any = getattr(error, "response", {})
            if response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            raise malformed(where, "there is no such object") from error
        return decoded_object(body, where)

    def read_many(self, paths: Iterable[str]) -> Iterator[Document]:
        ahead: deque[Future[Document]] = deque()
        with ThreadPoolExecutor(READERS) as pool:
            try:
                for path in paths:
                    ahead.append(pool.submit(self.read, path))
                    if len(ahead) >= 2 * READERS:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _pages(self, prefix: str, **options: str) -> Any:
        pages = self._client.get_paginator("list_objects_v2")
        return pages.paginate(Bucket=self._bucket, Prefix=self._root + prefix, **options)
