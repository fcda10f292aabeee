"""The chat of `examples/chat` over real sockets: asked, stopped, edited, copied, restarted, and kept apart."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from strands import Agent

from strands_persql import PerSQL, PerSQLSessionManager, PerSQLSessions

from ...emulator import Server as Service
from ...systems import needs_interrupts
from .chats import EXAMPLES, Server, Tab, serving, text_of

for needed in ("fastapi", "uvicorn"):
    pytest.importorskip(needed)

PACE = ("--pace", "0.02")  # slow enough for an answer to be followed, however busy the machine
MY_NAME, ITS_ANSWER = "my name is Ada", "Nice to meet you, Ada. I will find it in our messages when you ask."


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a file."""
    with serving(tmp_path_factory.mktemp("chat"), *PACE) as server:
        yield server


@pytest.fixture(params=["local", "remote"])
def server(request: pytest.FixtureRequest, tmp_path: Path, emulator_server: Service) -> Iterator[Server]:
    """A server over a file, and one over the service."""
    if request.param == "local":
        yield request.getfixturevalue("local")
        return
    namespace = emulator_server.namespace("acme")
    settings = {"PERSQL_TOKEN": namespace.token(), "PERSQL_API_URL": namespace.url}
    with serving(tmp_path, *PACE, "--database", "acme/chats", **settings) as remote:
        yield remote
    namespace.close()


def test_a_conversation(server: Server) -> None:
    """Answers stream, are there after a reload, and the conversation is listed, renamed, copied, edited and deleted."""
    tab = server.tab("Ada")
    session_id = tab.begin("what is the weather in Oslo?")
    events = tab.finish(session_id)
    assert [event["type"] for event in events if event["type"] != "text"] == [
        "begin",
        "tool_call",
        "tool_result",
        "end",
    ]
    question, call, answer = tab.messages(session_id)
    assert question["text"] == "what is the weather in Oslo?"
    assert call["parts"][1]["input"] == {"place": "Oslo"}
    assert call["parts"][1]["result"]["status"] == "success"
    assert text_of(events) == call["text"] + answer["text"]

    tab.say(session_id, MY_NAME)
    tab.say(session_id, "what is my name?")
    assert tab.words(session_id)[-1] == "Your name is Ada."
    (listed,) = tab.conversations()
    assert (listed["title"], listed["preview"]) == ("what is the weather in Oslo?", "Your name is Ada.")

    copy = tab.send("POST", f"sessions/{session_id}/fork", at=5)["session_id"]
    tab.send("PATCH", f"sessions/{copy}", title="Another way")
    tab.say(copy, "what is my name?", instead_of=4)  # instead of telling it
    assert tab.words(copy)[-1] == "You have not told me your name yet."
    assert tab.words(session_id)[-1] == "Your name is Ada."
    assert [each["title"] for each in tab.conversations()] == ["Another way", "what is the weather in Oslo?"]
    tab.send("DELETE", f"sessions/{copy}")
    assert [each["session_id"] for each in tab.conversations()] == [session_id]
    tab.send("DELETE", f"sessions/{session_id}")


def test_a_stopped_answer_is_kept(server: Server) -> None:
    """What was said so far is stored and marked, whoever stops it, and the conversation goes on."""
    tab, other = server.tab("Stan"), server.tab("Stan")
    session_id = tab.begin("count, please")
    heard = tab.follow(session_id)
    said = list(islice(heard, 4))
    other.send("POST", f"answers/{session_id}/stop")
    said += heard
    assert said[-1] == {"type": "end", "stopped": True, "problem": None}
    question, answer = tab.messages(session_id)
    assert answer["text"] == text_of(said).strip()
    assert answer["text"].startswith("1 2 3")
    assert answer["metadata"] == {"stopped": True}
    tab.say(session_id, MY_NAME)
    assert tab.words(session_id) == [question["text"], answer["text"], MY_NAME, ITS_ANSWER]


def test_the_first_message_is_edited(local: Server) -> None:
    """It takes the place of the first, again and again; what came after the first goes along."""
    tab = local.tab("Edith")
    session_id = tab.say(None, "my name is Eve")
    tab.say(session_id, "what is my name?")
    tab.say(session_id, "my name is Edith", instead_of=0)
    tab.say(session_id, "what is my name?")
    assert tab.words(session_id)[-1] == "Your name is Edith."
    assert len(tab.words(session_id)) == 4
    tab.say(session_id, MY_NAME, instead_of=4)
    assert tab.words(session_id) == [MY_NAME, ITS_ANSWER]
    tab.say(session_id, "what is my name?")
    tab.say(session_id, "and what is my name now?", instead_of=10)
    assert tab.words(session_id) == [MY_NAME, ITS_ANSWER, "and what is my name now?", "Your name is Ada."]
    tab.say(session_id, "how many messages are there?", instead_of=8)  # for the model, too
    assert tab.words(session_id) == ["how many messages are there?", "I was given 1, this one included."]


