"""AgentCore Memory's events, over boto3 and a server on loopback that speaks the service's wire form."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from strands import Agent
from strands.session import SessionManager
from strands.types.session import SessionAgent

from strands_persql import PerSQLSessionManager, SessionDataError
from strands_persql.administration.transfer import AgentCoreMemory

from ....agents.scripted import ScriptedModel
from .files import Imported

boto3: Any = pytest.importorskip("boto3", reason="boto3 is not installed")

PAGE = 3


def conversational(text: str, role: str) -> dict[str, Any]:
    """A payload as the service answers it."""
    return {"conversational": {"content": {"text": text}, "role": role}}


def strands_message(role: str, *blocks: Any) -> str:
    """A message as the SDK's session manager for Strands writes it."""
    return json.dumps({"message": {"role": role, "content": list(blocks)}, "message_id": 0, "redact_message": None})


def state(agent_id: str, **values: Any) -> dict[str, Any]:
    """An event with an agent's state, as the SDK's session manager for Strands writes it."""
    manager = {"__name__": "SlidingWindowConversationManager", "removed_message_count": 1}
    agent = SessionAgent(agent_id, values, manager).to_dict()
    about = {"stateType": {"stringValue": "AGENT"}, "agentId": {"stringValue": agent_id}}
    return {"payload": [{"blob": json.dumps(agent)}], "metadata": about}


USE = {"toolUse": {"toolUseId": "u", "name": "weather", "input": {"city": "Zürich"}}}
RESULT = {"toolResult": {"toolUseId": "u", "status": "success", "content": [{"text": "21 °C"}]}}

SESSION = {"stateType": {"stringValue": "SESSION"}}

EVENTS: dict[str, list[dict[str, Any]]] = {
    "plain": [
        {"payload": [conversational("Hello, I am Ada.", "USER")], "metadata": {"channel": {"stringValue": "web"}}},
        {"payload": [conversational("Hello Ada.", "ASSISTANT"), {"blob": {"note": 1}}]},
        {"payload": [conversational("Who am I?", "USER")]},
        {"payload": [conversational("Ada.", "ASSISTANT")]},
        {"payload": [conversational("Who am I, in full?", "USER")], "branch": {"name": "full", "rootEventId": "e1"}},
        {"payload": [conversational("Ada Lovelace.", "ASSISTANT")], "branch": {"name": "full", "rootEventId": "e1"}},
    ],
    "branches": [
        {"payload": [conversational("One.", "USER")]},
        {"payload": [conversational("Two.", "USER")], "branch": {"name": "default", "rootEventId": "e0"}},
        {"payload": [conversational("Two and more.", "USER")], "branch": {"name": "default", "rootEventId": "e0"}},
        {"payload": [conversational("Three.", "USER")], "branch": {"name": "a/b", "rootEventId": "e1"}},
        {"payload": [conversational("Lost.", "USER")], "branch": {"name": "a-b", "rootEventId": "gone"}},
    ],
    "strands": [
        {"payload": [{"blob": json.dumps({"session_id": "strands"})}], "metadata": SESSION},
        state("default"),
        {"payload": [conversational(strands_message("user", {"text": "The weather?"}), "USER")]},
        {"payload": [conversational(strands_message("assistant", USE), "ASSISTANT")]},
        {"payload": [{"blob": json.dumps([strands_message("user", RESULT), "user"])}]},
        {"payload": [conversational(strands_message("assistant", {"text": "Sunny."}), "ASSISTANT")]},
        state("default", city="Zürich"),
        state("helper"),
        {"payload": [conversational("Aside.", "USER")], "branch": {"name": "helper", "rootEventId": "e2"}},
    ],
}


