"""All that can be asked for: the one list from which requests are routed, and the OpenAPI document is made."""

from __future__ import annotations

from . import _reading as reading
from . import _writing as writing
from ._router import Operation

SESSIONS, SESSION = "/sessions", "/sessions/{session_id}"

OPERATIONS = (
    Operation("GET", SESSIONS, reading.list_sessions),
    Operation("GET", SESSION, reading.get_session),
    Operation("PATCH", SESSION, writing.update_session, writes=True),
    Operation("DELETE", SESSION, writing.delete_session, writes=True),
    Operation("GET", f"{SESSION}/usage", reading.get_usage),
    Operation("POST", f"{SESSION}/fork", writing.fork_session, writes=True),
    Operation("POST", f"{SESSION}/rewind", writing.rewind_session, writes=True),
)
