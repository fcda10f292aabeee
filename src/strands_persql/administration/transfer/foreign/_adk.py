"""Sessions of Google's Agent Development Kit: SQLite files of `SqliteSessionService` and `DatabaseSessionService`.

Two forms: events as JSON in one column, or, up to ADK 1.21, each field in a column of its own. In these the column
`actions` is a pickle, which is left alone: what the actions did to the state stands in the state.

Source: google-adk 1.19 to 1.35, `google/adk/sessions/sqlite_session_service.py`, `sessions/schemas/v0.py` and `v1.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ....database.encoding import mapping
from ....errors import named
from .._items import Document, Item
from ._blocks import media, reasoning, text_block, tool_result, tool_use
from ._pieces import Conversation, ForeignSession, Piece, time_of_seconds, time_of_text, tokens
from ._sqlite import ForeignDatabase, json_of, object_of

LIBRARY = "google-adk"

_SESSIONS = frozenset(("app_name", "user_id", "id", "state", "create_time", "update_time"))
_EVENTS = frozenset(("app_name", "user_id", "session_id", "invocation_id", "timestamp"))
_COLUMNS = (
    "id", "invocation_id", "author", "branch", "long_running_tool_ids_json", "timestamp", "content",
    "grounding_metadata", "custom_metadata", "usage_metadata", "citation_metadata", "partial", "turn_complete",
    "error_code", "error_message", "interrupted", "input_transcription", "output_transcription",
)  # fmt: skip
"""The columns of an event of the older form, but for the pickle."""

_TAKEN = {"content", "usage_metadata", "usageMetadata", "timestamp"}


@dataclass(frozen=True)
class Adk:
    """The sessions in a file.

    Attributes:
        database: The file.
    """

    database: ForeignDatabase

    @staticmethod
    def of(database: ForeignDatabase) -> Adk | None:
        """The sessions in a file, if its tables are this library's."""
        tables = database.tables
        events = tables.get("events", frozenset())
        is_ours = tables.get("sessions", frozenset()) >= _SESSIONS and events >= _EVENTS
        return Adk(database) if is_ours and ("event_data" in events or "content" in events) else None

    def session_ids(self) -> list[str]:
        """The ids of its sessions, in order; of an id that several apps or users have, `id@user@app`."""
        return sorted(self._keys())

    def _keys(self) -> dict[str, tuple[str, str, str]]:
        rows = list(self.database.rows("sessions", ("id", "user_id", "app_name"), order=("id", "user_id", "app_name")))
        ids = [row["id"] for row in rows]
        return {
            row["id"] if ids.count(row["id"]) == 1 else f"{row['id']}@{row['user_id']}@{row['app_name']}": (
                row["id"],
                row["user_id"],
                row["app_name"],
            )
            for row in rows
        }

    def items(self, session_id: str) -> Iterator[Item]:
        """One of its sessions: all its agents' events are the one history that each of them sees."""
        own, user, app = self._keys()[session_id]
        where = f"session {named(session_id)} of {self.database.name}"
        titles = [name for name in ("title", "display_name") if name in self.database.tables["sessions"]]
        (row,) = self.database.rows(
            "sessions", ("state", "create_time", "update_time", *titles), id=own, user_id=user, app_name=app
        )
        state = {
            **self._state("app_states", "app", where, app_name=app),
            **self._state("user_states", "user", where, app_name=app, user_id=user),
            **object_of(row["state"], f"The state of {where}"),
        }
        session = ForeignSession(
            LIBRARY,
            session_id,
            _time(row["create_time"]),
            _time(row["update_time"]),
            user=user,
            title=next((row[name] for name in titles if row[name]), None),
            rest={"app_name": app, **({} if own == session_id else {"id": own})},
        )
        pieces = (piece for event in self._events(own, user, app, where) for piece in _pieces(event))
        return session.items([Conversation(pieces, state=state)], where)

    def _state(self, table: str, prefix: str, where: str, **key: str) -> Document:
        """What all sessions of an app, or of a user of it, share, as the library shows it to each of them."""
        if table not in self.database.tables:
            return {}
        rows = list(self.database.rows(table, ("state",), **key))
        shared = object_of(rows[0]["state"], f"The {prefix} state of {where}") if rows else {}
        return {f"{prefix}:{name}": value for name, value in shared.items()}

    def _events(self, session_id: str, user: str, app: str, where: str) -> Iterator[Document]:
        known = self.database.tables["events"]
        columns = ["event_data", "timestamp"] if "event_data" in known else [each for each in _COLUMNS if each in known]
        rows = self.database.rows(
            "events", columns, order=("timestamp", "rowid"), session_id=session_id, user_id=user, app_name=app
        )
        for number, row in enumerate(rows):
            place = f"Event {number} of {where}"
            if "event_data" in known:
                yield {"timestamp": row["timestamp"], **object_of(row["event_data"], place)}
            else:
                yield {
                    name: json_of(value, place) if name.endswith(("content", "_metadata", "_json")) else value
                    for name, value in row.items()
                }


def _time(value: object) -> str:
    """A time of a row: seconds, or a text without a zone, which is UTC's."""
    return time_of_seconds(value) or time_of_text(value)


def _pieces(event: Mapping[str, Any]) -> Iterator[Piece]:
    at = _time(event.get("timestamp"))
    rest = {name: value for name, value in event.items() if name not in _TAKEN and not _is_empty(value)}
    usage = mapping(event.get("usage_metadata") or event.get("usageMetadata"))
    counts = tokens(
        _field(usage, "prompt_token_count"),
        _field(usage, "candidates_token_count"),
        cached=_field(usage, "cached_content_token_count"),
    )
    content = mapping(event.get("content"))
    said: list[Document] = []
    results: list[Document] = []
    unknown: list[Document] = []
    for part in content.get("parts") or ():
        response = mapping(_field(mapping(part), "function_response"))
        if response:
            results.append(_result(response))
            continue
        blocks = _blocks(mapping(part))
        if blocks is None or _field(mapping(part), "thought_signature"):
            unknown.append(mapping(part))
        said += blocks or []
    if unknown:
        rest["parts"] = unknown
    if results:
        yield Piece("results", results, at, {} if said else rest)
    if said or not results:
        is_prompt = event.get("author") == "user"
        yield Piece("prompt" if is_prompt else "answer", said, at, rest, {} if is_prompt else counts)


def _field(document: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by that name as JSON of Google's services has it."""
    head, *tail = name.split("_")
    return document.get(name, document.get(head + "".join(word.capitalize() for word in tail)))


def _is_empty(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(each) for each in mapping(value).values())
    return value is None or value == [] or value == ""


def _result(response: Document) -> Document:
    answer = response.get("response")
    failed = isinstance(answer, dict) and set(mapping(answer)) == {"error"}
    only = mapping(answer).get("result") if isinstance(answer, dict) and set(mapping(answer)) == {"result"} else None
    content: list[Document] = [{"text": only}] if isinstance(only, str) else [{"json": answer}]
    return tool_result(response.get("id") or response.get("name"), content, failed=failed)


def _blocks(part: Document) -> list[Document] | None:
    """The blocks of a part; None where Strands has none for it, or only the part's name."""
    if isinstance(part.get("text"), str):
        return reasoning(part["text"]) if part.get("thought") else text_block(part["text"])
    call = mapping(_field(part, "function_call"))
    if call:
        return [tool_use(call.get("id") or call.get("name"), call.get("name"), call.get("args"))]
    data = mapping(_field(part, "inline_data"))
    block = media(_field(data, "mime_type"), data.get("data"), _field(data, "display_name"))
    return None if block is None else [block]