class Service(BaseHTTPRequestHandler):
    """ListSessions and ListEvents: pages of three, the newest first."""

    def do_POST(self) -> None:
        """Answer one request."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        parts = self.path.strip("/").split("/")
        actor, session = parts[3], parts[5] if len(parts) > 5 else None
        at = 1_767_225_600.0
        about = {"actorId": actor, "memoryId": parts[1]}
        if session is None:
            found = [{"sessionId": each, "actorId": actor, "createdAt": at} for each in EVENTS if actor == "ada"]
            name = "sessionSummaries"
        else:
            numbered = enumerate(EVENTS.get(session, []))
            found = [
                {"eventId": f"e{n}", "eventTimestamp": at + n, "sessionId": session, **about, **event}
                for n, event in numbered
            ][::-1]
            name = "events"
        start = int(given.get("nextToken") or 0)
        page: dict[str, Any] = {name: found[start : start + PAGE]}
        if start + PAGE < len(found):
            page["nextToken"] = str(start + PAGE)
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Manager(SessionManager):
    """What `AgentCoreMemorySessionManager` is known by."""

    def __init__(self, client: Any) -> None:
        self.session_id = "strands"
        self.config = SimpleNamespace(memory_id="memory-1234567890", actor_id="ada")
        self.memory_client = SimpleNamespace(gmdp_client=client)

    initialize = append_message = redact_latest_message = sync_agent = Mock()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """boto3's own client, over loopback."""
    if "bedrock-agentcore" not in boto3.Session().get_available_services():
        pytest.skip("this boto3 does not know the service")
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        made = boto3.client(
            "bedrock-agentcore",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        yield made
        made.close()
        server.shutdown()
        thread.join()


def test_events_become_messages(place: Imported, client: Any) -> None:
    """Each session of the actor is brought in, page by page, with its branches; and again, nothing is written."""
    memory = AgentCoreMemory(client, memory_id="memory-1234567890", actor_id="ada")
    first = place.sessions.import_from(memory)
    assert [(each.session_id, each.agents, each.messages) for each in first] == [
        ("branches", 4, 8),
        ("plain", 2, 8),
        ("strands", 3, 10),
    ]
    assert [(role, content[0]["text"]) for role, content in place.said("plain")] == [
        ("user", "Hello, I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
        ("assistant", "Ada."),
    ]
    assert [content[0]["text"] for _, content in place.said("plain", "full")] == [
        "Hello, I am Ada.",
        "Hello Ada.",
        "Who am I, in full?",
        "Ada Lovelace.",
    ]
    summary = place.sessions.list(user="ada").sessions
    assert {each.session_id for each in summary} == {"branches", "plain", "strands"}
    assert summary[0].metadata == {"agentcore-memory": {"memory_id": "memory-1234567890"}}
    [message, answer, *_] = [message for page in place.sessions.transcript("plain", "default") for message in page]
    assert message.created_at == "2026-01-01T00:00:00+00:00"
    assert message.message["metadata"]["custom"] == {
        "agentcore-memory": [{"eventId": "e0", "metadata": {"channel": {"stringValue": "web"}}}]
    }
    assert answer.message["metadata"]["custom"]["agentcore-memory"][-1] == {"blob": {"note": 1}}
    assert sum(each.written for each in place.sessions.import_from(memory)) == 0


def test_branches_of_branches(place: Imported, client: Any) -> None:
    """A branch begins with what its branch began with; and no two have one agent, whatever they are called."""
    memory = AgentCoreMemory(client, memory_id="memory-1234567890", actor_id="ada")
    [moved] = place.sessions.import_from(memory, session_id="branches")
    assert moved.messages == 8
    assert {
        agent.agent_id: [content[0]["text"] for _, content in place.said("branches", agent.agent_id)]
        for agent in place.sessions.get("branches").agents
    } == {
        "a-b": ["Lost."],
        "a-b-2": ["One.", "Two.", "Three."],
        "default": ["One."],
        "default-2": ["One.", "Two.", "Two and more."],
    }


def test_messages_of_strands_are_taken_as_they_are(place: Imported, client: Any) -> None:
    """Events that Strands' agents have written hold its messages, tool uses and results included."""
    memory = AgentCoreMemory(client, memory_id="memory-1234567890", actor_id="ada")
    [done] = place.sessions.import_from(memory, session_id="strands")
    assert place.said("strands") == [
        ("user", [{"text": "The weather?"}]),
        ("assistant", [USE]),
        ("user", [RESULT]),
        ("assistant", [{"text": "Sunny."}]),
    ]
    assert done.written == 10
    detail = place.sessions.get("strands")
    assert {agent.agent_id: agent.state for agent in detail.agents} == {
        "default": {"city": "Zürich"},
        "helper": {},
        "helper-2": {},  # the branch of that name
    }
    said = [message.message for page in place.sessions.transcript("strands", "default") for message in page]
    assert "blob" not in str(said)  # the states are no part of what was said
    assert place.said("strands", "helper-2")[1:] == [("user", [{"text": "Aside."}])]
    assert place.said("strands", "helper") == place.said("strands")  # of the service's one history
    manager = PerSQLSessionManager("strands", place.database)
    agent = Agent(model=ScriptedModel(["Yes."]), session_manager=manager, callback_handler=None)
    assert [message["role"] for message in agent.messages] == ["assistant", "user", "assistant"]


def test_the_session_manager_of_the_sdk(place: Imported, client: Any) -> None:
    """It is a source of its session: by its events, since its own methods number no message."""
    [done] = place.sessions.import_from(Manager(client))
    assert (done.session_id, done.agents, done.messages) == ("strands", 3, 10)
    with pytest.raises(ValueError, match="can't list its own"):
        place.sessions.import_from(Manager(client), agent_ids=["default"])


def test_what_is_not_there_is_told(place: Imported, client: Any) -> None:
    """An actor without the session, and a client that is none, are told."""
    memory = AgentCoreMemory(client, memory_id="memory-1234567890", actor_id="ada")
    with pytest.raises(SessionDataError, match="Actor 'ada' has no events of session 'nobody'"):
        place.sessions.import_from(memory, session_id="nobody")
    assert place.sessions.import_from(AgentCoreMemory(client, memory_id="memory-1234567890", actor_id="bob")) == ()
    with pytest.raises(TypeError, match="client must be boto3's"):
        AgentCoreMemory(object(), memory_id="m", actor_id="ada")
