"""Turns of a single agent: after each one a new process gets the same agent."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from strands import Agent, ModelRetryStrategy
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.agent.state import AgentState
from strands.hooks import (
    AfterInvocationEvent,
    AfterModelCallEvent,
    BeforeInvocationEvent,
    BeforeModelCallEvent,
    MessageAddedEvent,
)
from strands.types.exceptions import MaxTokensReachedException, ModelThrottledException, SessionException

from .agents import Weather, agent_of, remember
from .features import needs_checkpointing, needs_delegation, needs_invocation_cancel, needs_tracking_ids
from .harness import Scenario, Store, assert_same, assistant, restored, roles_of, user, words_of
from .scripted import ScriptedModel, fail, redact_assistant, text, tools, use


async def test_plain_turns(scenario: Any) -> None:
    """Three plain turns are restored, in order."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    assert words_of(restored(run.store, run.build).messages) == ["a", "one", "b", "two", "c", "three"]
    assert words_of(run.store.messages()) == ["a", "one", "b", "two", "c", "three"]


async def test_each_turn_in_a_new_process(scenario: Any) -> None:
    """A process for each turn makes the same history as one process for all."""
    model = ScriptedModel(["one", "two", "three"])
    run = scenario(agent_of(model))
    for prompt in ("a", "b", "c"):
        run.restart()
        await run.turn(prompt)
    assert words_of(model.calls[-1]) == ["a", "one", "b", "two", "c"]
    assert words_of(run.store.messages()) == ["a", "one", "b", "two", "c", "three"]


def test_without_an_event_loop(store: Store) -> None:
    """Where no event loop runs, an agent is built, called and restored as well."""
    build = agent_of(ScriptedModel(["one", tools(use("add", {"a": 1, "b": 2})), "two"]))
    agent = build(store.manager())
    agent("a")
    agent("b")
    assert_same(agent, restored(store, build))


@needs_tracking_ids
async def test_tracking_ids(scenario: Any) -> None:
    """Every message keeps its tracking id through a restart and the turns after it."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn("a")
    before = [message["tracking_id"] for message in run.agent.messages]
    run.restart()
    await run.turn("b")
    assert [message["tracking_id"] for message in run.agent.messages][:2] == before


async def test_three_tools_in_one_message(scenario: Any) -> None:
    """Three tool calls in one message, one of which fails."""
    model = ScriptedModel()
    run = scenario(agent_of(model))
    model.play(tools(use("add", {"a": 1, "b": 2}), use("boom"), use("add", {"a": 3, "b": 4}), words="let me see"), "7")
    await run.turn("add")
    assert roles_of(run.agent.messages) == "uaua"
    assert [block["toolResult"]["status"] for block in run.agent.messages[2]["content"]] == [
        "success",
        "error",
        "success",
    ]


async def test_tool_after_tool(scenario: Any) -> None:
    """Several tool cycles in one turn, an unknown tool among them."""
    model = ScriptedModel(
        [tools(use("add", {"a": 1, "b": 2})), tools(use("nothing_like_it")), tools(use("boom")), "ok"]
    )
    run = scenario(agent_of(model))
    await run.turn("go")
    assert roles_of(run.agent.messages) == "uauauaua"


async def test_stored_before_the_agent_goes_on(scenario: Any) -> None:
    """Whatever a model call is given has been stored by then: a kill during it loses nothing."""
    model = ScriptedModel(["one", tools(use("add", {"a": 1, "b": 2})), tools(use("boom")), "two"])
    run = scenario(agent_of(model))
    seen: list[int] = []

    def check(messages: list[Any]) -> None:
        model.on_call = None
        found = run.store.messages()
        assert [each["content"] for each in found] == [each["content"] for each in messages]
        seen.append(len(found))
        model.on_call = check

    model.on_call = check
    await run.turn("a")
    await run.turn("b")
    assert seen == [1, 3, 5, 7]


async def test_reasoning(scenario: Any) -> None:
    """Reasoning with its signature."""
    run = scenario(agent_of(ScriptedModel([text("42", reasoning="six times seven", signature="c2lnbmVk")])))
    await run.turn("what is it?")
    assert "reasoningContent" in run.agent.messages[1]["content"][0]


async def test_redacted_answer(scenario: Any) -> None:
    """An answer that a guardrail replaced: its own words never reach the store."""
    run = scenario(agent_of(ScriptedModel([redact_assistant("[blocked]", "SECRET-WORDS")])))
    await run.turn("tell me")
    assert words_of(run.agent.messages) == ["tell me", "[blocked]"]
    assert not run.store.holds("SECRET-WORDS")


@pytest.mark.parametrize("prompt", [[{"text": "a"}, {"text": "b"}], [user("a"), assistant("b"), user("c")]])
async def test_other_prompts(scenario: Any, prompt: Any) -> None:
    """Prompts of several blocks or several messages."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn(copy.deepcopy(prompt))
    await run.turn("d")


