"""Any order of calls: it answers what Strands' own storage in memory answers."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from strands_persql.database.tables import Encoded

from ...thorough import tries
from .conftest import Place
from .features import needs_storage

pytestmark = needs_storage

LETTERS = st.sampled_from(
    ["a", "b", "A", "/", "//", ".", "..", "...", "é", "🚂", "%", "_", " ", "'", '"', "\U0010ffff"]
)
KEYS = st.lists(LETTERS, max_size=6).map("".join)
# About the ends of parts of 8 bytes and of requests of 4 of them.
SIZES = st.sampled_from([0, 1, 5, 6, 7, 8, 9, 12, 23, 24, 25, 31, 32, 33, 48, 49, 100])
VALUES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.tuples(st.sampled_from([b"x", "é".encode(), b"\xff", b"\0"]), SIZES).map(lambda pair: pair[0] * pair[1]),
)
CALLS = st.one_of(
    st.tuples(st.just("write"), KEYS, VALUES),
    st.tuples(st.sampled_from(["read", "delete", "list"]), KEYS),
)
RUNS = st.lists(st.tuples(st.sampled_from(["", "a", "/a//b/"]), CALLS), max_size=25)


async def outcome(storage: Any, namespace: str, call: tuple[Any, ...]) -> Any:
    from strands.types.exceptions import StorageError

    name, *arguments = call
    try:
        return await getattr(storage.namespace(namespace) if namespace else storage, name)(*arguments)
    except StorageError:
        return StorageError


@pytest.mark.slow
@pytest.mark.parametrize("index", [False, True], ids=["plain", "indexed"])
def test_any_order_of_calls(index: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call, in or outside of a namespace, answers or fails as it does in memory."""
    from strands.storage import InMemoryStorage

    whole = Encoded.of
    monkeypatch.setattr(Encoded, "of", lambda value: whole(value, part_bytes=8))
    monkeypatch.setattr("strands_persql.stores._objects.KEYS_A_PAGE", 2)

    @seed(20)
    @settings(max_examples=tries(20, 60), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(run=RUNS)
    def check(run: list[tuple[str, tuple[Any, ...]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder), None)
            storage, model = place.storage(index=index), InMemoryStorage()

            async def play() -> None:
                for namespace, call in run:
                    if namespace and call[0] != "list" and not call[1].strip("/"):
                        continue  # Strands took it for the namespace itself once
                    assert await outcome(storage, namespace, call) == await outcome(model, namespace, call)
                keys = await model.list("")
                assert await storage.list("") == keys
                for key in keys:
                    assert await storage.read(key) == await model.read(key)

            asyncio.run(play())
            place.close()

    check()
