"""OpenTelemetry spans round each batch of a session: whose it is and how much of it, never what it holds.

```
persql.restore    a session's rows are read, for an agent, a Graph or a Swarm that is being built within a span
persql.write      a batch is written
persql.settle     rows are read back after a refused batch: was it a rival, or an earlier attempt of ours?
persql.redact     rows are read that may hold what is to be redacted
```

All are client spans under the span in which the event came: an agent's messages are stored inside its invocation. An
agent is mostly built in no span at all; a trace that held nothing but its restore would stand beside those of its
invocations, and be taken for one of them, so none is begun.

Their attributes: `db.system.name` (`persql`, or `sqlite` for a local file), `db.operation.batch.size` (statements, as
OpenTelemetry's conventions name it), and by names of our own `strands_persql.session_id`, `strands_persql.agent_ids`,
`strands_persql.rows` (written or read), `strands_persql.bytes` (of parameters), `strands_persql.retries` (requests sent
again). A failed one has the status `ERROR` and `error.type`.

Nothing is recorded, and next to nothing spent, where no tracer provider is configured. The API comes with Strands.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from ..client import logger_of, retries_so_far
from ..database.query import Query
from .outgoing import MultiAgentRow

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from ..client import Statement
    from ..database.query import Answers
    from .outgoing import Outgoing, Row

logger = logger_of(__name__)

T = TypeVar("T")

_tracer = trace.get_tracer("strands_persql")

current_context = context.get_current
"""What the spans of a worker thread are to belong to: it is taken on the thread of the event."""


def spans_are_recorded() -> bool:
    """Whether a tracer provider is configured, as in few processes: else a message's way is that much shorter."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


class Subject(NamedTuple):
    """What a batch is about.

    Attributes:
        system: The database's kind, as `db.system.name` has it.
        session_id: The session.
        agent_ids: Its agents, Graphs and Swarms whose rows are read or written.
    """

    system: str
    session_id: str
    agent_ids: Iterable[str] = ()


class BatchSpan(AbstractContextManager["BatchSpan"]):
    """The span round one batch, from before it is sent until it is answered.

    Args:
        name: One of the names above.
        statements: What is sent.
        subject: What it is about.
        parent: What it belongs to; None for this thread's context.
        since: When it began, in nanoseconds since 1970; None for now.
        begins_trace: Whether it is recorded where there is no span that it belongs to.
    """

    def __init__(
        self,
        name: str,
        statements: Sequence[Statement],
        subject: Subject,
        *,
        parent: Context | None = None,
        since: int | None = None,
        begins_trace: bool = True,
    ) -> None:
        self._name = name
        self._span: Span = trace.INVALID_SPAN
        if begins_trace or trace.get_current_span(parent).get_span_context().is_valid:
            self._span = _tracer.start_span(name, context=parent, kind=SpanKind.CLIENT, start_time=since)
        self._parent = parent
        self._recording = self._span.is_recording()
        if not self._recording:
            return
        self._retries = retries_so_far()
        params = [value for statement in statements for value in statement.get("params", ())]
        self._span.set_attributes(
            {
                **_convention(),
                "db.system.name": subject.system,
                "strands_persql.session_id": subject.session_id,
                "db.operation.batch.size": len(statements),
                "strands_persql.agent_ids": sorted(set(subject.agent_ids)),
                "strands_persql.bytes": sum(
                    len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 8 for value in params
                ),
            }
        )

    @classmethod
    def of(
        cls,
        out: Outgoing,
        name: str,
        statements: Sequence[Statement],
        rows: Iterable[Row] | None = None,
        *,
        since: int | None = None,
    ) -> BatchSpan:
        """A span round a request of a writer's, for these rows; for all that it is sending, where none are named."""
        rows = out.rows.values() if rows is None else rows
        owners = (row.multi_agent_id if isinstance(row, MultiAgentRow) else row.agent_id for row in rows)
        return cls(name, statements, Subject(out.system, out.session_id, owners), parent=out.parent, since=since)

    def rows(self, count: int) -> None:
        """How many rows were written or read."""
        if self._recording:
            self._span.set_attribute("strands_persql.rows", count)

    def counted(self, query: Query[T]) -> Query[T]:
        """The same query; the rows of its answers are counted."""

        def read(answers: Answers) -> T:
            self.rows(sum(map(len, answers)))
            return query.read(answers)

        return Query(query.statements, read)

    @contextmanager
    def current(self) -> Generator[None, None, None]:
        """Make it the span of what is called inside, such as an instrumented HTTP client."""
        token = self._attach()
        try:
            yield
        finally:
            context.detach(token)

    def _attach(self) -> Token[Context]:
        # Recording or not: what such a client records belongs to it, not to what the thread did before.
        return context.attach(trace.set_span_in_context(self._span, self._parent))

    def __enter__(self) -> BatchSpan:
        self._token = self._attach()
        if self._recording:
            self._retries = retries_so_far()  # of this thread, which may not be the one that made it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        context.detach(self._token)
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """The batch was answered, or failed: for a span that was not entered, since sessions share its request."""
        if not self._recording:
            return
        self._span.set_attribute("strands_persql.retries", retries_so_far() - self._retries)
        if error is not None:  # the type alone: a handle's error may quote the statement
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status(Status(StatusCode.ERROR))
        try:
            self._span.end()
        except Exception:  # an exporter that fails: what it was to tell of is stored all the same
            logger.warning("span=<%s> | a span could not be exported", self._name, exc_info=True)


def _convention() -> dict[str, str]:
    """What tells the convention of a trace whose agent's own spans follow the newer one for generative AI.

    strands-evals (`StrandsInMemorySessionMapper`) looks for it in the span that ends first, which is one of ours. It
    also drops each span without `session.id` where any has one: none of ours does.
    """
    opted = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "")
    return {"gen_ai.provider.name": "strands-agents"} if "gen_ai_latest_experimental" in opted else {}
