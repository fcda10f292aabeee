"""Sessions of Strands' `SnapshotSessionManager`, read from its storage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from ...database.encoding import is_message, mapping
from ...database.live_window import LiveWindow
from ...errors import SessionDataError, named
from ._items import (
    Document,
    HeadItem,
    Item,
    MessageItem,
    ObjectItem,
    Source,
    SourceSession,
    StateItem,
    agent_item,
    canonical,
    decoded_object,
    malformed,
    message_item,
)
from ._snapshot_storage import LATEST, Snapshots
from .foreign import about_of

_KEY = re.compile(
    r"(?P<session>[^/]+)/scopes/(?P<scope>agent|multiAgent)/(?P<owner>[^/]+)/snapshots/"
    r"(?:snapshot_latest|immutable_history/snapshot_(?P<id>[\w-]+))\.json"
)
_KINDS: dict[str, Any] = {"agent": "agent", "multiAgent": "multi_agent"}
_TAKEN = {"messages", "state", "conversation_manager_state", "interrupt_state", "model_state", "stash"}


class SnapshotSource(Source):
    """The sessions in such a storage.

    Args:
        snapshots: The storage.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._place = snapshots.place
        self._history = snapshots.history

    def session_ids(self) -> list[str]:
        prefix = self._place.sessions
        found = (_KEY.fullmatch(key.removeprefix(prefix)) for key in self._place.keys(prefix))
        return sorted({key["session"] for key in found if key is not None})

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        for each in self.session_ids() if session_id is None else [session_id]:
            yield SourceSession(each, self._items(each))

    def _items(self, session_id: str) -> Iterator[Item]:
        prefix = f"{self._place.sessions}{session_id}/"
        keys = {key: _KEY.fullmatch(key.removeprefix(self._place.sessions)) for key in self._place.keys(prefix)}
        owners: dict[tuple[str, str], list[str]] = {}
        for key, match in keys.items():
            if match is not None:
                owners.setdefault((_KINDS[match["scope"]], match["owner"]), []).append(key)
        if not owners:
            raise SessionDataError(f"The storage holds no snapshot of session {named(session_id)} to import.")
        histories = {owner: self._snapshots(found) for owner, found in sorted(owners.items())}
        times = sorted(each.created_at for history in histories.values() for each in history)
        rest = {owner: kept for (_, owner), history in histories.items() if (kept := history[-1].rest)}
        about, overflow = about_of("snapshots", rest)
        document = {"session_type": "AGENT", "created_at": times[0], "updated_at": times[-1]}
        yield HeadItem({"session_id": session_id, **document}, about)
        stash: dict[str, bytes] = {}
        for (kind, owner), history in histories.items():
            if kind == "agent":
                yield from _agent(owner, history, overflow.get(owner))
                stash.update(history[-1].stash(owner))
            else:
                state = mapping(history[-1].data.get("state"))
                yield StateItem("multi_agent", owner, state, updated_at=history[-1].created_at)
        stash.update(self._stash(session_id))
        for key in sorted(stash):
            yield ObjectItem(key, stash[key])

    def _snapshots(self, keys: list[str]) -> list[_Snapshot]:
        """An agent's snapshots, the newest last; that alone unless the earlier ones are asked for."""
        # The ids of earlier ones grow with time; the latest has none.
        ordered = sorted(keys, key=lambda key: (key.endswith(f"/{LATEST}"), key))
        wanted = ordered if self._history else ordered[-1:]
        return [_Snapshot.of(data, key) for key, data in zip(wanted, self._place.read(wanted), strict=True)]

    def _stash(self, session_id: str) -> dict[str, bytes]:
        if self._place.stash is None:
            return {}
        prefix = f"{self._place.stash}{session_id}/scopes/"
        keys = self._place.keys(prefix)
        values = zip(keys, self._place.read(keys), strict=True)
        return {f"context/{{session}}/scopes/{key[len(prefix) :]}": value for key, value in values if value is not None}