async def test_no_prompt(scenario: Any) -> None:
    """An invocation without a prompt goes on from the history."""
    model = ScriptedModel([fail(RuntimeError("down")), "one"])
    run = scenario(agent_of(model))
    with pytest.raises(RuntimeError):
        await run.turn("a")
    run.restart()
    await run.turn(None)
    assert words_of(run.agent.messages) == ["a", "one"]


async def test_direct_tool_call(scenario: Any) -> None:
    """A direct tool call adds four messages with no invocation around them."""
    run = scenario(agent_of(ScriptedModel(["one"])))
    run.agent.tool.add(a=1, b=2)
    assert roles_of(run.agent.messages) == "uaua"
    run.check()
    await run.turn("a")
    run.agent.tool.add(a=3, b=4, record_direct_tool_call=False)
    run.check()


async def test_structured_output(scenario: Any) -> None:
    """Structured output adds a request to format and a tool use with its result."""
    model = ScriptedModel(["it is cold", tools(use("Weather", {"city": "Oslo", "celsius": -3.5}))])
    run = scenario(agent_of(model))
    result = await run.turn("weather?", structured_output_model=Weather)
    assert result.structured_output == Weather(city="Oslo", celsius=-3.5)
    assert len(run.agent.messages) >= 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_deprecated_structured_output(scenario: Any) -> None:
    """The older way to structured output appends nothing."""
    model = ScriptedModel(["hello"], structured_output='{"city": "Oslo", "celsius": 1}')
    run = scenario(agent_of(model))
    await run.turn("hi")
    if run.mode == "sync":
        run.agent.structured_output(Weather, "weather?")
    else:
        await run.agent.structured_output_async(Weather, "weather?")
    run.check()
    assert len(run.store.messages()) == 2


async def test_preloaded_messages(scenario: Any) -> None:
    """Preloaded messages of a new session are stored; those of a restored one give way to the session."""
    preloaded = [user("before"), assistant("yes")]
    run = scenario(agent_of(ScriptedModel(["one", "two"]), messages=preloaded, state={"colour": "blue"}))
    run.check()
    await run.turn("a")
    run.restart()
    assert words_of(run.agent.messages) == ["before", "yes", "a", "one"]
    await run.turn("b")
    assert words_of(run.store.messages()) == ["before", "yes", "a", "one", "b", "two"]


async def test_preloaded_state_gives_way(scenario: Any) -> None:
    """State given to a restored agent gives way to the session's."""
    run = scenario(agent_of(ScriptedModel(["one"]), state={"colour": "blue"}))
    run.agent.state.set("colour", "red")
    await run.turn("a")
    run.restart()
    assert run.agent.state.get() == {"colour": "red"}


async def test_same_dict_twice(scenario: Any) -> None:
    """One message object given twice stands twice in the history, and in the restored one."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))
    message = user("again")
    await run.turn([message])
    await run.turn([message])
    assert words_of(run.store.messages()) == ["again", "one", "again", "two"]
    run.restart()
    await run.turn("b")


async def test_same_dict_twice_in_one_prompt(scenario: Any) -> None:
    """One message object twice in one prompt."""
    run = scenario(agent_of(ScriptedModel(["one"])))
    message = user("again")
    await run.turn([message, message])
    assert words_of(run.store.messages()) == ["again", "again", "one"]


async def test_same_dict_changed_between(scenario: Any) -> None:
    """One message object given twice and changed in between has changed in both places."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    message = user("again")
    await run.turn([message])
    message["content"][0]["text"] = "changed"
    await run.turn([message])
    assert words_of(run.agent.messages) == ["changed", "one", "changed", "two"]


