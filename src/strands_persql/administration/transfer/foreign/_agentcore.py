"""Sessions of Amazon Bedrock AgentCore Memory: the events of an actor, over boto3's client `bedrock-agentcore`.

Source: the operations ListSessions and ListEvents of the service, and bedrock-agentcore 1,
`bedrock_agentcore/memory/integrations/strands/bedrock_converter.py`, for events that Strands' agents have written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, cast

from ....database.encoding import is_message, mapping
from ....errors import SessionDataError, named
from .._items import Document, Item, Source, SourceSession
from ._blocks import text_block
from ._pieces import AGENT_ID, Conversation, ForeignSession, Piece, agent_ids, time_of_text
from ._sqlite import object_of

LIBRARY = "agentcore-memory"

PAGE = 100
"""Events that are asked for at a time: as many as the service answers."""

_MAIN = "main"


@dataclass(frozen=True)
class AgentCoreMemory:
    """An actor's events in AgentCore Memory, as a source of sessions.

    Sessions of Strands' agents, which the SDK's `AgentCoreMemorySessionManager` has written, bring their agents' state
    along. That manager itself is a source of its one session, too.

    Args:
        client: boto3's client for `bedrock-agentcore`, or a `MemoryClient` of the SDK, which has one.
        memory_id: The memory.
        actor_id: The actor.

    Raises:
        TypeError: The client has no `list_events`.
    """

    client: Any
    memory_id: str
    actor_id: str

    @staticmethod
    def of(manager: Any) -> AgentCoreMemory | None:
        """The events that the SDK's session manager writes; None of anything else."""
        client, config = getattr(manager, "memory_client", None), getattr(manager, "config", None)
        memory_id, actor_id = getattr(config, "memory_id", None), getattr(config, "actor_id", None)
        if not hasattr(client, "gmdp_client") or not isinstance(memory_id, str) or not isinstance(actor_id, str):
            return None
        return AgentCoreMemory(client, memory_id, actor_id)

    def __post_init__(self) -> None:
        inner = getattr(self.client, "gmdp_client", self.client)
        if not callable(getattr(inner, "list_events", None)):
            raise TypeError("client must be boto3's client for bedrock-agentcore: boto3.client('bedrock-agentcore')")
        object.__setattr__(self, "client", inner)

    @property
    def source(self) -> AgentCoreSource:
        """The sessions."""
        return AgentCoreSource(self)


class AgentCoreSource(Source):
    """The sessions of an actor.

    Args:
        memory: The actor's events.
    """

    def __init__(self, memory: AgentCoreMemory) -> None:
        self._client = memory.client
        self._actor = {"memoryId": memory.memory_id, "actorId": memory.actor_id}

    def session_ids(self) -> list[str]:
        pages = self._pages("list_sessions", "sessionSummaries")
        return sorted({str(each["sessionId"]) for each in pages})

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        for each in self.session_ids() if session_id is None else [session_id]:
            yield SourceSession(each, self._items(each))

    def _items(self, session_id: str) -> Iterator[Item]:
        # The service answers the newest first. Of those of one second the order that it gives is all there is.
        events = list(self._pages("list_events", "events", sessionId=session_id, includePayloads=True))[::-1]
        actor = self._actor["actorId"]
        if not events:
            raise SessionDataError(f"Actor {named(actor)} has no events of session {named(session_id)} to import.")
        where = f"session {named(session_id)} of actor {named(actor)}"
        rest = {"memory_id": self._actor["memoryId"]}
        session = ForeignSession(LIBRARY, session_id, _time(events[0]), _time(events[-1]), user=actor, rest=rest)
        agents = _agents(events, where)
        branches: dict[str, list[Mapping[str, Any]]] = {_MAIN: []}
        for event in events:
            if _state_of(event) is None:
                branches.setdefault(_branch(event), []).append(event)
        ids = agent_ids(branches, _MAIN, taken=agents)
        conversations = [
            # The service has one history for all agents of a session, and Strands restores each of them from it.
            Conversation(_pieces(branches[_MAIN]), agent_id, mapping(mapping(document).get("state")), document)
            for agent_id, document in (agents or {AGENT_ID: None}).items()
        ]
        conversations += [
            Conversation(_pieces(_whole(name, branches)), ids[name]) for name in branches if name != _MAIN
        ]
        return session.items(sorted(conversations, key=lambda each: each.agent_id), where)

    def _pages(self, operation: str, name: str, **options: Any) -> Iterator[Mapping[str, Any]]:
        token: str | None = None
        while True:
            following = {} if token is None else {"nextToken": token}
            page = getattr(self._client, operation)(**self._actor, maxResults=PAGE, **options, **following)
            yield from page.get(name, ())
            token = page.get("nextToken")
            if token is None:
                return


