"""What Strands' File- and S3SessionManager offer beside the hooks: a manager reads and writes its session by hand."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.session import RepositorySessionManager, SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import SessionAgent, SessionMessage, SessionType

from strands_persql import PerSQLSessionManager, PerSQLSessionRepository, SessionConflictError, SessionDataError

from ..agents import agent_of
from ..harness import SESSION, Durability, Scenario, Store, assert_same, restored, user, words_of
from ..scripted import Reply, ScriptedModel, redact_user, tools, use
from ..test_multiagent import graph_of

IDS = (SESSION, "default")


@pytest.fixture(params=get_args(Durability))
def run(request: pytest.FixtureRequest, store: Store) -> Scenario:
    """A live agent that has said two things, under each durability."""
    store.durability = request.param
    run = scenario(store, "a0", "a1")
    run.agent("q0")
    run.agent("q1")
    return run


def scenario(store: Store, *replies: Reply | str, **options: Any) -> Scenario:
    """A live agent."""
    return Scenario(store, agent_of(ScriptedModel(replies), **options), "sync")


def rewritten(manager: Any, position: int, words: str) -> SessionMessage:
    """A stored message with other words."""
    stored: SessionMessage | None = manager.read_message(*IDS, position)
    assert stored is not None
    stored.message["content"] = [{"text": words}]
    return stored


def play(run: Scenario, *replies: Reply | str) -> None:
    """What the model answers next."""
    run.agent.model.play(*replies)  # type: ignore[attr-defined]


def test_has_what_files_have(run: Scenario) -> None:
    """The names that other people's adapters ask for are there, and mean this session."""
    manager = run.manager
    assert isinstance(manager.session_repository, SessionRepository)
    assert not isinstance(manager, SessionRepository)
    assert manager.session.session_id == SESSION
    assert manager.session.session_type == SessionType.AGENT
    assert manager.session == manager.read_session(SESSION)
    assert manager.read_agent(*IDS) is not None
    assert manager.read_multi_agent(SESSION, "no graph") is None
    assert manager.list_messages(*IDS) == manager.session_repository.list_messages(*IDS)


def test_a_session_before_its_first_agent(store: Store) -> None:
    """There is a session to speak of, and nothing is stored by that."""
    manager = store.manager()
    assert manager.session.session_id == SESSION
    assert manager.read_agent(*IDS) is None
    assert not store.rows()["sessions"]


def test_an_update_is_the_managers_own(run: Scenario) -> None:
    """An updated message is no rival's: the agent goes on, has the new words, and writes nothing twice."""
    stored = rewritten(run.manager, 1, "a0, corrected")
    with run.store.counted_writes() as written:
        run.manager.session_repository.update_message(*IDS, stored)
        run.manager.sync_agent(run.agent)
    assert sorted(written) == ["agents", "messages"]
    assert words_of(run.agent.messages) == ["q0", "a0, corrected", "q1", "a1"]
    run.check()
    play(run, "a2")
    run.agent("q2")
    run.check()
    assert words_of(run.agent.model.calls[-1])[1] == "a0, corrected"  # type: ignore[attr-defined]


def test_an_update_that_the_agent_has_too(run: Scenario) -> None:
    """An adapter that changes the live message as well costs nothing more."""
    run.manager.update_message(*IDS, rewritten(run.manager, 1, "a0, corrected"))
    run.agent.messages[1]["content"] = [{"text": "a0, corrected"}]
    with run.store.counted_writes() as written:
        play(run, "a2")
        run.agent("q2")
    assert sorted(written) == ["messages", "messages"]
    run.check()


def test_an_update_comes_after_what_is_pending(store: Store) -> None:
    """A message that is not stored yet is found, updated, and stored once."""
    store.durability = "invocation"
    run = scenario(store, tools(use("add", {"a": 1, "b": 2})), "done")
    model: Any = run.agent.model

    def correct(messages: Any) -> None:
        if len(messages) == 3:
            run.manager.update_message(*IDS, rewritten(run.manager, 0, "go, please"))

    model.on_call = correct
    run.agent("go")
    assert words_of(run.check().messages) == ["go, please", "done"]


