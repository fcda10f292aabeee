"""Where each library's things go; the table in docs/moving.md says the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from strands_persql import PerSQL, PerSQLSessions, SessionDataError
from strands_persql.administration.transfer._items import StateItem
from strands_persql.administration.transfer.foreign._blocks import media, parts, tool_use
from strands_persql.administration.transfer.foreign._langgraph_checkpoints import put_together
from strands_persql.administration.transfer.foreign._msgpack import unpacked
from strands_persql.administration.transfer.foreign._pieces import (
    BEGINNING,
    Conversation,
    ForeignSession,
    Piece,
    agent_ids,
)

from .files import Imported, change, made

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
IMAGE = {"image": {"format": "png", "source": {"bytes": PIXEL}}}


def shape(said: list[tuple[str, list[Any]]]) -> list[tuple[str, list[str]]]:
    """The roles, and the kinds of blocks."""
    return [(role, [next(iter(block)) for block in content]) for role, content in said]


def messages(place: Imported, session_id: str, agent_id: str = "default") -> list[Any]:
    """The messages of an agent."""
    return [message for page in place.sessions.transcript(session_id, agent_id) for message in page]


def rest(message: Any, library: str) -> list[dict[str, Any]]:
    """What Strands had no place for."""
    found: list[dict[str, Any]] = message.message["metadata"]["custom"][library]
    return found


def texts(place: Imported, session_id: str, agent_id: str = "default") -> list[str]:
    """What the messages of an agent say."""
    return [block["text"] for _, content in place.said(session_id, agent_id) for block in content]


WEATHER = [
    ("user", ["text"]),
    ("assistant", ["toolUse", "toolUse"]),
    ("user", ["toolResult", "toolResult"]),
    ("assistant", ["text"]),
    ("user", ["text", "image"]),
    ("assistant", ["text"]),
]


def test_openai_agents(tmp_path: Path, place: Imported) -> None:
    """Items become messages; branches become agents; what is left over is kept."""
    place.sessions.import_from(made("openai_agents", tmp_path))
    said = place.said("plain")
    assert shape(said) == [WEATHER[0], ("assistant", ["reasoningContent", "toolUse", "toolUse"]), *WEATHER[2:]]
    assert said[1][1][1] == {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Zürich"}}}
    assert said[2][1][1]["toolResult"]["content"] == [{"text": "橋本: 21 °C, sunny"}]
    assert said[4][1][1] == IMAGE
    kept = rest(messages(place, "plain")[3], "openai-agents")
    assert kept[0]["id"] == "msg_1"
    branched = place.sessions.get("branched")
    assert [agent.agent_id for agent in branched.agents] == ["again-2", "default"]
    assert [content[0]["text"] for _, content in place.said("branched")] == [
        "I am Ada.",
        "Hello Ada.",
        "Who am I?",
        "Ada.",
    ]
    assert [content[0]["text"] for _, content in place.said("branched", "again-2")] == [
        "I am Ada.",
        "Hello Ada.",
        "Tell me my whole name.",
        "You are Ada Lovelace.",
    ]
    usage = branched.metadata["openai-agents"]["turn_usage"]
    assert [each["inputTokens"] for each in usage] == [11, 11]


def test_langgraph(tmp_path: Path, place: Imported) -> None:
    """The channel of messages is the history, the others are the state, and no class of the file's is made."""
    place.sessions.import_from(made("langgraph", tmp_path))
    said = place.said("weather")
    assert shape(said) == [WEATHER[0], ("assistant", ["text", "toolUse", "toolUse"]), *WEATHER[2:]]
    assert said[1][1][2]["toolUse"] == {"toolUseId": "call_1", "name": "weather", "input": {"city": "橋本"}}
    assert [block["toolResult"]["status"] for block in said[2][1]] == ["success", "error"]
    assert said[4][1][1] == IMAGE
    detail = place.sessions.get("weather")
    assert detail.agents[0].state == {"seen": {"at": "2026-01-02T00:00:00+00:00", "id": "0" * 31 + "7"}}
    found = messages(place, "weather")
    assert rest(found[0], "langgraph")[0]["content"] == "Be short."
    assert found[1].message["metadata"]["usage"] == {
        "inputTokens": 12,
        "outputTokens": 5,
        "totalTokens": 17,
        "cacheReadInputTokens": 3,
    }
    assert rest(found[1], "langgraph") == [{"name": "bot", "id": "a1"}]
    assert [block["text"] for _, content in place.said("other") for block in content] == ["Hello.", "It is sunny."]
    assert detail.metadata["langgraph"]["checkpoint_id"]