def _state_of(event: Mapping[str, Any]) -> str | None:
    """Whose state an event holds, where the SDK's session manager has written it: the session's, or an agent's."""
    return mapping(mapping(event.get("metadata")).get("stateType")).get("stringValue")


def _agents(events: Iterable[Mapping[str, Any]], where: str) -> dict[str, Document | None]:
    """The newest document of each of Strands' agents.

    Raises:
        SessionDataError: One can't be read.
    """
    found: dict[str, Document | None] = {}
    for event in events:
        if _state_of(event) == "AGENT":
            for payload in cast("list[Any]", event.get("payload") or []):
                document = object_of(mapping(payload).get("blob"), f"The state of an agent in {where}")
                found[str(document.get("agent_id"))] = document
    return found


def _branch(event: Mapping[str, Any]) -> str:
    return str(mapping(event.get("branch")).get("name") or _MAIN)


def _whole(name: str, branches: Mapping[str, list[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """A branch's events, after those of the branch that it left, up to where it begins."""
    events = branches[name]
    root = mapping(events[0].get("branch")).get("rootEventId")
    others = {each: found for each, found in branches.items() if each != name}
    for other, found in others.items():
        ids = [event.get("eventId") for event in found]
        if root is not None and root in ids:
            before = _whole(other, others)
            return [*before[: len(before) - len(found) + ids.index(root) + 1], *events]
    return events


def _time(event: Mapping[str, Any]) -> str:
    at = event.get("eventTimestamp")
    if isinstance(at, datetime):
        return at.astimezone(timezone.utc).isoformat()
    return time_of_text(at)


def _pieces(events: Iterable[Mapping[str, Any]]) -> Iterator[Piece]:
    for event in events:
        at = _time(event)
        about = {"eventId": event.get("eventId"), **({"metadata": event["metadata"]} if event.get("metadata") else {})}
        for payload in cast("list[Any]", event.get("payload") or []):
            piece = _piece(mapping(payload), at, about)
            about = {}
            yield piece


def _piece(payload: Document, at: str, about: Document) -> Piece:
    said = mapping(payload.get("conversational"))
    text = mapping(said.get("content")).get("text")
    message = _strands_message(text) or _strands_message(payload.get("blob"))
    if message is not None:
        return _of_strands(message, at, about)
    if not said:
        return Piece("prompt", [], at, {**about, **payload})
    role = str(said.get("role", ""))
    if role == "ASSISTANT":
        return Piece("answer", text_block(text), at, about)
    return Piece("prompt", text_block(text), at, about if role == "USER" else {**about, "role": role})


def _strands_message(text: object) -> Document | None:
    """A message of Strands', where an event holds one as the SDK's session manager writes it."""
    value: Any = text
    for _ in range(2):  # a long one stands in a list, whose first item is text again
        try:
            value = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            return None
        if mapping(value).get("_type") == "message":
            value = mapping(value).get("data")
        if isinstance(value, list):
            value = next(iter(cast("list[Any]", value)), None)
    record = mapping(value)
    message = record.get("redact_message") or record.get("message")
    return message if is_message(message) else None


def _of_strands(message: Document, at: str, about: Document) -> Piece:
    blocks = cast("list[Document]", message["content"])
    metadata = mapping(message.get("metadata"))
    rest = {**about, **{name: value for name, value in metadata.items() if name != "usage"}}
    if message["role"] == "assistant":
        return Piece("answer", blocks, at, rest, mapping(metadata.get("usage")))
    is_result = any("toolResult" in block for block in blocks)
    return Piece("results" if is_result else "prompt", blocks, at, rest)
