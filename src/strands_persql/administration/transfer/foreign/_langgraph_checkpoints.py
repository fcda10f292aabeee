"""LangGraph's checkpoints in a SQLite file: what they hold, and what was written since.

A checkpoint is MessagePack, in which objects of Python classes are extensions that name class and fields. They are read
as plain values: no class that a file names is imported or made. Source: langgraph-checkpoint 2 to 4,
`langgraph/checkpoint/serde/jsonplus.py`, and langgraph-checkpoint-sqlite, `langgraph/checkpoint/sqlite/__init__.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ....database.encoding import mapping
from ....errors import named
from .._items import Document, malformed
from ._msgpack import unpacked
from ._sqlite import ForeignDatabase

KIND = "__class__"
"""Where the name of an object's class stands among its fields."""

CHECKPOINTS = "checkpoints"
COLUMNS = ("thread_id", "checkpoint_ns", "checkpoint_id", "type", "checkpoint", "metadata")
_WRITES = "writes"
_PARENT = "parent_checkpoint_id"

_REDUCED = "messages"
"""The channel whose deltas can be put together without the program that wrote them."""

_OF_THE_LOOP = ("__no_writes__", "__scheduled__", "__resume__", "branch:")


class Write(NamedTuple):
    """What a node has written to a channel."""

    channel: str
    value: Any


@dataclass
class Snapshot:
    """The newest state of a graph, or of one of its subgraphs.

    Attributes:
        checkpoint: The newest checkpoint.
        metadata: What the library has noted beside it.
        values: The values of its channels, by name.
        deltas: What was written to each channel that has no value in the checkpoint: its deltas since the last
            snapshot of it, the oldest first.
        pending: What nodes have written since the checkpoint.
    """

    checkpoint: Document
    metadata: Document
    values: Document
    deltas: dict[str, list[Any]] = field(default_factory=lambda: {})
    pending: list[Write] = field(default_factory=lambda: [])


@dataclass(frozen=True)
class Thread:
    """The checkpoints of one thread.

    Attributes:
        database: The file.
        thread_id: The thread.
        where: What it is, for errors.
    """

    database: ForeignDatabase
    thread_id: str
    where: str

    def namespaces(self) -> list[str]:
        """Its graph, which is `""`, and its subgraphs that ran in it."""
        return [row["checkpoint_ns"] for row in self.database.groups(CHECKPOINTS, "checkpoint_ns", **self._key)]

    def began(self) -> Any:
        """When its first checkpoint was made."""
        return self._decoded(self._row("", "checkpoint_id")).get("ts")

    def waits_for(self, namespace: str, checkpoint: object) -> bool:
        """Whether a subgraph was called at a checkpoint of the graph."""
        rows = self._rows(namespace, "-checkpoint_id", columns=("metadata",))
        return mapping(_metadata(next(rows)["metadata"]).get("parents")).get("") == checkpoint

    def newest(self, namespace: str) -> Snapshot:
        """The newest state of the graph or of a subgraph.

        Raises:
            SessionDataError: It can't be read.
        """
        row = self._row(namespace, "-checkpoint_id")
        checkpoint, metadata = self._decoded(row), _metadata(row["metadata"])
        snapshot = Snapshot(checkpoint, metadata, mapping(checkpoint.get("channel_values")))
        counted = mapping(metadata.get("counters_since_delta_snapshot"))
        versions = mapping(checkpoint.get("channel_versions"))
        names = {name for name in (*counted, _REDUCED) if name in versions and name not in snapshot.values}
        if names:
            self._fill(snapshot, namespace, row, names)
        snapshot.pending = [
            write
            for write in self._writes(namespace, row["checkpoint_id"])
            if not write.channel.startswith(_OF_THE_LOOP)
        ]
        return snapshot

    def _fill(self, snapshot: Snapshot, namespace: str, row: Mapping[str, Any], names: set[str]) -> None:
        """Go back from checkpoint to checkpoint until each channel has a value, and collect what was written since."""
        pages: dict[str, list[list[Any]]] = {name: [] for name in names}
        wanted, seen = set(names), {row["checkpoint_id"]}
        parent = row.get(_PARENT)
        while wanted and parent and parent not in seen:
            seen.add(parent)
            before = next(self._rows(namespace, checkpoint_id=parent), None)
            if before is None:
                break
            row = before
            written = self._writes(namespace, parent)
            values = mapping(self._decoded(row).get("channel_values"))
            for name in sorted(wanted):
                pages[name].append([write.value for write in written if write.channel == name])
                if name in values:
                    snapshot.values[name] = values[name]
                    wanted.discard(name)
            parent = row.get(_PARENT)
        for name, found in pages.items():
            snapshot.deltas[name] = [value for page in reversed(found) for value in page]

    @property
    def _key(self) -> dict[str, str]:
        return {"thread_id": self.thread_id}

    def _row(self, namespace: str, order: str) -> Mapping[str, Any]:
        return next(self._rows(namespace, order))

    def _rows(
        self, namespace: str, *order: str, columns: Iterable[str] = (*COLUMNS, _PARENT), **where: str
    ) -> Iterator[Mapping[str, Any]]:
        known = [name for name in columns if name in self.database.tables[CHECKPOINTS]]
        return self.database.rows(CHECKPOINTS, known, order=order, checkpoint_ns=namespace, **self._key, **where)

    def _writes(self, namespace: str, checkpoint_id: str) -> list[Write]:
        """What was written after a checkpoint, in the order in which the library applies it."""
        known = self.database.tables.get(_WRITES, frozenset())
        if not known:
            return []
        order = [name for name in ("task_path", "task_id", "idx") if name in known]
        rows = self.database.rows(
            _WRITES,
            ("channel", "type", "value"),
            order=order,
            checkpoint_ns=namespace,
            checkpoint_id=checkpoint_id,
            **self._key,
        )
        return [Write(row["channel"], self._value(row["type"], row["value"], "something written")) for row in rows]

    def _decoded(self, row: Mapping[str, Any]) -> Document:
        found = self._value(row["type"], row["checkpoint"], "a checkpoint")
        if not mapping(found):
            raise malformed(self.where, "a checkpoint in it is no mapping")
        return mapping(found)

    def _value(self, kind: object, data: object, what: str) -> Any:
        try:
            if kind == "msgpack" and isinstance(data, bytes):
                return unpacked(data, _extension)
            if kind == "json" and isinstance(data, (str, bytes)):
                return _plain(json.loads(data))
            if kind in ("null", "empty"):
                return None
            if kind in ("bytes", "bytearray"):
                return data
        except (ValueError, RecursionError) as error:
            raise malformed(self.where, f"{what} in it can't be read: {error}") from None
        raise malformed(
            self.where,
            f"{what} in it is encoded as {named(kind)}, which can't be read here. Copy its checkpoints with LangGraph "
            "into a SqliteSaver without a serde of your own, and import from that",
        )


