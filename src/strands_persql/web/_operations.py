"""All that can be asked for: the one list from which requests are routed, and the OpenAPI document is made."""

from __future__ import annotations

from typing import Any

from ..administration.records import ConversationPage
from ..administration.results import SearchResult, SessionDetail, SessionPage, SessionSummary, Usage
from ..database.about import LONGEST_TAG, LONGEST_TITLE, MOST_TAGS
from . import _events as events
from . import _reading as reading
from . import _writing as writing
from ._router import Operation

SESSIONS, SESSION = "/sessions", "/sessions/{session_id}"

_CACHED = "if_none_match"


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


_POSITION = {"type": "integer", "minimum": 0}
_UPDATE = _object(
    title={
        "type": ["string", "null"],
        "maxLength": LONGEST_TITLE,
        "description": "null: what the first prompt begins with.",
    },
    tags={
        "type": ["array", "null"],
        "maxItems": MOST_TAGS,
        "items": {"type": "string", "maxLength": LONGEST_TAG},
        "description": "All of its tags.",
    },
    metadata={"type": ["object", "null"], "description": "All of its metadata."},
)
_FORK = _object(
    at={"type": ["integer", "null"], "minimum": 0, "description": "The position of the copy's last message."},
    agent_id={"type": ["string", "null"], "description": "Copy this agent alone."},
)
_REWIND = {
    **_object(
        to={**_POSITION, "description": "The position of the message that is to be the last."},
        before={**_POSITION, "description": "Instead of to, the position of the first message that goes."},
        agent_id={"type": ["string", "null"], "description": "The agent; needed where the session has several."},
    ),
    "oneOf": [{"required": ["to"]}, {"required": ["before"]}],
}

OPERATIONS = (
    Operation(
        "GET",
        SESSIONS,
        reading.list_sessions,
        takes=("tag", "copy_of", "order", "after_page", "limit", "user", _CACHED),
        gives="A page of sessions.",
        result=SessionPage,
    ),
    Operation(
        "GET",
        "/search",
        reading.search_messages,
        takes=("q", "limit", _CACHED),
        gives="What was found.",
        result=SearchResult,
    ),
    Operation("GET", SESSION, reading.get_session, takes=(_CACHED,), gives="The session.", result=SessionDetail),
    Operation(
        "PATCH",
        SESSION,
        writing.update_session,
        writes=True,
        takes=("if_match",),
        body=_UPDATE,
        gives="The session.",
        result=SessionSummary,
    ),
    Operation(
        "DELETE", SESSION, writing.delete_session, writes=True, takes=("if_match",), gives="It is gone.", status=204
    ),
    Operation("GET", f"{SESSION}/usage", reading.get_usage, takes=(_CACHED,), gives="Its usage.", result=Usage),
    Operation(
        "GET",
        f"{SESSION}/search",
        reading.search_session,
        takes=("q", "limit", _CACHED),
        gives="What was found.",
        result=SearchResult,
    ),
    Operation(
        "GET",
        f"{SESSION}/messages",
        reading.list_messages,
        takes=("agent_id", "before", "limit_messages", _CACHED),
        gives="A page of messages, the newest last.",
        result=ConversationPage,
    ),
    Operation(
        "GET",
        f"{SESSION}/messages/{{record_id}}/media/{{place}}",
        reading.get_media,
        takes=("agent_id", _CACHED),
        gives="The bytes.",
        media_type="*/*",
    ),
    Operation(
        "GET",
        f"{SESSION}/events",
        events.stream_events,
        takes=("agent_id", "agents", "after_message", "last_event_id"),
        gives="Events.",
        media_type="text/event-stream",
    ),
    Operation(
        "GET",
        f"{SESSION}/export",
        reading.export_session,
        gives="A .jsonl file.",
        media_type="application/jsonl",
    ),
    Operation(
        "POST",
        f"{SESSION}/fork",
        writing.fork_session,
        writes=True,
        takes=("if_match",),
        body=_FORK,
        gives="The copy; the header Location has its address.",
        result=SessionSummary,
        status=201,
    ),
    Operation(
        "POST",
        f"{SESSION}/rewind",
        writing.rewind_session,
        writes=True,
        takes=("if_match",),
        body=_REWIND,
        gives="It is done.",
        status=204,
    ),
)
