"""A mirror: stores what an agent does beside whatever else manages its session, and never changes the agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from strands.hooks import HookProvider, HookRegistry

from .database.about import About
from .database.connector import Connector
from .database.tables import Tables
from .engine.closing import Closing
from .engine.lifecycle import register
from .engine.mirror import Mirror
from .engine.recording import Recording
from .errors import named

if TYPE_CHECKING:
    from datetime import timedelta

    from .client import Database
    from .database.retention import Retention
    from .encryption import Encryption
    from .engine.options import Durability


class PerSQLHooks(Closing, HookProvider):
    """Mirrors agents into a session, alongside any other session manager, or none.

    ```python
    agent = Agent(hooks=[PerSQLHooks("user-42", db)], session_manager=FileSessionManager("user-42"))
    ```

    It never restores and never changes an agent, nor a Graph or Swarm but for a task that a guardrail has blocked. A
    history that another manager restored is recognised by its messages' tracking ids and content, and continued; where
    it differs from what is stored, the mirror follows the agent, and what the agent no longer has stays in the
    transcript. On the nodes of a Graph or Swarm, where Strands takes no session manager, each agent needs an `agent_id`
    of its own.

    A guardrail's redaction of the user's message has no event: it is noticed after the model call, and the stored row
    then overwritten. With `redaction_safe` the user's message is not stored before that.

    Args:
        session_id: Any text that is not blank. It may be the other manager's.
        database: A handle as `PerSQL(…).database(…)` gives, or one of PerSQL's own SDK.
        table_prefix: Starts the name of each table: a letter, then letters, digits, underscores.
        durability: When a message is stored: `"message"`, `"overlap"` or `"invocation"`.
        on_error: `"raise"`: a failed write fails the agent's turn. `"log"`: the agent goes on, the failure is logged
            once, and the rows are stored with the next event that finds the store back (see `MAX_PENDING`).
        redaction_safe: Hold the user's messages back until the model has answered.
        create_tables: Create the tables when a statement finds none; False sends no DDL ever.
        user: The id of the user whose session it is: it is then listed among that user's, and the session of another
            user is not opened.
        title: Its title; None for what its first prompt begins with.
        tags: Texts to find it by.
        metadata: Anything else to be told about it, a JSON object.
        retention: How long it is kept, as the session manager takes it.
        encryption: The keys that its documents are encrypted with; None: they are stored in clear.

    What is told about the session is stored as it begins; later, `PerSQLSessions.update` changes it.

    Raises:
        TypeError: `session_id` is no string, or `database` no synchronous handle.
        ValueError: One of the others is none of the above.
    """

    def __init__(
        self,
        session_id: str,
        database: Database,
        *,
        table_prefix: str = "strands_",
        durability: Durability = "message",
        on_error: Literal["raise", "log"] = "raise",
        redaction_safe: bool = False,
        create_tables: bool = True,
        user: str | None = None,
        title: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention: timedelta | Retention | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        if on_error not in ("raise", "log"):
            raise ValueError(f"on_error must be 'raise' or 'log', got {named(on_error)}")
        connector = Connector(database, Tables(table_prefix, encryption), create_tables=create_tables)
        self._recording = Recording(
            connector,
            session_id,
            durability,
            About.of(user=user, title=title, tags=tags, metadata=metadata, retention=retention),
        )
        self.session_id = self._recording.session_id
        self._listener = Mirror(self._recording, raises=on_error == "raise", holds_back=redaction_safe)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, pending={self.pending})"

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        """Register the callbacks, once for each agent: see `strands_persql.engine.lifecycle`."""
        register(registry, self._listener)