def test_an_update_of_a_trimmed_message(store: Store) -> None:
    """A message that has left the window is updated in the transcript; it keeps its first time."""
    run = scenario(
        store, "a0", "a1", "a2", conversation_manager=lambda: SlidingWindowConversationManager(window_size=2)
    )
    run.agent("q0")
    run.agent("q1")
    stored = rewritten(run.manager, 0, "q0, corrected")
    created_at, stored.created_at = stored.created_at, "later"
    run.manager.update_message(*IDS, stored)
    assert [one.created_at for one in run.manager.list_messages(*IDS, limit=1)] == [created_at]
    assert words_of(run.store.messages()) == ["q0, corrected", "a0", "q1", "a1"]
    run.agent("q2")
    run.check()


def test_an_update_after_the_agent_has_dropped_it(run: Scenario) -> None:
    """A message that the history has lost since the last look is updated in the transcript."""
    del run.agent.messages[:2]
    run.manager.update_message(*IDS, rewritten(run.manager, 0, "q0, corrected"))
    assert words_of(run.store.messages())[0] == "q0, corrected"
    assert words_of(run.check().messages) == ["q1", "a1"]


def test_a_redaction_by_hand(run: Scenario) -> None:
    """A `redact_message` overwrites the words wherever they stand, as a guardrail's redaction does."""
    play(run, "a2", "a3")
    run.agent("SECRET")
    run.agent("SECRET")
    stored = run.manager.read_message(*IDS, 6)
    assert stored is not None
    stored.redact_message = {"role": "user", "content": [{"text": "[gone]"}]}
    run.manager.update_message(*IDS, stored)
    assert not run.store.holds("SECRET")
    assert words_of(run.agent.messages)[4::2] == ["[gone]", "[gone]"]
    run.check()


def test_bad_updates_change_nothing(run: Scenario) -> None:
    """What can't be stored, is no message, or isn't there is refused at once."""
    before = copy.deepcopy(run.agent.messages)
    unstorable = rewritten(run.manager, 1, "x")
    unstorable.message["content"] = [{"text": "x", "cache": object()}]  # type: ignore[typeddict-unknown-key]
    with pytest.raises(SessionDataError, match="message 1"):
        run.manager.update_message(*IDS, unstorable)
    unstorable.message["content"] = "x"  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="list of content blocks"):
        run.manager.update_message(*IDS, unstorable)
    with pytest.raises(SessionException, match="does not exist"):
        run.manager.update_message(*IDS, SessionMessage.from_message(user("x"), 9))  # type: ignore[arg-type]
    assert run.agent.messages == before
    run.check()


def test_updates_with_no_live_agent(store: Store) -> None:
    """Before its agent is built a manager writes as the repository does; what it has read ahead is read again."""
    run = scenario(store, "a0")
    run.agent("q0")
    run.restart()
    del run.agent
    manager = store.manager()
    manager._recording.opening.read_ahead(None)
    manager.update_message(*IDS, rewritten(manager, 1, "a0, corrected"))
    agent = run.build(manager)
    assert words_of(agent.messages) == ["q0", "a0, corrected"]
    agent.model.play("a1")  # type: ignore[attr-defined]
    agent("q1")
    assert_same(agent, restored(store, run.build))


def test_another_session(run: Scenario) -> None:
    """A manager reads and writes other sessions as the repository does."""
    other = run.store.manager(session_id="other")
    other_agent = run.build(other)
    play(run, "b0")
    other_agent("p0")
    stored = run.manager.read_message("other", "default", 0)
    assert stored is not None
    stored.message["content"] = [{"text": "rewritten"}]
    run.manager.update_message("other", "default", stored)
    assert words_of(run.agent.messages) == ["q0", "a0", "q1", "a1"]
    assert words_of(restored(run.store, run.build, session_id="other").messages) == ["rewritten", "b0"]
    with pytest.raises(SessionConflictError):
        other_agent.state.set("x", 1)
        other.sync_agent(other_agent)
        other.flush()


