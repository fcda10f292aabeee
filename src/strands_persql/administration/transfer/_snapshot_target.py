"""A storage of Strands' `SnapshotSessionManager` to write to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...database.encoding import mapping
from ...database.live_window import LiveWindow, Range
from ...errors import SessionDataError, named
from ._items import Checksum, Document, Item, MessageItem, ObjectItem, StateItem, Target
from ._snapshot_storage import LATEST, STASH, Snapshots

_REFUSED = (
    "The storage {}: {}. Nothing was changed. Export to another storage, or under another name (rename the session, or "
    "fork it)."
)


class SnapshotTarget(Target):
    """Such a storage: each agent's newest snapshot is written, with the history that its model sees.

    A storage takes one value after the other: an export that was cut off among them goes on when it is made again.

    Args:
        snapshots: The storage.
        session_id: The session.
    """

    counts = False

    def __init__(self, snapshots: Snapshots, session_id: str) -> None:
        self._place = snapshots.place
        self._session_id = session_id
        self._stash: dict[str, bytes] = {}
        self._snapshots: dict[str, bytes] = {}
        if "/" in session_id or "\\" in session_id:
            raise SessionDataError(_REFUSED.format("takes no path separators in ids", named(session_id)))
        self._found = self._place.keys(f"{self._place.sessions}{session_id}/")

    def write(self, items: Iterator[Item], total: int | None) -> tuple[str, int]:
        checksum = Checksum()
        state: StateItem | None = None
        messages: dict[int, Document] = {}
        for item in items:
            checksum.add(item)
            if isinstance(item, MessageItem):
                seen = item.data if item.live is None else item.live
                messages[item.message_id] = mapping(seen.get("redact_message") or seen.get("message"))
                continue
            self._add(state, messages)
            state, messages = item if isinstance(item, StateItem) else None, {}
            if isinstance(item, ObjectItem) and self._place.stash is not None and item.key.startswith(STASH):
                self._stash[item.key.replace("{session}", self._session_id, 1)] = item.value
        self._add(state, messages)
        if self._found and not self._is_begun():
            raise SessionDataError(_REFUSED.format("holds this session already", named(self._session_id)))
        return checksum.hexdigest(), checksum.messages

    def finish(self) -> None:
        # What snapshots refer to stands before them.
        for key, data in {**self._stash, **self._snapshots}.items():
            self._place.write(key, data)

    def discard(self) -> None:
        self._stash, self._snapshots = {}, {}

    def _is_begun(self) -> bool:
        """Whether the storage holds some of the same snapshots, and no other."""
        there = dict(zip(self._found, self._place.read(self._found), strict=True))
        return len(there) < len(self._snapshots) and there.items() <= self._snapshots.items()

    def _add(self, state: StateItem | None, messages: dict[int, Document]) -> None:
        if state is None:
            return
        scope, data = "multiAgent", dict[str, Any](orchestrator_id=state.owner, state=state.data)
        if state.kind == "agent":
            document = state.data
            window = (state.window or LiveWindow.by_rule(document)).closed(max(messages, default=-1))
            history = [
                message
                for item in window.items
                for message in (_between(messages, item) if isinstance(item, Range) else [item])
            ]
            named_fields = {name: document.get(name, {}) for name in ("state", "conversation_manager_state")}
            scope, data = "agent", {"messages": history, **named_fields, **mapping(document.get("_internal_state"))}
        snapshot = {
            "scope": scope,
            "schema_version": "1.0",
            "created_at": str(state.data.get("updated_at") or state.updated_at or ""),
            "data": data,
            "app_data": {},
        }
        key = f"{self._place.sessions}{self._session_id}/scopes/{scope}/{state.owner}/snapshots/{LATEST}"
        self._snapshots[key] = json.dumps(snapshot, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _between(messages: dict[int, Document], places: Range) -> list[Document]:
    return [messages[at] for at in range(places.low, (places.high or 0) + 1) if at in messages]