@dataclass(frozen=True)
class _Snapshot:
    """One snapshot, decoded; bytes stay as JSON has them."""

    data: Document
    created_at: str
    rest: Document
    where: str

    @classmethod
    def of(cls, data: bytes | None, key: str) -> _Snapshot:
        """Decode one.

        Raises:
            SessionDataError: It is none.
        """
        where = f"Snapshot {key}"
        if data is None:
            raise malformed(where, "it was deleted meanwhile")
        document = decoded_object(bytes(data), where)
        if document.get("schema_version") != "1.0":
            version = named(document.get("schema_version"))
            raise malformed(where, f"it has version {version} of the form, and this release reads '1.0'")
        held, created_at = document.get("data"), document.get("created_at")
        if not isinstance(held, dict) or not isinstance(created_at, str):
            raise malformed(where, "it has no data, or no created_at")
        fields = cast("Document", held)
        messages = fields.get("messages", [])
        if not isinstance(messages, list) or not all(map(is_message, cast("list[Any]", messages))):
            raise malformed(where, "its messages are none with a role and a list of content blocks")
        rest = {**fields, "app_data": document.get("app_data")} if document.get("scope") == "agent" else {}
        return cls(fields, created_at, {name: rest[name] for name in rest if rest[name] and name not in _TAKEN}, where)

    @property
    def messages(self) -> list[Document]:
        """The history as the model saw it."""
        return cast("list[Document]", self.data.get("messages", []))

    def stash(self, agent_id: str) -> dict[str, bytes]:
        """What the context manager had offloaded into memory alone, as it stands in a storage."""
        entries = mapping(mapping(self.data.get("stash")).get("entries"))
        place = f"context/{{session}}/scopes/agent/{agent_id}/"
        return {place + key: json.dumps(value).encode() for key, value in entries.items()}


def _agent(agent_id: str, history: list[_Snapshot], rest: object) -> Iterator[Item]:
    latest = history[-1]
    transcript = _Transcript()
    for snapshot in history:
        transcript.take(snapshot)
    internal = {name: latest.data[name] for name in ("interrupt_state", "model_state") if name in latest.data}
    state = mapping(latest.data.get("state"))
    data = {
        "agent_id": agent_id,
        "state": {**state, "snapshots": rest} if rest else state,
        "conversation_manager_state": mapping(latest.data.get("conversation_manager_state")),
        "_internal_state": internal,
        "created_at": history[0].created_at,
        "updated_at": latest.created_at,
    }
    window = LiveWindow.of_history(transcript.seen, next_id=len(transcript.entries))
    yield agent_item(agent_id, data, latest.where, window.render())
    for position, entry in enumerate(transcript.entries):
        yield entry.item(agent_id, position, latest.where)


@dataclass
class _Entry:
    """A message of the transcript: as it was in the first snapshot that has it, and as it is in the last."""

    first: Document
    last: Document
    at: str

    def item(self, agent_id: str, position: int, where: str) -> MessageItem:
        times = {"redact_message": None, "created_at": self.at, "updated_at": self.at}
        said = {"message": self.first, "message_id": position, **times}
        if canonical(self.first) != canonical(self.last):
            said["live"] = {"message": self.last, "message_id": position, **times, "live": True}
        return message_item(agent_id, position, said, f"Message {position} of {where}")


@dataclass
class _Transcript:
    """What was said, put together from snapshots: each holds the history as the model saw it then."""

    entries: list[_Entry] = field(default_factory=lambda: [])
    seen: list[int] = field(default_factory=lambda: [])
    _known: dict[tuple[str, int], int] = field(default_factory=lambda: {})

    def take(self, snapshot: _Snapshot) -> None:
        """Take in the next snapshot."""
        self.seen = []
        counts: dict[str, int] = {}
        for message in snapshot.messages:
            name = str(message.get("tracking_id") or canonical(message))
            counts[name] = counts.get(name, 0) + 1
            key = (name, counts[name])
            if key not in self._known:
                self._known[key] = len(self.entries)
                self.entries.append(_Entry(message, message, snapshot.created_at))
            self.entries[self._known[key]].last = message
            self.seen.append(self._known[key])
