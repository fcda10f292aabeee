"""What the administrative face answers with: plain, immutable records. Pure: no I/O, no agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .notebooks import messages, table, words_of

__all__ = [
    "AgentSummary",
    "Deletion",
    "Expiry",
    "MultiAgentSummary",
    "SearchHit",
    "SearchResult",
    "SessionDetail",
    "SessionPage",
    "SessionSummary",
    "TranscriptMessage",
    "Transfer",
    "Usage",
]


@dataclass(frozen=True)
class Expiry:
    """When a session with a retention may be deleted; `prune(expired=True)` does.

    Attributes:
        at: The time, by what the session's rows tell now: ISO 8601, UTC.
        seconds: How long it is kept.
        sliding: Whether that counts from its last activity; else from when its retention was set.
    """

    at: str
    seconds: int
    sliding: bool


@dataclass(frozen=True)
class SessionSummary:
    """One line of a list of sessions.

    Attributes:
        session_id: The session.
        created_at: When it began: ISO 8601, UTC; empty where its row can't be read.
        last_active: When its newest row was written: ISO 8601, UTC.
        agents: How many agents it has.
        messages: How many messages their transcripts hold, trimmed ones and those that were taken back included.
        multi_agents: How many Graphs and Swarms it has.
        bytes: The bytes of its documents, where they were asked for: that takes a scan of its rows.
        title: The one it was given, or what its first prompt begins with; empty where neither is there.
        preview: What its last message begins with that no rewind took back: its texts, without tool calls and without
            Markdown's marks.
        user: The id of the user whose session it is; None for nobody's.
        tags: Its tags, sorted.
        metadata: What else it was given.
        expiry: When it may be deleted; None where it is kept for ever.
        copy_of: The session that it was forked from, if it was.
        taken_back: How many of the messages `rewind` set the history back to before.
    """

    session_id: str
    created_at: str
    last_active: str
    agents: int
    messages: int
    multi_agents: int = 0
    bytes: int | None = None
    title: str = ""
    preview: str = ""
    user: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: {})
    expiry: Expiry | None = None
    copy_of: str | None = None
    taken_back: int = 0

    def _repr_html_(self) -> str:
        return _sessions([self])


@dataclass(frozen=True)
class SessionPage:
    """A page of a list of sessions.

    Attributes:
        sessions: In the order that was asked for.
        after: What to pass as `after=` for the next page; None where this is the last.
        in_order: Whether all sessions stand in that order. False where the newest first were asked for of more than
            1,000 sessions that no index has in order (`enable_recent`): 1,000 at a time then are.
    """

    sessions: tuple[SessionSummary, ...]
    after: str | None
    in_order: bool = True

    def _repr_html_(self) -> str:
        return _sessions(self.sessions)


@dataclass(frozen=True)
class AgentSummary:
    """One agent of a session.

    Attributes:
        agent_id: The agent.
        created_at: When it was first stored: ISO 8601, UTC.
        last_active: When its newest row was written: ISO 8601, UTC.
        messages: How many messages its transcript holds.
        live: How many of them the model sees, inline ones included.
        state: The agent's own state.
        taken_back: How many of the messages `rewind` set the history back to before.
    """

    agent_id: str
    created_at: str
    last_active: str
    messages: int
    live: int
    state: Mapping[str, Any] = field(default_factory=lambda: {})
    taken_back: int = 0


@dataclass(frozen=True)
class MultiAgentSummary:
    """One Graph or Swarm of a session.

    Attributes:
        multi_agent_id: Its id.
        status: As Strands stores it: `"completed"`, `"executing"`, `"interrupted"` …
        nodes: Its nodes in the order in which they ran, as far as its state tells.
        data: The whole stored state.
    """

    multi_agent_id: str
    status: str
    nodes: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=lambda: {})


@dataclass(frozen=True)
class SessionDetail:
    """All of a session but its messages.

    Attributes:
        session_id: The session.
        created_at: When it began: ISO 8601, UTC.
        last_active: When its newest row was written: ISO 8601, UTC.
        agents: Those that are no node of a Graph or Swarm, in the order of their ids; then nodes as they first ran.
        multi_agents: In the order of their ids.
        bytes: The bytes of its documents, where they were asked for.
        title: The one it was given, or what its first prompt begins with; empty where neither is there.
        user: The id of the user whose session it is; None for nobody's.
        tags: Its tags, sorted.
        metadata: What else it was given.
        expiry: When it may be deleted; None where it is kept for ever.
        copy_of: The session that it was forked from, if it was.
    """

    session_id: str
    created_at: str
    last_active: str
    agents: tuple[AgentSummary, ...]
    multi_agents: tuple[MultiAgentSummary, ...]
    bytes: int | None = None
    title: str = ""
    user: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: {})
    expiry: Expiry | None = None
    copy_of: str | None = None

    def _repr_html_(self) -> str:
        agents = ((each.agent_id, each.messages, each.live, each.last_active) for each in self.agents)
        groups = ((each.multi_agent_id, each.status, ", ".join(each.nodes)) for each in self.multi_agents)
        told = ((self.session_id, self.title, self.user, self.created_at, self.last_active),)
        return (
            table(("session", "title", "user", "created", "last active"), told)
            + table(("agent", "messages", "seen by the model", "last active"), agents)
            + (table(("Graph or Swarm", "status", "nodes"), groups) if self.multi_agents else "")
        )


@dataclass(frozen=True)
class TranscriptMessage:
    """One message of an agent's transcript, or of its live window.

    Attributes:
        agent_id: Whose.
        message_id: Its position in the transcript; None for one that stands in the live window alone (a summary).
        message: The message as Strands has it: `role`, `content`, and more. Of a transcript, as it was said; of a live
            window, as the model sees it now.
        created_at: When it was stored first: ISO 8601, UTC; empty where nothing tells.
        updated_at: When its row was written last.
        live: Whether the model sees it.
        seen: What the model sees now where that is something else than what was said, since it was truncated, offloaded
            or edited; else None.
        redacted: Whether its row says that it was redacted. Of rows from elsewhere a message's own text tells.
        taken_back: Whether `rewind` set the history back to before it.
    """

    agent_id: str
    message_id: int | None
    message: Mapping[str, Any]
    created_at: str
    updated_at: str
    live: bool
    seen: Mapping[str, Any] | None = None
    redacted: bool = False
    taken_back: bool = False

    def _repr_html_(self) -> str:
        return messages([(self.message_id, str(self.message.get("role", "")), words_of(self.message))])


@dataclass(frozen=True)
class SearchHit:
    """One message that a search found.

    Attributes:
        session_id: Where.
        agent_id: Whose.
        message_id: Its position in the transcript.
        role: `"user"` or `"assistant"`.
        snippet: Its text round the words found.
        created_at: When it was stored: ISO 8601, UTC.
        score: How well it matches, larger is better; None where messages were scanned.
    """

    session_id: str
    agent_id: str
    message_id: int
    role: str
    snippet: str
    created_at: str
    score: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        hits: Best first where an index was searched, else in the order of session, agent and position.
        method: `"index"` for the full-text index, `"scan"` where the database has none.
        scanned: How many messages were read to look into them; an index finds its own without.
        complete: False where looking stopped at a bound, be it of hits or of messages looked at, before the end.
    """

    hits: tuple[SearchHit, ...]
    method: Literal["index", "scan"]
    scanned: int
    complete: bool