def test_langgraph_deltas(tmp_path: Path, place: Imported) -> None:
    """A channel whose checkpoints hold only what was written since is put together, or kept in its parts."""
    place.sessions.import_from(made("langgraph_graphs", tmp_path))
    assert texts(place, "deltas") == ["Answer 1.", "Edited.", "Answer 3.", "Two.", "Answer 5.", "Three.", "Answer 6."]
    [agent] = place.sessions.get("deltas").agents
    assert agent.state["langgraph"] == {"delta_channels": {"notes": {"snapshot": None, "writes": [[1], [3], [5], [6]]}}}
    assert texts(place, "anew") == ["Anew.", "Answer 1."]


def test_langgraph_writes_are_put_together_as_its_reducers_do() -> None:
    """Messages are added, take the places of those with their ids, are removed, and are all replaced."""

    def said(name: str, words: str) -> dict[str, str]:
        return {"type": "human", "id": name, "content": words}

    before, nameless = [said("a", "A"), said("b", "B")], {"role": "user", "content": "?"}
    remove = {"type": "remove", "id": "a"}
    assert put_together(before, [[said("c", "C"), nameless], nameless]) == [*before, said("c", "C"), nameless, nameless]
    assert put_together(before, [[said("a", "A2")]]) == [said("a", "A2"), said("b", "B")]
    assert put_together(before, [[remove], [remove, said("a", "A2")]]) == [said("b", "B"), said("a", "A2")]
    assert put_together(before, [[{"type": "remove", "id": "__remove_all__"}, nameless]]) == [nameless]
    for whole in ({"__overwrite__": [nameless]}, {"type": "__overwrite__", "value": [nameless]}):
        assert put_together(before, [[said("c", "C")], whole, [said("d", "D")]]) == [nameless, said("d", "D")]
    assert put_together(None, []) == [] and len(before) == 2


def test_langgraph_writes_of_one_step_stand_in_the_order_of_their_paths(tmp_path: Path, place: Imported) -> None:
    """As the library applies what nodes have written beside each other."""
    path = tmp_path / "paths.db"
    change(
        path,
        "CREATE TABLE checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, "
        "checkpoint, metadata)",
    )
    change(
        path,
        "CREATE TABLE writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)",
    )
    for number, parent in (("1", None), ("2", "1")):
        checkpoint = json.dumps({"id": number, "channel_values": {}, "channel_versions": {"messages": 1}})
        change(path, "INSERT INTO checkpoints VALUES ('t', '', ?, ?, 'json', ?, '{}')", number, parent, checkpoint)
    for task, order, words in (("a", "~2", "Second."), ("b", "~1", "First.")):
        write = "INSERT INTO writes VALUES ('t', '', '1', ?, ?, 0, 'messages', 'json', ?)"
        change(path, write, task, order, json.dumps([{"role": "user", "content": words}]))
    place.sessions.import_from(path)
    assert texts(place, "t") == ["First.", "Second."]


def test_langgraph_subgraphs(tmp_path: Path, place: Imported) -> None:
    """A subgraph that remembers is an agent, and so is one that waits; others have told the graph."""
    place.sessions.import_from(made("langgraph_graphs", tmp_path))
    assert [agent.agent_id for agent in place.sessions.get("helped").agents] == ["default", "helper"]
    assert texts(place, "helped") == ["One?", "The helper: Thought 1.", "Two?", "The helper: Thought 3."]
    assert texts(place, "helped", "helper") == ["One?", "Thought 1.", "Two?", "Thought 3."]
    assert [agent.agent_id for agent in place.sessions.get("done").agents] == ["default"]
    assert texts(place, "done") == ["Do it.", "From the other.", "My plan.", "You said yes."]
    default, team = place.sessions.get("waiting").agents
    assert team.agent_id.startswith("team-")
    assert texts(place, "waiting") == ["Do it.", "From the other."]  # what the other node has done is not lost
    assert texts(place, "waiting", team.agent_id) == ["Do it.", "My plan."]
    assert [each["channel"] for each in default.state["langgraph"]["pending"]] == ["__interrupt__"]
    assert default.state["langgraph"]["pending"][0]["value"][0]["value"] == "Shall I?"