async def test_equal_prompts(scenario: Any) -> None:
    """The same words twice are two messages."""
    run = scenario(agent_of(ScriptedModel(["ok", "ok"])))
    await run.turn("same")
    await run.turn("same")
    assert words_of(run.store.messages()) == ["same", "ok", "same", "ok"]


# State


async def test_state_set_in_a_tool(scenario: Any) -> None:
    """State that tools set is stored with the turn."""
    model = ScriptedModel([tools(use("remember", {"key": "name", "value": "Ada"})), "hello Ada"])
    run = scenario(agent_of(model))
    await run.turn("I am Ada")
    run.restart()
    assert run.agent.state.get("name") == "Ada"


async def test_state_replaced(scenario: Any) -> None:
    """A whole new `AgentState` counts as a change."""
    run = scenario(agent_of(ScriptedModel(["one", "two"]), state={"old": 1}))
    await run.turn("a")
    run.agent.state = AgentState({"new": [1, {"deep": None}]})
    await run.turn("b")
    run.restart()
    assert run.agent.state.get() == {"new": [1, {"deep": None}]}


class Counting(AgentState):
    """State of the user's own making, which changes itself, and makes a value when it is asked."""

    calls = 0

    def increment(self) -> None:
        self._data["n"] = self._data.get("n", 0) + 1
        self.calls += 1

    def get(self, key: str | None = None) -> Any:
        return {**super().get(), "calls": self.calls} if key is None else super().get(key)


async def test_state_of_a_class_of_ones_own(scenario: Any) -> None:
    """State that changes without Strands' own counting is stored all the same."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    run.agent.state = Counting({"n": 0})
    await run.turn("a")
    run.agent.state.increment()
    await run.turn("b")
    run.restart()
    assert run.agent.state.get() == {"n": 1, "calls": 1}


class Noting(SlidingWindowConversationManager):
    """Keeps what it is given back, and changes it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[int] = []

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "notes": self.notes}

    def restore_from_session(self, state: dict[str, Any]) -> Any:
        self.notes = state["notes"]
        return super().restore_from_session(state)

    def apply_management(self, agent: Any, **kwargs: Any) -> None:
        self.notes.append(len(agent.messages))
        super().apply_management(agent, **kwargs)


async def test_conversation_manager_changes_what_it_was_given_back(scenario: Any) -> None:
    """A restored conversation manager that goes on with the very object it was given is stored as it changes."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"]), conversation_manager=Noting))
    await run.turn("a")
    run.restart()
    await run.turn("b")
    await run.turn("c")
    notes = list(run.agent.conversation_manager.notes)
    run.restart()
    assert run.agent.conversation_manager.notes == notes
    assert len(notes) >= 3


async def test_state_changed_after_the_last_turn(scenario: Any) -> None:
    """State changed after the last turn is stored by `sync_agent`."""
    run = scenario(agent_of(ScriptedModel(["one"])))
    await run.turn("a")
    run.agent.state.set("late", True)
    run.manager.sync_agent(run.agent)
    run.check()
    run.agent.state.delete("late")
    run.manager.sync_agent(run.agent)
    run.check()
    run.agent.state = AgentState({"later": True})
    run.manager.sync_agent(run.agent)
    run.check()


async def test_state_set_by_a_hook_after_the_invocation(scenario: Any) -> None:
    """State that the user's own AfterInvocation hook sets is stored: Strands syncs after it."""

    def count(event: AfterInvocationEvent) -> None:
        event.agent.state.set("turns", (event.agent.state.get("turns") or 0) + 1)

    def build(manager: Any) -> Agent:
        agent = agent_of(model)(manager)
        agent.hooks.add_callback(AfterInvocationEvent, count)
        return agent

    model = ScriptedModel(["one", "two"])
    run = scenario(build)
    await run.turn("a")
    await run.turn("b")
    assert run.agent.state.get("turns") == 2


