"""The OpenAPI document: what can be asked for here, and what is answered."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from ._problems import KINDS, PREFIX
from ._router import Operation
from ._schemas import Schemas

PROBLEM = "application/problem+json"

PARAMETERS: dict[str, dict[str, Any]] = {
    "session_id": {"in": "path", "description": "The session's id. What stands for a slash in it is %2F."},
    "record_id": {"in": "path", "description": "The id of a message's record."},
    "place": {"in": "path", "description": "Where the part stands in its message: its field place."},
    "tag": {"description": "Only sessions with this tag."},
    "copy_of": {"description": "Only sessions that were forked from this one, in the order of their ids."},
    "order": {
        "schema": {"type": "string", "enum": ["recent", "id"], "default": "recent"},
        "description": "The newest first, or in the order of their ids.",
    },
    "after_page": {"name": "after", "description": "The field after of the page before."},
    "user": {"description": "Only this user's sessions; heeded only where the caller may see all."},
    "limit": {"schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "description": "The most."},
    "limit_messages": {
        "name": "limit",
        "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
        "description": "The most messages.",
    },
    "agent_id": {"description": "The agent; needed where the session has several."},
    "agents": {
        "schema": {"type": "string", "enum": ["one", "all"], "default": "one"},
        "description": "all: of all agents of the session, only an event changed for what was written to one of them.",
    },
    "before": {"description": "The field before of the page before, or the id of any message's record."},
    "q": {"required": True, "description": "Words, all of which a message must hold."},
    "after_message": {"name": "after", "description": "The position of the last message that the client has."},
    "last_event_id": {"in": "header", "name": "Last-Event-ID", "description": "The same, as browsers send it."},
    "if_none_match": {"in": "header", "name": "If-None-Match", "description": "An ETag: 304 if it is still the same."},
    "if_match": {
        "in": "header",
        "name": "If-Match",
        "description": "The ETag of the session (get_session): 412 if it has been written to since.",
    },
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document, but for its `servers`: where the app is mounted.

    Args:
        operations: What can be asked for.
    """
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    problem = {
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": [PREFIX + kind.name for kind in KINDS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sessions",
            "version": "1",
            "description": "The sessions of whoever is logged in. Another user's seem not to exist.",
        },
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(schemas.found.items())), "Problem": problem},
            "responses": {"Problem": {"description": "A problem.", "content": {PROBLEM: {"schema": _PROBLEM}}}},
        },
    }


_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    said = inspect.cleandoc(operation.answer.__doc__ or "")
    summary, _, more = said.partition("\n\n")
    named = re.findall(r"{(\w+)}", operation.path)
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "parameters": [_parameter(name) for name in (*named, *operation.takes)],
        "responses": {str(operation.status): _response(operation, schemas)},
    }
    if "if_none_match" in operation.takes:
        found["responses"]["304"] = {"description": "It is still the same."}
    if "if_match" in operation.takes:
        found["responses"]["412"] = _ANY_PROBLEM
    found["responses"]["default"] = _ANY_PROBLEM
    if more:
        found["description"] = " ".join(more.split())
    if operation.body is not None:
        content = {"application/json": {"schema": operation.body}}
        found["requestBody"] = {"required": True, "content": content}
    return found


_ANY_PROBLEM = {"$ref": "#/components/responses/Problem"}


def _parameter(name: str) -> dict[str, Any]:
    told = PARAMETERS[name]
    place = told.get("in", "query")
    return {
        "name": told.get("name", name),
        "in": place,
        "required": told.get("required", place == "path"),
        "schema": told.get("schema", {"type": "string"}),
        "description": told["description"],
    }


def _response(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {"description": operation.gives}
    if operation.result is not None:
        found["content"] = {operation.media_type: {"schema": schemas.of(operation.result)}}
    elif operation.media_type != "application/json":
        found["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    if operation.method == "GET" and operation.media_type not in ("text/event-stream", "application/jsonl"):
        found["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "What If-None-Match takes."}}
    return found