def test_langgraph_without_add_messages(tmp_path: Path, place: Imported) -> None:
    """The state of a function that is a graph, and messages as OpenAI writes them, are a history, too."""
    place.sessions.import_from(made("langgraph_graphs", tmp_path))
    assert texts(place, "function") == ["One?", "Re: One?", "Two?", "Re: Two?"]
    assert place.sessions.get("function").agents[0].state == {"__end__": "Re: Two?"}
    assert shape(place.said("dicts")) == [WEATHER[0], ("assistant", ["toolUse"]), ("user", ["toolResult"]), WEATHER[3]]
    assert place.said("dicts")[1][1][0]["toolUse"] == {"toolUseId": "c1", "name": "add", "input": {"a": 1}}
    assert rest(messages(place, "dicts")[0], "langgraph")[0]["content"] == "Be short."


def test_agents_of_one_name_stay_apart() -> None:
    """Whatever a library calls its agents, none takes the place of another."""
    assert agent_ids(["", "default", "a/b", "a\\b", "a-b", ""], "") == {
        "": "default",
        "a-b": "a-b",
        "a/b": "a-b-2",
        "a\\b": "a-b-3",
        "default": "default-2",
    }


@pytest.mark.parametrize("name", ["adk", "adk_database", "adk_database_1_21"])
def test_adk(name: str, tmp_path: Path, place: Imported) -> None:
    """Events become messages, the state that of app, user and session; sessions with one id get ids of their own."""
    done = place.sessions.import_from(made(name, tmp_path))
    assert [each.session_id for each in done] == ["s-1@ada@forecast", "s-1@grace@forecast"]
    said = place.said("s-1@ada@forecast")
    assert shape(said) == [WEATHER[0], ("assistant", ["reasoningContent", "toolUse", "toolUse"]), *WEATHER[2:]]
    uses = [block["toolUse"] for block in said[1][1][1:]]
    assert [use["input"] for use in uses] == [{"city": "Zürich"}, {"city": "橋本"}]
    results = [block["toolResult"] for block in said[2][1]]
    assert [result["toolUseId"] for result in results] == [use["toolUseId"] for use in uses]
    assert results[0]["content"] == [{"json": {"city": "Zürich", "degrees": 21}}]
    assert said[4][1][1] == IMAGE
    detail = place.sessions.get("s-1@ada@forecast")
    assert (detail.user, detail.metadata["google-adk"]["app_name"]) == ("ada", "forecast")
    assert detail.agents[0].state == {"unit": "celsius", "user:name": "Ada", "app:version": 3}
    assert place.sessions.get("s-1@grace@forecast").agents[0].state == {"app:version": 3}
    found = messages(place, "s-1@ada@forecast")
    assert found[1].message["metadata"]["usage"]["cacheReadInputTokens"] == 2
    assert rest(found[1], "google-adk")[0]["author"] == "weatherman"
    assert [block["text"] for _, content in place.said("s-1@grace@forecast") for block in content] == [
        "I am Grace.",
        "Hello Grace.",
    ]


@pytest.mark.parametrize("name", ["agno_2", "agno_3"])
def test_agno(name: str, tmp_path: Path, place: Imported) -> None:
    """Runs become messages without the history in them; members of a team are agents of their own."""
    place.sessions.import_from(made(name, tmp_path))
    said = place.said("agent-1")
    assert shape(said) == WEATHER
    assert said[1][1][1]["toolUse"]["input"] == {"city": "橋本"}
    assert said[2][1][0]["toolResult"]["content"] == [{"text": "Zürich: 21 °C"}]
    assert said[4][1][1] == IMAGE
    detail = place.sessions.get("agent-1")
    assert (detail.user, detail.metadata["agno"]["session_type"]) == ("ada", "agent")
    assert detail.agents[0].state == {"unit": "celsius"}
    assert rest(messages(place, "agent-1")[0], "agno")[0]["content"].startswith("Be short.")
    team = place.sessions.get("team-1")
    assert [agent.agent_id for agent in team.agents] == ["default", "helper"]
    assert place.said("team-1", "helper")[-1] == ("assistant", [{"text": "It is 4."}])
    assert place.said("team-1")[-1] == ("assistant", [{"text": "Four, says the helper."}])