def test_only_a_question_is_edited(local: Server) -> None:
    """No answer, no result of a tool, nothing that is taken back or not there: nothing is changed."""
    tab = local.tab("Otto")
    session_id = tab.say(None, "what is the weather in Oslo?")
    tab.say(session_id, MY_NAME)
    tab.say(session_id, "what is my name?", instead_of=4)
    words = tab.words(session_id)
    for position in (1, 2, 3, 4, 5, 7, 8, 999, 10**17, -1):
        assert tab.refused("POST", f"ask/{session_id}", prompt="hello", instead_of=position) == 422, position
    assert tab.words(session_id) == words


def test_a_reader_who_leaves(local: Server) -> None:
    """The answer goes on: another tab has it from its beginning, or from where a lost connection broke off."""
    tab, other = local.tab("Lea"), local.tab("Lea")
    session_id = tab.say(None, MY_NAME)
    tab.send("POST", f"ask/{session_id}", prompt="count, please")
    left = tab.follow(session_id)
    first = list(islice(left, 2))
    assert first[0] == {"type": "begin", "question": 2}  # the page has this one and those before
    tab.client.close()
    again, on = other.follow(session_id), local.tab("Lea").follow(session_id, start=2)
    assert list(islice(again, 2)) == first
    assert next(on) == next(again)
    other.send("POST", f"answers/{session_id}/stop")
    assert list(on) == list(again)
    assert other.finish(session_id) == []  # what is stored is the whole of it


def test_two_tabs_ask_at_once(local: Server) -> None:
    """One question is answered, the other one refused and not stored; nothing is doubled."""
    tab, other = local.tab("Tim"), local.tab("Tim")
    session_id = tab.begin("count, please")
    next(tab.follow(session_id))
    assert other.refused("POST", f"ask/{session_id}", prompt=MY_NAME) == 409
    assert other.refused("POST", f"ask/{session_id}", prompt=MY_NAME, instead_of=0) == 409
    other.send("POST", f"answers/{session_id}/stop")
    tab.finish(session_id)
    assert len(tab.messages(session_id)) == 2


def test_a_conversation_is_deleted_amid_an_answer(local: Server) -> None:
    """It does not come back."""
    tab = local.tab("Dora")
    session_id = tab.begin("count, please")
    heard = tab.follow(session_id)
    next(heard)
    tab.send("DELETE", f"sessions/{session_id}")
    tab.send("POST", f"answers/{session_id}/stop")
    assert "changed elsewhere" in list(heard)[-1]["problem"]
    assert tab.conversations() == []
    assert tab.refused("GET", f"sessions/{session_id}/messages") == 404


def routes(session_id: str) -> list[tuple[str, str, dict[str, object]]]:
    """Each route that leads to a conversation."""
    return [
        ("GET", f"sessions/{session_id}", {}),
        ("GET", f"sessions/{session_id}/messages", {}),
        ("GET", f"sessions/{session_id}/usage", {}),
        ("PATCH", f"sessions/{session_id}", {"title": "mine"}),
        ("POST", f"sessions/{session_id}/fork", {"at": 0}),
        ("POST", f"sessions/{session_id}/rewind", {"to": 0}),
        ("DELETE", f"sessions/{session_id}", {}),
        ("POST", f"ask/{session_id}", {"prompt": "hello"}),
        ("POST", f"ask/{session_id}", {"prompt": "hello", "instead_of": 0}),
        ("GET", f"answers/{session_id}", {}),
        ("POST", f"answers/{session_id}/stop", {}),
    ]


def test_nobody_reaches_anothers_conversation(server: Server) -> None:
    """Through no route, while it is answered and after; to others it does not exist, and stays as it is."""
    ada, bob, nobody = server.tab("Ada"), server.tab("Bob"), server.tab(None)
    session_id = ada.begin("count, please")
    heard = ada.follow(session_id)
    next(heard)
    for _ in range(2):
        for method, path, body in routes(session_id):
            assert bob.refused(method, path, **body) == 404, (method, path)
            assert nobody.refused(method, path, **body) == 401, (method, path)
        ada.send("POST", f"answers/{session_id}/stop")  # by now it was nobody else's doing
        list(heard)
    assert bob.conversations() == []
    assert len(ada.messages(session_id)) == 2


@pytest.mark.slow
def test_ids_that_name_nothing(local: Server) -> None:
    """They are answered with an error of the caller's, whatever is in them."""
    tab = local.tab("Ada")
    for hostile in ("none", "%00", "a%2Fb", "%20", "x" * 5000, "%ED%A0%80"):
        for method, path, body in routes(hostile):
            assert tab.refused(method, path, **body) in (400, 404, 422), (method, path)


def test_a_cookie_is_not_made_by_hand(local: Server) -> None:
    """A name that is signed with something else, or another's signature, is nobody's; odd names are somebody's."""
    for name in ("Zoë", "a=b; c", "李", "x" * 60):
        tab = local.tab(name)
        assert tab.send("GET", "me") == {"name": name}
        value = tab.client.cookies["chat_user"].strip('"')
        for forged in ("", ".", "QWRh.", f"QWRh.{value.partition('.')[2]}", value[:-1], "é"):
            fake = local.tab(None, headers={"Cookie": f"chat_user={forged}".encode()})
            assert fake.send("GET", "me") == {"name": None}
    assert local.tab(None).refused("POST", "login", name="  ") == 422
    assert local.tab(None).refused("POST", "login", name="x" * 61) == 422