def test_a_rivals_update(run: Scenario) -> None:
    """What another manager updates under a live agent is still a conflict, and the transcript can still be read."""
    rival = run.store.manager()
    rival.update_message(*IDS, rewritten(rival, 1, "a0, by another"))
    with pytest.raises(SessionConflictError):
        run.manager.update_message(*IDS, rewritten(run.manager, 1, "a0, corrected"))
    assert words_of([one.message for one in run.manager.list_messages(*IDS)])[1] == "a0, by another"


def test_reads_see_what_is_pending(store: Store) -> None:
    """Amid an invocation whose messages are stored at its end, a manager reads all that was said."""
    store.durability = "invocation"
    run = scenario(store, "a0")
    seen: list[Any] = []
    model: Any = run.agent.model
    model.on_call = lambda _: seen.append(run.manager.list_messages(*IDS))
    run.agent("q0")
    assert words_of([one.message for one in seen[0]]) == ["q0"]
    run.check()


def test_an_agents_state(run: Scenario) -> None:
    """A live agent takes over the state that it is given; its `created_at` stays."""
    run.agent.state.set("a", 1)
    run.manager.sync_agent(run.agent)
    record = run.manager.read_agent(*IDS)
    assert record is not None
    created_at, record.created_at = record.created_at, "later"
    record.state["b"] = 2
    run.manager.update_agent(SESSION, record)
    assert run.agent.state.get() == {"a": 1, "b": 2}
    again = run.manager.read_agent(*IDS)
    assert again is not None
    assert again.created_at == created_at
    play(run, "a2")
    run.agent("q2")
    run.check()
    with pytest.raises(SessionException, match="does not exist"):
        run.manager.update_agent(SESSION, SessionAgent("nobody", {}, {}))
    with pytest.raises(SessionException, match="exists already"):
        run.manager.session_repository.create_agent(SESSION, record)


def test_a_message_is_added(run: Scenario) -> None:
    """A live agent gets a message that is created; one in another's place, or behind a gap, is refused."""
    run.manager.create_message(*IDS, SessionMessage.from_message(user("by the way"), 4))  # type: ignore[arg-type]
    assert words_of(run.agent.messages)[-1] == "by the way"
    run.check()
    for position, why in ((4, "exists already"), (9, "would leave a gap")):
        with pytest.raises(SessionException, match=why):
            run.manager.create_message(*IDS, SessionMessage.from_message(user("x"), position))  # type: ignore[arg-type]
    with run.store.counted_writes() as written:
        play(run, "a2")
        run.agent("q2")
    assert written == ["messages"] * 2
    run.check()


def test_a_graph(store: Store) -> None:
    """A live graph's state is stored as at its events, so that it goes on without a conflict."""
    model = ScriptedModel(["one", "two"])
    manager = store.manager()
    graph = graph_of({"a": model}, [])(manager)
    graph("go")
    manager.session_repository.update_multi_agent(SESSION, graph)
    manager.session_repository.create_multi_agent(SESSION, graph)
    graph("go on")
    state: Any = manager.read_multi_agent(SESSION, "graph")
    assert state == graph.serialize_state()
    plain = PerSQLSessionRepository(store.database())
    assert plain.read_multi_agent(SESSION, "graph") == state


def test_strands_own_manager_over_ours(store: Store) -> None:
    """A manager's repository is one like any other."""
    agent = agent_of(ScriptedModel(["a0", redact_user("[gone]")]))(
        RepositorySessionManager("theirs", store.manager().session_repository)
    )
    agent("q0")
    agent("SECRET")
    again = agent_of(ScriptedModel())(PerSQLSessionManager("theirs", store.database()))
    assert again.messages == agent.messages