# What is refused


@pytest.mark.parametrize(
    ("name", "sql", "words"),
    [
        (
            "openai_agents",
            "UPDATE agent_messages SET message_data = '{'",
            r"Item \d+ of session 'branched'.*it is no JSON",
        ),
        ("openai_agents", "UPDATE agent_messages SET message_data = '[1]'", r"Item \d+ .*no JSON object but list"),
        (
            "openai_agents",
            """UPDATE agent_messages SET message_data = '{"__enc__":1,"v":1,"kid":"k","payload":"p"}'""",
            r"Item \d+ of .*it is encrypted\. Copy",
        ),
        ("langgraph", "UPDATE checkpoints SET checkpoint = X'C1'", "a checkpoint in it can't be read"),
        ("langgraph", "UPDATE checkpoints SET checkpoint = X'93'", "it ends in the middle of a value"),
        ("langgraph", "UPDATE checkpoints SET checkpoint = X'01'", "a checkpoint in it is no mapping"),
        ("langgraph", "UPDATE checkpoints SET type = 'pickle'", "encoded as 'pickle', which can't be read here. Copy"),
        ("adk", "UPDATE events SET event_data = '{'", r"Event 0 of session 's-1@ada@forecast'.*it is no JSON"),
        ("adk", "UPDATE sessions SET state = '[]'", "The state of session .*no JSON object but list"),
        ("agno_3", "UPDATE agno_runs SET run_data = '[]'", r"Run 0 of session 'agent-1'.*no JSON object but list"),
        ("agno_2", "UPDATE agno_sessions SET runs = '{}'", "runs of session 'agent-1'.*no list of JSON objects"),
        ("agno_3", "UPDATE agno_sessions SET session_data = CAST(X'FF' AS TEXT)", "a text that is not UTF-8"),
    ],
)
def test_damaged_rows_are_named(name: str, sql: str, words: str, tmp_path: Path, place: Imported) -> None:
    """What can't be read is told with its place, without a word of its content, and no agent restores from a part."""
    path = made(name, tmp_path)
    change(path, sql)
    with pytest.raises(SessionDataError, match=words) as raised:
        place.sessions.import_from(path)
    assert "Zürich" not in str(raised.value)
    assert place.rows()["agents"] == []


def test_other_files_are_told(tmp_path: Path, place: Imported) -> None:
    """A SQLite file of another kind, or of this package, is told."""
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE things (id INTEGER PRIMARY KEY)")
    with pytest.raises(SessionDataError, match=r"tables are of no library.*PerSQLSessions"):
        place.sessions.import_from(path)


def test_a_file_is_not_imported_into_itself(tmp_path: Path) -> None:
    """What would make tables in the other library's file is told before it is opened."""
    path = made("openai_agents", tmp_path)
    before = path.read_bytes()
    with PerSQL(local=str(path)) as client, pytest.raises(SessionDataError, match="would be imported into"):
        PerSQLSessions(client.database("test/agents")).import_from(str(path))
    assert path.read_bytes() == before


# The parts


def unknown(code: int, data: bytes) -> Any:
    """An extension as it is."""
    return (code, data)


