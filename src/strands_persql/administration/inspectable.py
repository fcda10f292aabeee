"""The part of the administrative face that hands stored sessions to other tools: evaluations, and SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..database.tables import Views
from ..engine.options import checked_session_id
from ..errors import PermissionDeniedError
from . import arguments
from .conversations import Conversations
from .listing import Chosen, list_sessions

if TYPE_CHECKING:
    from ..database.query import Query
    from .evaluation import Evaluation


class Inspectable(Conversations):
    """A database of sessions that other tools look into; see `PerSQLSessions`."""

    def evaluation(
        self,
        session_id: str | None = None,
        *,
        agent_id: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        expected: bool = False,
    ) -> Evaluation:
        """Stored prompts as cases of strands-evals, with what the agents did for them; takes that package.

        ```python
        last_week = sessions.evaluation(since=datetime.now() - timedelta(days=7))
        report = Experiment(last_week.cases, [evaluator]).run_evaluations(last_week.replay)
        ```

        Args:
            session_id: The session; None for all that were active in the window of time.
            agent_id: This agent alone.
            since: Only prompts of this time or later. A string is ISO 8601, UTC where it names no zone; a `datetime`
                without a zone is local time.
            until: Only prompts before this time.
            expected: Give each case its stored answer and tools as what is expected, to run another agent against.

        Raises:
            ModuleNotFoundError: strands-evals is not installed.
            SessionException: There is no such session, or no such agent in it.
            SessionDataError: A stored row can't be read.
            ValueError: An argument can't be used.
        """
        from .evaluation import Window, evaluated  # imports strands-evals

        window = Window(
            None if since is None else arguments.time("since", since),
            None if until is None else arguments.time("until", until),
        )
        if session_id is not None:
            ids = [checked_session_id(session_id)]
        else:
            # One that was active later may have been so in the window too.
            ids = self._active_since(window.since or datetime.min.replace(tzinfo=timezone.utc))
        agent = None if agent_id is None else arguments.text("agent_id", agent_id)
        return evaluated(self._store, ids, agent, window, expected=expected)

    def _active_since(self, since: datetime) -> list[str]:
        found: list[str] = []
        after: str | None = None
        while True:
            page = list_sessions(self._store, Chosen("", since=since), limit=1000, after=after, sizes=False)
            found += [each.session_id for each in page.sessions]
            after = page.after
            if after is None:
                return found

    def create_views(self) -> tuple[str, ...]:
        """Create two views for whoever looks at the data in SQL, or bring them to the form of this release.

        `{prefix}conversation` has a row for each message: `session_id`, `agent_id`, `position`, `role`, `text` (of tool
        results too), `tool_name`, `tool_errors`, tokens, `latency_ms` and `time`. `{prefix}usage` adds these up for
        each agent of each session. Both show what was said, with redactions in place; a row that SQLite can't read has
        no text. They are made anew as they are read, and cost writers nothing. Takes an admin token.

        Returns:
            Their names.

        Raises:
            PermissionDeniedError: The token may not run DDL.
        """
        return self._with_views(Views.create)

    def drop_views(self) -> tuple[str, ...]:
        """Drop the views, where they are; no data is touched. Takes an admin token.

        Returns:
            Their names.

        Raises:
            PermissionDeniedError: The token may not run DDL.
        """
        return self._with_views(Views.drop)

    def _with_views(self, change: Callable[[Views], Query[None]]) -> tuple[str, ...]:
        views = Views(self._store.tables.prefix)
        try:
            self._store.carry_out(change(views))
        except Exception as error:
            raise _explained(error) from error
        return views.names


def _explained(error: Exception) -> Exception:
    """What to do about a token that may not run DDL."""
    if not isinstance(error, PermissionDeniedError) and getattr(error, "status", None) != 403:
        return error
    return PermissionDeniedError(
        "This token may not create or drop views. Use an admin token for this one call; after that a readonly token is "
        "enough to read them.",
        status=403,
        kind=getattr(error, "kind", None),
        request_id=getattr(error, "request_id", None),
    )