def put_together(messages: Any, written: Iterable[Any]) -> Any:
    """The messages after what was written to their channel, as LangGraph's own reducers have it.

    A message with the id of one that is there takes its place, and a `RemoveMessage` takes it away.
    """
    found: list[Any] = list(cast("list[Any]", messages)) if isinstance(messages, list) else []
    for value in written:
        is_whole, whole = _overwrite(value)
        if is_whole:
            found = list(cast("list[Any]", whole)) if isinstance(whole, list) else []
            continue
        for message in cast("list[Any]", value) if isinstance(value, list) else [value]:
            _put(found, message)
    return found


def _put(messages: list[Any], message: Any) -> None:
    document = mapping(message)
    name = document.get("id")
    is_removal = document.get("type") == "remove"
    if is_removal and name == "__remove_all__":
        messages.clear()
        return
    places = [place for place, each in enumerate(messages) if name is not None and mapping(each).get("id") == name]
    if is_removal:
        for place in places[:1]:
            del messages[place]
    elif places:
        messages[places[0]] = message
    else:
        messages.append(message)


def _overwrite(value: Any) -> tuple[bool, Any]:
    """Whether a write puts a value in the place of all that was written before, and that value."""
    document = mapping(value)
    if set(document) == {"__overwrite__"}:
        return True, document["__overwrite__"]
    return document.get("type") == "__overwrite__", document.get("value")


def as_json(value: Any) -> Any:
    """A value as JSON has it: bytes as Strands writes them, keys as texts."""
    if isinstance(value, dict):
        return {str(name): as_json(each) for name, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list):
        return [as_json(each) for each in cast("list[Any]", value)]
    if isinstance(value, (bytes, bytearray)):
        return {"__bytes_encoded__": True, "data": base64.b64encode(value).decode()}
    return value


def _metadata(text: object) -> Document:
    """What the library has noted beside a checkpoint: the step, and what the caller's `config` holds."""
    try:
        found: Any = json.loads(text) if isinstance(text, (str, bytes)) else {}
    except ValueError:
        return {}
    return {name: value for name, value in mapping(found).items() if name != "writes"}


def _extension(code: int, data: bytes) -> Any:
    """A value of a class: of one with fields they and the class's name, of any other what it was made of."""
    found = unpacked(data, _extension)
    if code == _SNAPSHOT:
        return found
    if not isinstance(found, list) or len(cast("list[Any]", found)) < 3:
        raise ValueError("it holds an object of a form that is not known")
    _, name, value, *_ = cast("list[Any]", found)
    if code == _ARRAY:
        return {KIND: "ndarray", "data": cast("Any", found)}
    return {**cast("Document", value), KIND: name} if isinstance(value, dict) else value


_ARRAY, _SNAPSHOT = 6, 7
"""Extensions: an array of numpy's, and the whole value of a channel whose other checkpoints hold deltas."""


def _plain(value: Any) -> Any:
    """The same of the JSON of older releases: `{"lc": …, "id": [module, …, class], "kwargs": {…}}`."""
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    document = {name: _plain(each) for name, each in cast("Document", value).items()}
    if document.get("type") != "constructor" or not isinstance(document.get("id"), list) or "lc" not in document:
        return document
    fields = document.get("kwargs")
    if isinstance(fields, dict):
        return {**cast("Document", fields), KIND: document["id"][-1]}
    return document.get("args")