def test_msgpack() -> None:
    """Each form of the specification is read."""
    for data, value in (
        (b"\x00", 0), (b"\x7f", 127), (b"\xff", -1), (b"\xe0", -32), (b"\xc0", None), (b"\xc2", False), (b"\xc3", True),
        (b"\xcc\xff", 255), (b"\xcd\x01\x00", 256), (b"\xce\x00\x01\x00\x00", 65536),
        (b"\xcf" + b"\xff" * 8, 2**64 - 1),
        (b"\xd0\x80", -128), (b"\xd1\x80\x00", -32768), (b"\xd2\x80\x00\x00\x00", -(2**31)),
        (b"\xd3" + b"\xff" * 8, -1),
        (b"\xca\x3f\x80\x00\x00", 1.0), (b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
        (b"\xa2\xc3\xa4", "ä"), (b"\xd9\x01a", "a"), (b"\xda\x00\x01a", "a"), (b"\xdb\x00\x00\x00\x01a", "a"),
        (b"\xc4\x01a", b"a"), (b"\xc5\x00\x01a", b"a"), (b"\xc6\x00\x00\x00\x01a", b"a"),
        (b"\x92\x01\x02", [1, 2]), (b"\xdc\x00\x01\x01", [1]), (b"\xdd\x00\x00\x00\x01\x01", [1]),
        (b"\x81\xa1a\x01", {"a": 1}), (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xd4\x05a", (5, b"a")), (b"\xd5\xffab", (-1, b"ab")), (b"\xc7\x01\x05a", (5, b"a")),
    ):  # fmt: skip
        assert unpacked(data, unknown) == value
    for data in (b"", b"\xc1", b"\x92\x01", b"\x01\x01", b"\xa1\xff", b"\x91" * 1000 + b"\x01", b"\x81\x90\x01"):
        with pytest.raises(ValueError, match=r"it (is|holds|ends)|something follows"):
            unpacked(data, unknown)


def test_parts_without_a_place_are_named_and_kept() -> None:
    """Of each part a block, or its name in its place and the part itself beside."""
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    url = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    blocks, kept = parts(["a", {"type": "text", "text": "b"}, audio, url, {"type": "thinking", "thinking": "hm"}, 5])
    assert blocks == [
        {"text": "a"},
        {"text": "b"},
        {"text": "[input_audio]"},
        {"text": "[image_url]"},
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"text": "[something]"},
    ]
    assert kept == [audio, url, {}]
    assert media("image/png", "no base64!") is None
    pdf = media("application/pdf", base64.b64encode(b"%PDF").decode(), "a/b.pdf")
    assert pdf is not None
    assert pdf["document"]["name"] == "a-b-pdf"
    for given in ("{", "[1]", 5):
        assert tool_use("u", "n", given)["toolUse"]["input"] == {"arguments": given if given != "[1]" else [1]}


def test_instructions_without_a_message_are_kept() -> None:
    """A session in which nobody has said anything yet loses nothing."""
    pieces = [Piece("prompt", [], rest={"role": "system", "content": "Be short."})]
    [_, agent] = ForeignSession("openai-agents", "s").items([Conversation(pieces)], "session 's'")
    assert isinstance(agent, StateItem)
    assert agent.data["state"] == {"openai-agents": {"messages": [{"role": "system", "content": "Be short."}]}}


def test_messages_are_joined_as_models_take_them() -> None:
    """Answers in a row are one message, results too, prompts never; what has no block goes with its neighbour."""
    pieces = [
        Piece("prompt", [], rest={"role": "system"}),
        Piece("prompt", [{"text": "a"}]),
        Piece("prompt", [{"text": "b"}], at="2026-01-01T00:00:00+00:00"),
        Piece("answer", [{"text": "c"}], usage={"inputTokens": 1}),
        Piece("answer", [{"text": "d"}], usage={"inputTokens": 2}, rest={"x": 1}),
        Piece("answer", [], rest={"y": 1}),
        Piece("results", [{"toolResult": {}}]),
        Piece("results", [{"toolResult": {}}]),
        Piece("prompt", [{"text": "e"}]),
    ]
    session = ForeignSession(
        "lib", "s", rest={"large": "x" * 70_000, "small": 1, "deep": json.loads("[" * 40 + "]" * 40)}
    )
    items: list[Any] = list(session.items([Conversation(pieces)], "session 's'"))
    assert items[0].about.metadata == {"lib": {"small": 1}}
    assert set(items[1].data["state"]["lib"]) == {"large", "deep"}
    made_of = [item.data["message"] for item in items[2:]]
    assert [len(message["content"]) for message in made_of] == [1, 1, 2, 2, 1]
    assert [message["role"] for message in made_of] == ["user", "user", "assistant", "user", "user"]
    assert made_of[0]["metadata"]["custom"] == {"lib": [{"role": "system"}]}
    assert made_of[2]["metadata"] == {"usage": {"inputTokens": 3}, "custom": {"lib": [{"x": 1}, {"y": 1}]}}
    assert [item.data["created_at"] for item in items[2:]] == [BEGINNING, *["2026-01-01T00:00:00+00:00"] * 4]