def test_other_sites(local: Server) -> None:
    """A page of another site, or under another name of this host, is refused; every answer says what may run."""
    tab = local.tab("Ada")
    for headers in (
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "["},
        {"Origin": "http://["},
    ):
        response = tab.client.post("/api/ask", json={"prompt": "hello"}, headers=headers)
        assert response.status_code == 403
    assert tab.client.post("/api/ask", json={"prompt": " "}, headers={"Origin": local.url}).status_code == 422
    for path in ("/", "/chat.js", "/chat.css", "/api/me", "/api/sessions", "/nothing"):
        response = tab.client.get(path)
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    page = tab.client.get("/").text
    assert "style=" not in page and "onclick=" not in page and "//" not in page.replace("<!--", "")


@pytest.mark.slow
def test_a_server_restarts(tmp_path: Path) -> None:
    """An end in the midst of an answer stores what was said; a kill keeps the question. Users stay logged in."""
    with serving(tmp_path, *PACE) as server:
        tab = server.tab("Ada")
        session_id = tab.say(None, MY_NAME)
        tab.send("POST", f"ask/{session_id}", prompt="count, please")
        next(tab.follow(session_id))
        cookies = dict(tab.client.cookies)
    with serving(tmp_path, *PACE) as server:
        tab = server.tab(None, cookies=cookies)
        *_, question, answer = tab.messages(session_id)
        assert (question["text"], answer["text"][:3]) == ("count, please", "1 2")
        tab.send("POST", f"ask/{session_id}", prompt="count again, please")
        next(tab.follow(session_id))
        server.kill()
    with serving(tmp_path, *PACE) as server:
        tab = server.tab(None, cookies=cookies)
        assert tab.words(session_id)[-1] == "count again, please"
        tab.say(session_id, "what is my name?", instead_of=4)
        assert tab.words(session_id)[-2:] == ["what is my name?", "Your name is Ada."]
        assert len(tab.words(session_id)) == 6


@needs_interrupts
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    """As its first line says, and without a traceback."""
    with serving(tmp_path, *PACE) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=60) == 0


def test_the_secret_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept; what a crash or a full disk has left of one is replaced."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "chat"))
    kept_secret = importlib.import_module("login").kept_secret
    file = tmp_path / "new" / "secret"
    secret = kept_secret(file)
    assert len(secret) == 32
    assert kept_secret(file) == secret
    for part in (b"", secret[:7]):
        file.write_bytes(part)
        assert len(kept_secret(file)) == 32
        assert kept_secret(file) != secret
    assert os.name != "posix" or file.stat().st_mode & 0o077 == 0
    assert [each.name for each in file.parent.iterdir()] == ["secret"]


def test_counting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may be there to stop it."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "chat"))
    chat_model = importlib.import_module("chat_model")
    for prompt, most in (("count, please", 20_000), ("count to 3", 3), (f"count to {'9' * 5000}", 20_000)):
        words = list(chat_model.answer_to([{"role": "user", "content": [{"text": prompt}]}]))
        assert (len(words), words[-1]) == (most, f"{most} ")


def test_pages_of_messages(local: Server) -> None:
    """A long conversation comes in pages, from the newest backwards, without a gap."""
    tab: Tab = local.tab("Penny")
    session_id = tab.say(None, "what is my name?")
    for _ in range(3):
        tab.say(session_id, "what is my name?")
    newest = tab.send("GET", f"sessions/{session_id}/messages?limit=5")
    older = tab.send("GET", f"sessions/{session_id}/messages?limit=5&before={newest['before']}")
    assert [each["message_id"] for each in older["messages"] + newest["messages"]] == list(range(8))
    assert older["before"] is None


async def test_a_silent_model_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off; the question is stored, and the session is free for the next process."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "chat"))
    answers, chat_model = importlib.import_module("answers"), importlib.import_module("chat_model")
    monkeypatch.setattr(answers, "PATIENCE", 0.01)
    silent = chat_model.ChatModel(pace=3600)
    with PerSQL(local=str(tmp_path / "chats.db")) as client:
        database = client.database("local/chats")
        running = answers.Answers(database, lambda **options: Agent(model=silent, callback_handler=None, **options))
        running.begin("Ada", "quiet", "hello?")
        while not PerSQLSessions(database).list(user="Ada").sessions:
            await asyncio.sleep(0.01)
        answer = running.find("Ada", "quiet")
        await running.close()
        assert running.find("Ada", "quiet") is None
        assert [event["type"] async for _, event in answer.follow()] == ["end"]
        (message,) = PerSQLSessions(database).messages("quiet").messages
        assert message.text == "hello?"
        talking = Agent(
            model=chat_model.ChatModel(pace=0),
            session_manager=PerSQLSessionManager("quiet", database, user="Ada"),
            callback_handler=None,
        )
        assert "Nice to meet you, Ada" in str(await talking.invoke_async(MY_NAME))