# Errors and hooks of the user's


async def test_model_error(scenario: Any) -> None:
    """A model error leaves the prompt in the history; the next one follows it."""
    model = ScriptedModel([fail(RuntimeError("down"), after=3), "one"])
    run = scenario(agent_of(model))
    with pytest.raises(RuntimeError, match="down"):
        await run.turn("a")
    run.check()
    await run.turn("b")
    assert words_of(run.agent.messages) == ["a", "b", "one"]


async def test_error_in_the_middle_of_a_tool_turn(scenario: Any) -> None:
    """A model error after a tool result keeps the use and its result."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2})), fail(RuntimeError("down")), "one"])
    run = scenario(agent_of(model))
    with pytest.raises(Exception, match="down"):
        await run.turn("a")
    run.check()
    run.restart()
    await run.turn("b")
    assert roles_of(run.agent.messages) == "uauua"


@pytest.mark.parametrize("event_type", [MessageAddedEvent, AfterModelCallEvent, AfterInvocationEvent])
@pytest.mark.parametrize("role", ["user", "assistant"])
async def test_raising_hook(scenario: Any, event_type: Any, role: str) -> None:
    """A hook of the user's that raises stops the turn, and the next turn stores what it left."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2})), "one", "two", "three", "four"])
    run = scenario(agent_of(model))
    trouble = {"on": True}

    def raising(event: Any) -> None:
        if trouble["on"] and (event_type is not MessageAddedEvent or event.message["role"] == role):
            raise LookupError("my hook")

    run.agent.hooks.add_callback(event_type, raising)
    with pytest.raises(Exception, match="my hook"):
        await run.turn("a", check=False)
    trouble["on"] = False
    await run.turn("b")
    run.restart()
    await run.turn("c")


async def test_editing_hook(scenario: Any) -> None:
    """What the user's MessageAdded hook makes of a message, before or after it was stored, is restored."""
    run = scenario(agent_of(ScriptedModel(["one", tools(use("add", {"a": 1, "b": 2})), "two"])))

    def edit(event: MessageAddedEvent) -> None:
        event.message["content"].append({"text": "(edited)"})

    run.agent.hooks.add_callback(MessageAddedEvent, edit)
    await run.turn("a")
    await run.turn("b")
    assert words_of(run.agent.messages)[-1] == "(edited)"


async def test_hook_that_replaces_history(scenario: Any) -> None:
    """A BeforeInvocation hook that rebuilds the list of messages from copies."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))

    def replace(event: BeforeInvocationEvent) -> None:
        event.agent.messages = [copy.deepcopy(message) for message in event.agent.messages]

    run.agent.hooks.add_callback(BeforeInvocationEvent, replace)
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    assert words_of(run.store.messages()) == ["a", "one", "b", "two", "c", "three"]


async def test_hook_that_resumes(scenario: Any) -> None:
    """An AfterInvocation hook that asks for one more round makes several invocations in one call."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))
    rounds = iter(["again", "and again", None])

    def resume(event: AfterInvocationEvent) -> None:
        event.resume = next(rounds)

    run.agent.hooks.add_callback(AfterInvocationEvent, resume)
    await run.turn("a")
    assert words_of(run.agent.messages) == ["a", "one", "again", "two", "and again", "three"]


async def test_hook_that_retries_the_model(scenario: Any) -> None:
    """An AfterModelCall hook that asks for a retry: the discarded answer is not stored."""
    run = scenario(agent_of(ScriptedModel(["DISCARDED", "two"])))
    again = iter([True, False])

    def retry(event: AfterModelCallEvent) -> None:
        event.retry = next(again)

    run.agent.hooks.add_callback(AfterModelCallEvent, retry)
    await run.turn("a")
    assert words_of(run.store.messages()) == ["a", "two"]


