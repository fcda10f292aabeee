"""Sessions to look at, made of the records that `PerSQLSessions` answers with: no database."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from strands.types.exceptions import SessionException

from strands_persql.administration.results import (
    AgentSummary,
    MultiAgentSummary,
    SessionDetail,
    TranscriptMessage,
    Usage,
)

START = datetime(2026, 11, 23, 9, 58, 12, 250_000, tzinfo=timezone.utc)


def stamp(seconds: float) -> str:
    """A time so many seconds after the start, as it is stored."""
    return (START + timedelta(seconds=seconds)).isoformat()


def png(width: int, height: int) -> bytes:
    """A picture: a soft gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (60 + 120 * x // width, 110 + 90 * y // height, 200))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def user(*content: Any, **more: Any) -> dict[str, Any]:
    """A user's message; a string stands for a block of text."""
    return {"role": "user", "content": [{"text": each} if isinstance(each, str) else each for each in content], **more}


def assistant(*content: Any, tokens: tuple[int, int] | None = None, latency: int = 0, **more: Any) -> dict[str, Any]:
    """An assistant's message, with metadata of its model call where `tokens` are given."""
    message = {**user(*content, **more), "role": "assistant"}
    if tokens:
        usage = {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)}
        message.setdefault("metadata", {}).update(usage=usage, metrics={"latencyMs": latency})
    return message


def use(name: str, tool_use_id: str, /, **given: Any) -> dict[str, Any]:
    """A call of a tool."""
    return {"toolUse": {"name": name, "toolUseId": tool_use_id, "input": given}}


def result(tool_use_id: str, *content: Any, status: str = "success") -> dict[str, Any]:
    """What it answered; a string stands for a block of text."""
    blocks = [{"text": each} if isinstance(each, str) else each for each in content]
    return {"toolResult": {"toolUseId": tool_use_id, "status": status, "content": blocks}}


@dataclass
class Sessions:
    """Answers as `PerSQLSessions` does, for one session; `inline` are messages of the window by what they precede."""

    transcripts: Mapping[str, list[dict[str, Any]]]
    session_id: str = "user-42"
    dead: Mapping[str, set[int]] = field(default_factory=dict)
    inline: Mapping[str, dict[int, list[dict[str, Any]]]] = field(default_factory=dict)
    rewritten: Mapping[str, set[int]] = field(default_factory=dict)
    state: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    multi_agents: tuple[MultiAgentSummary, ...] = ()
    pace: float = 4.0
    reads: list[tuple[Any, ...]] = field(default_factory=list)

    def get(self, session_id: str, *, bytes: bool = False) -> SessionDetail:
        self._check(session_id)
        agents = tuple(
            AgentSummary(
                agent_id,
                stamp(0),
                stamp(self.pace * len(messages)),
                len(messages),
                len(messages)
                - len(self.dead.get(agent_id, ()))
                + sum(map(len, self.inline.get(agent_id, {}).values())),
                self.state.get(agent_id, {}),
            )
            for agent_id, messages in sorted(self.transcripts.items())
        )
        last = max((agent.last_active for agent in agents), default=stamp(0))
        return SessionDetail(self.session_id, stamp(0), last, agents, self.multi_agents)

    def usage(self, session_id: str) -> Usage:
        self._check(session_id)
        each = {agent_id: _usage(messages) for agent_id, messages in self.transcripts.items()}
        return _usage([message for messages in self.transcripts.values() for message in messages], each)

    def transcript(
        self, session_id: str, agent_id: str | None = None, *, live: bool = False, page_size: int = 100
    ) -> Iterator[list[TranscriptMessage]]:
        self._check(session_id)
        assert agent_id is not None
        self.reads.append((agent_id, live))
        found: list[TranscriptMessage] = []
        for position, message in enumerate(self.transcripts[agent_id]):
            if live:
                for each in self.inline.get(agent_id, {}).get(position, ()):
                    found.append(TranscriptMessage(agent_id, None, each, "", "", True))
            seen = position not in self.dead.get(agent_id, ())
            if seen or not live:
                at = self.pace * position
                changed = at + 2 if position in self.rewritten.get(agent_id, ()) else at
                found.append(TranscriptMessage(agent_id, position, message, stamp(at), stamp(changed), seen))
            if len(found) >= page_size:
                yield found
                found = []
        if found:
            yield found

    def _check(self, session_id: str) -> None:
        if session_id != self.session_id:
            raise SessionException(f"there is no session {session_id!r}")


def _usage(messages: list[dict[str, Any]], agents: Mapping[str, Usage] | None = None) -> Usage:
    blocks = [
        block
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if isinstance(block, dict)
    ]
    results = [block["toolResult"] for block in blocks if isinstance(block.get("toolResult"), dict)]
    metadata = [message["metadata"] for message in messages if isinstance(message.get("metadata"), dict)]
    reported = [each for each in metadata if isinstance((each.get("usage") or {}).get("outputTokens"), int)]
    return Usage(
        messages=len(messages),
        reported=len(reported),
        model_calls=sum(message["role"] == "assistant" for message in messages),
        tool_calls=sum("toolUse" in block for block in blocks),
        tool_errors=sum(each.get("status") == "error" for each in results),
        input_tokens=sum(each["usage"]["inputTokens"] for each in reported),
        output_tokens=sum(each["usage"]["outputTokens"] for each in reported),
        cache_read_tokens=sum(each["usage"].get("cacheReadInputTokens", 0) for each in reported),
        latency_ms=sum(each["metrics"]["latencyMs"] for each in reported),
        agents=agents or {},
    )
