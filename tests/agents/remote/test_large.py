"""Documents of any size: stored in parts inside the row limit, restored byte for byte, gone when they are replaced."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from strands_persql.database.encoding import Document
from strands_persql.engine import outgoing, planner

from ...emulator import faults
from ..agents import agent_of
from ..harness import (
    SESSION,
    Scenario,
    assert_same,
    restored,
)
from ..scripted import ScriptedModel, redact_user
from .places import Remote

ROW_LIMIT = 2_000_000
BODY_LIMIT = 4_000_000 * 1.25  # what JSON's escapes and the SQL add to a batch's parameters


def pdf(size: int) -> Any:
    """A document of so many bytes, of which none are alike."""
    return {"document": {"format": "pdf", "name": "long", "source": {"bytes": random.Random(size).randbytes(size)}}}


def assert_rows_fit(remote: Remote) -> None:
    """Every row of every table is inside the limit."""
    with remote.emulator.sqlite() as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                assert sum(len(str(value).encode()) for value in row) <= ROW_LIMIT, table


def parts(remote: Remote) -> int:
    """How many parts are stored."""
    with remote.emulator.sqlite() as connection:
        return int(connection.execute("SELECT count(*) FROM strands_chunks").fetchone()[0])


def replace(run: Scenario, position: int, words: str) -> None:
    """Overwrite a message, and what was said in it."""
    message = run.manager.read_message(SESSION, "default", position)
    assert message is not None
    message.message["content"] = [{"text": words}]
    run.manager.update_message(SESSION, "default", message)


@pytest.mark.slow
async def test_a_document_of_16_megabytes(either: Remote) -> None:
    """In a message, in requests of bounded size; edited and replaced, no old part is left behind."""
    megabytes = 6 if either.sdk else 16  # through the SDK's shape the requests are the same
    model = ScriptedModel(["read"])
    build = agent_of(model)
    run = Scenario(either, build)
    document = pdf(megabytes * 1_000_000)
    await run.turn([{"text": "a long one"}, document])
    found = restored(either, build).messages[0]["content"][1]["document"]["source"]["bytes"]
    raw = document["document"]["source"]["bytes"]
    assert hashlib.sha256(found).digest() == hashlib.sha256(raw).digest()
    assert_rows_fit(either)
    assert max(record.body for record in either.emulator.log) <= BODY_LIMIT
    original = parts(either)
    assert original > megabytes
    run.agent.messages[0]["content"][1] = pdf(5_000_000)  # what was said stays, beside what is seen
    run.manager.sync_agent(run.agent)
    run.check()
    assert original < parts(either) < original + 12
    run.agent.messages[0]["content"] = [{"text": "a short one"}]
    run.manager.sync_agent(run.agent)
    run.check()
    assert parts(either) == original
    replace(run, 0, "another")
    run.check()
    assert parts(either) == 0


@pytest.mark.slow
async def test_redaction_of_a_large_prompt(either: Remote) -> None:
    """No part of it stays in the database, nor of an earlier copy."""
    model = ScriptedModel(["read"])
    build = agent_of(model)
    run = Scenario(either, build)
    prompt = [{"text": "SECRET"}, pdf(2_200_000)]
    await run.turn(prompt)
    assert parts(either) > 1
    model.play(redact_user("redacted"))
    await run.turn(prompt)
    assert parts(either) == 0
    assert "SECRET" not in either.dump()


@pytest.mark.slow
async def test_a_state_of_5_megabytes(remote: Remote) -> None:
    """Of an agent, changed and shrunk again."""
    model = ScriptedModel(["one", "two", "three"])
    build = agent_of(model)
    run = Scenario(remote, build)
    run.agent.state.set("many", [{"number": number, "words": "words " * 20} for number in range(35_000)])
    await run.turn("a")
    assert parts(remote) > 2
    assert_rows_fit(remote)
    run.agent.state.set("more", "x" * 1_000_000)
    await run.turn("b")
    assert_rows_fit(remote)
    run.agent.state.delete("many")
    run.agent.state.delete("more")
    await run.turn("c")
    assert parts(remote) == 0


@pytest.mark.slow
@pytest.mark.parametrize("character", ["ж", "中", "🦜", "\x00", '"', "\u2028"])
async def test_many_characters(remote: Remote, character: str) -> None:
    """More than a row holds, of any width in UTF-8, and of those that JSON escapes."""
    model = ScriptedModel(["read"])
    build = agent_of(model)
    run = Scenario(remote, build)
    text = f"{character}x" * 750_000
    await run.turn(text)
    assert restored(remote, build).messages[0]["content"][0]["text"] == text
    assert_rows_fit(remote)
    assert parts(remote) > 1


@pytest.mark.slow
async def test_deleting_a_session_with_large_documents(remote: Remote) -> None:
    """Leaves no part behind, and those of another session alone."""
    model = ScriptedModel(["one", "two"])
    build = agent_of(model)
    for session_id in (SESSION, "other"):
        agent = build(remote.manager(session_id=session_id))
        agent.state.set("large", "y" * 2_200_000)
        await agent.invoke_async([{"text": "a"}, pdf(1_600_000)])
    both = parts(remote)
    manager = remote.manager()
    manager.delete_session(SESSION)
    assert parts(remote) == both // 2
    assert_same(agent, restored(remote, build, session_id="other"))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 7))
async def test_each_request_of_a_large_message_failing_once(
    either: Remote, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its batches gets no answer, carried out or not: what is restored is whole, and nothing is left."""
    # With smaller parts and less in a request, a shorter document takes as many.
    whole = Document.of
    monkeypatch.setattr(Document, "of", lambda text, **given: whole(text, **{"size": 100_000, **given}))
    for module in (outgoing, planner):
        monkeypatch.setattr(module, "MAX_BODY_BYTES", 300_000)
    model = ScriptedModel(["one"])
    build = agent_of(model)
    run = Scenario(either, build)
    await run.turn("a")
    fault = random.Random(number).choice([faults.cut(), faults.cut_after_commit(cached=False)])
    either.emulator.reset()
    either.emulator.faults.at(number, fault)
    model.play("two")
    try:
        await run.turn([{"text": "b"}, pdf(950_000)], check=False)
    except Exception as error:
        assert either.sdk and "request failed" in str(error)
    either.emulator.faults.clear()
    model.replies.clear()
    model.play("three")
    await run.turn("c")
    assert_rows_fit(either)
    stored = parts(either)
    replace(run, 2, "b")
    assert stored > 8 and parts(either) == 0