async def test_stored_between_two_tries(scenario: Any) -> None:
    """What a hook put into the history before a model call is stored by the time the call is tried again."""
    model = ScriptedModel(["DISCARDED", "two"])
    run = scenario(agent_of(model))
    again = iter([True, False])
    notes = iter(["by the way"])
    found: list[list[str]] = []

    def note(event: BeforeModelCallEvent) -> None:
        noted: list[Any] = [user(words) for words in notes]
        event.agent.messages += noted

    def retry(event: AfterModelCallEvent) -> None:
        event.retry = next(again)

    run.agent.hooks.add_callback(BeforeModelCallEvent, note)
    run.agent.hooks.add_callback(AfterModelCallEvent, retry)
    model.replies[1].before = lambda: found.append(words_of(run.store.messages()))
    await run.turn("a")
    assert found == [["a", "by the way"]]


@needs_invocation_cancel
async def test_cancelled_before_it_began(scenario: Any) -> None:
    """A cancelled invocation leaves an assistant message and no prompt: a history that begins with the assistant."""
    run = scenario(agent_of(ScriptedModel(["one"])))
    cancel = {"on": True}

    def deny(event: BeforeInvocationEvent) -> None:
        event.cancel = "not now" if cancel["on"] else False

    run.agent.hooks.add_callback(BeforeInvocationEvent, deny)
    await run.turn("a")
    assert roles_of(run.agent.messages) == "a"
    cancel["on"] = False
    await run.turn("b")


async def test_cancel_while_streaming(scenario: Any) -> None:
    """`agent.cancel()` while the model streams leaves what Strands says of it."""
    model = ScriptedModel(["one"])
    run = scenario(agent_of(model))
    model.play()
    model.replies[0] = text("never said", before=lambda: run.agent.cancel())
    result = await run.turn("a")
    assert result.stop_reason == "cancelled"
    assert not run.store.holds("never said")
    model.play("two")
    await run.turn("b")


async def test_cancel_before_tools(scenario: Any) -> None:
    """`agent.cancel()` between an answer and its tools leaves error results."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}), use("add", {"a": 3, "b": 4})), "two"])
    run = scenario(agent_of(model))

    def cancel(event: AfterModelCallEvent) -> None:
        event.agent.cancel()

    run.agent.hooks.add_callback(AfterModelCallEvent, cancel)
    result = await run.turn("a")
    assert result.stop_reason == "cancelled"


@needs_checkpointing
async def test_checkpointing(scenario: Any) -> None:
    """An agent that pauses at its cycles' boundaries goes on in a new process."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2})), "three"])
    run = scenario(agent_of(model, checkpointing=True))
    result = await run.turn("a")
    for _ in range(5):
        if result.stop_reason != "checkpoint":
            break
        run.restart()
        result = await run.turn([{"checkpointResume": {"checkpoint": result.checkpoint.to_dict()}}][0])
    assert result.stop_reason == "end_turn"
    assert roles_of(run.agent.messages) == "uaua"


async def test_throttled_model(scenario: Any) -> None:
    """A model that is throttled and called again: the turn is stored once."""
    model = ScriptedModel([fail(ModelThrottledException("slow down")), "one", "two"])
    run = scenario(agent_of(model, retry_strategy=ModelRetryStrategy(max_attempts=2, initial_delay=0, max_delay=0)))
    await run.turn("a")
    await run.turn("b")
    assert words_of(run.store.messages()) == ["a", "one", "b", "two"]


@pytest.mark.parametrize("uses", [0, 1])
async def test_cut_off_answer(scenario: Any, uses: int) -> None:
    """An answer cut off at the model's token limit, in its words or in a tool's arguments: kept as Strands mends it."""
    model = ScriptedModel([tools(use("add", {"a": 1, "b": 2}), words="let me") if uses else text("half an ans")])
    for chunk in model.replies[0].chunks:
        if "messageStop" in chunk:
            chunk["messageStop"]["stopReason"] = "max_tokens"
    run = scenario(agent_of(model))
    with pytest.raises(MaxTokensReachedException):
        await run.turn("a")
    run.check()
    run.restart()
    model.play("two")
    await run.turn("b")