@dataclass(frozen=True)
class Usage:
    """What a session has used, as far as the messages' metadata tell.

    Attributes:
        messages: How many messages were looked at.
        reported: How many of them carry metadata of a model call: Strands stores it on releases that have it.
        model_calls: Answers of a model.
        tool_calls: Tool uses.
        tool_errors: Tool results with `status: "error"`.
        input_tokens: Tokens sent to the model.
        output_tokens: Tokens it answered with.
        cache_read_tokens: Of the input, those read from the provider's cache.
        cache_write_tokens: Of the input, those written to it.
        latency_ms: Milliseconds the model took, all calls together.
        agents: The same of each agent, in the order of `SessionDetail.agents`; empty in these.
        unread: How many of the messages could not be looked into: rows that can't be read, and messages beyond the
            first 4 MB of those that are longer than a row may be.
    """

    messages: int = 0
    reported: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    latency_ms: int = 0
    agents: Mapping[str, Usage] = field(default_factory=lambda: {})
    unread: int = 0


@dataclass(frozen=True)
class Deletion:
    """What was deleted, or would be.

    Attributes:
        session_ids: The sessions.
        rows: How many rows of all tables, those of sessions that became active midway included.
        dry_run: Whether nothing was deleted.
    """

    session_ids: tuple[str, ...]
    rows: int
    dry_run: bool = False


@dataclass(frozen=True)
class Transfer:
    """What an import or export brought over for one session.

    Attributes:
        session_id: The session as it is called in the target.
        agents: Agents brought over or found there already.
        messages: Messages brought over or found there already.
        multi_agents: Graphs and Swarms brought over or found there already.
        written: Messages written by this call; the rest stood there from an earlier one.
        requests: Requests made to PerSQL.
        checksum: SHA-256 over all messages in order, in a canonical form; read back from the target, and equal to the
            source's.
    """

    session_id: str
    agents: int
    messages: int
    multi_agents: int
    written: int
    requests: int
    checksum: str


def _sessions(sessions: Iterable[SessionSummary]) -> str:
    """Sessions as a notebook shows them."""
    rows = (
        (it.session_id, it.last_active, it.agents, it.multi_agents, it.messages - it.taken_back, it.user, it.title)
        for it in sessions
    )
    return table(("session", "last active", "agents", "Graphs", "messages", "user", "title"), rows)