@needs_delegation
async def test_delegated_answer(scenario: Any) -> None:
    """An agent that lets another one answer for it."""
    model = ScriptedModel()
    helper = ScriptedModel()

    def build(manager: Any) -> Agent:
        other = Agent(model=helper, name="helper", agent_id="helper", callback_handler=None)
        return agent_of(model, tools=[other.as_tool(name="helper", delegate=True)])(manager)

    run = scenario(build)
    for number in range(2):
        model.replies.clear()
        model.play(tools(use("helper", {"input": "help"})), "done")
        helper.play(f"helped {number}")
        await run.turn(f"q{number}")
        run.restart()
    assert "helped 1" in str(run.agent.messages)


# Stateful models


async def test_stateful_model(scenario: Any) -> None:
    """A stateful model's messages stay in the transcript, leave the agent, and only its response id is restored."""
    model = ScriptedModel(
        [text("one", model_state={"response_id": "r1"}), text("two", model_state={"response_id": "r2"})], stateful=True
    )
    run = scenario(agent_of(model))
    await run.turn("a")
    assert run.agent.messages == []
    await run.turn("b")
    run.restart()
    assert run.agent.messages == []
    assert words_of(run.store.messages()) == ["a", "one", "b", "two"]
    model.play(tools(use("add", {"a": 1, "b": 2}), model_state={"response_id": "r3"}), text("three"))
    await run.turn("c")
    assert len(run.store.messages()) == 8


async def test_model_state_of_a_stateless_model(scenario: Any) -> None:
    """What a model remembers of its calls is restored."""
    run = scenario(agent_of(ScriptedModel([text("one", model_state={"response_id": "r1", "more": {"deep": [1]}})])))
    await run.turn("a")
    other = run.check()
    assert other.messages


# Several agents


async def test_several_agents_under_one_manager(store: Store) -> None:
    """One manager serves several agents of its session, each with its own history."""
    manager = store.manager()
    models = {name: ScriptedModel([f"{name} one", f"{name} two"]) for name in ("first", "second", "third")}
    builds = {name: agent_of(model, agent_id=name) for name, model in models.items()}
    agents = {name: build(manager) for name, build in builds.items()}
    for prompt in ("a", "b"):
        for name, agent in agents.items():
            await agent.invoke_async(f"{prompt} {name}")
    fresh = store.manager()
    for name, build in builds.items():
        assert_same(agents[name], build(fresh))
        assert words_of(store.messages(name)) == [f"a {name}", f"{name} one", f"b {name}", f"{name} two"]


async def test_several_sessions_in_one_database(store: Store) -> None:
    """Sessions of one database know nothing of each other."""
    model = ScriptedModel(["one", "two"])
    build = agent_of(model)
    first = build(store.manager(session_id="one"))
    second = build(store.manager(session_id="two"))
    await first.invoke_async("a")
    await second.invoke_async("b")
    assert_same(first, restored(store, build, session_id="one"))
    assert_same(second, restored(store, build, session_id="two"))


async def test_second_live_agent_with_the_same_id(store: Store) -> None:
    """A second live agent with the same id is refused, and the first goes on."""
    manager = store.manager()
    build = agent_of(ScriptedModel(["one"]))
    agent = build(manager)
    with pytest.raises(SessionException):
        build(manager)
    await agent.invoke_async("a")
    assert_same(agent, restored(store, build))


@pytest.mark.parametrize("name", ["..", "\\", "ünïcödé-✨", "a'b\"c;--", "x" * 300])
async def test_odd_ids(store: Store, name: str) -> None:
    """Ids that Strands takes are only data to the database."""
    build = agent_of(ScriptedModel(["one"]), agent_id=name)
    agent = build(store.manager(session_id=name))
    await agent.invoke_async("a")
    assert_same(agent, restored(store, build, session_id=name))


async def test_tools_that_an_agent_lost(scenario: Any, store: Store) -> None:
    """An agent restored with other tools than it had still gets its history."""
    model = ScriptedModel([tools(use("remember", {"key": "k", "value": 1})), "ok"])
    run: Scenario = scenario(agent_of(model, tools=[remember]))
    await run.turn("a")
    other = restored(store, agent_of(model, tools=[]))
    assert_same(run.agent, other)
