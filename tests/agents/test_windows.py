"""What the model sees and what the transcript keeps: trims, pins, summaries, truncation, the user's own edits."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
from strands import Agent
from strands.agent.conversation_manager import (
    NullConversationManager,
    SlidingWindowConversationManager,
    SummarizingConversationManager,
)
from strands.hooks import BeforeModelCallEvent

from .agents import agent_of
from .features import needs, needs_context_manager, needs_interventions, needs_pins
from .harness import (
    SESSION,
    Build,
    Scenario,
    Store,
    assert_rows_sound,
    assert_same,
    assistant,
    restored,
    roles_of,
    user,
    words_of,
)
from .scripted import Reply, ScriptedModel, overflow, text, tools, use

HISTORY = [message for number in range(6) for message in (user(f"q{number}"), assistant(f"a{number}"))]


def sliding(**options: Any) -> Any:
    """Makes a sliding window for each process."""
    return lambda: SlidingWindowConversationManager(**options)


def tool_round(*words: str) -> list[Reply | str]:
    """A tool use, then an answer."""
    return [tools(use("add", {"a": 1, "b": 2})), *words]


# Sliding windows


async def test_sliding_window(scenario: Any) -> None:
    """A window that slides over many turns is restored at each, while the transcript keeps all."""
    model = ScriptedModel([f"a{number}" for number in range(12)])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=4)))
    for number in range(12):
        if number == 7:
            run.restart()
        await run.turn(f"q{number}")
    assert words_of(run.agent.messages) == ["q10", "a10", "q11", "a11"]
    assert words_of(run.store.messages()) == [word for n in range(12) for word in (f"q{n}", f"a{n}")]


async def test_sliding_window_over_tools(scenario: Any) -> None:
    """A window that may not begin in the middle of a tool's use."""
    model = ScriptedModel()
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=5)))
    for number in range(6):
        model.play(*tool_round(f"a{number}"))
        await run.turn(f"q{number}")
    assert len(run.store.messages()) == 24


@pytest.mark.parametrize("per_turn", [True, 2])
async def test_per_turn(scenario: Any, per_turn: Any) -> None:
    """A window that is managed before model calls, and counts them."""
    model = ScriptedModel()
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=3, per_turn=per_turn)))
    for number in range(5):
        model.play(*tool_round(f"a{number}"))
        if number == 3:
            run.restart()
        await run.turn(f"q{number}")
    assert len(run.store.messages()) == 20


@pytest.mark.parametrize("window_size", [0, 1, 2])
async def test_tiny_windows(scenario: Any, window_size: int) -> None:
    """Windows that hold next to nothing."""
    model = ScriptedModel(["one", "two", "three"])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=window_size)))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    assert words_of(run.store.messages()) == ["a", "one", "b", "two", "c", "three"]


async def test_no_management(scenario: Any) -> None:
    """An agent that never trims."""
    model = ScriptedModel([f"a{number}" for number in range(30)])
    run = scenario(agent_of(model, conversation_manager=NullConversationManager))
    for number in range(30):
        await run.turn(f"q{number}", check=number % 10 == 9)
    assert len(run.agent.messages) == 60


async def test_preloaded_and_trimmed(scenario: Any) -> None:
    """A preloaded history that the first turn trims."""
    build = agent_of(ScriptedModel(["one", "two"]), messages=HISTORY, conversation_manager=sliding(window_size=4))
    run = scenario(build)
    run.check()
    await run.turn("a")
    run.restart()
    await run.turn("b")
    assert len(run.store.messages()) == len(HISTORY) + 4


@needs_pins
async def test_pin_first(scenario: Any) -> None:
    """Pinned first messages stay in the window while those after them go: what is removed is no prefix."""
    model = ScriptedModel([f"a{number}" for number in range(8)])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=4, pin_first=1)))
    for number in range(8):
        await run.turn(f"q{number}")
    assert words_of(run.agent.messages)[0] == "q0"
    assert words_of(run.agent.messages)[1] != "a0"
    assert words_of(run.store.messages()) == [word for n in range(8) for word in (f"q{n}", f"a{n}")]


@needs_pins
async def test_pins_over_restarts(scenario: Any) -> None:
    """Pins live in the messages' metadata, and are restored with them."""
    model = ScriptedModel([f"a{number}" for number in range(8)])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=4, pin_first=2)))
    for number in range(8):
        run.restart()
        await run.turn(f"q{number}")
    assert "q0" in words_of(run.agent.messages)


@needs_pins
async def test_pins_in_the_middle(scenario: Any) -> None:
    """A message that the user pins in the middle stays when both its neighbours go."""
    model = ScriptedModel([f"a{number}" for number in range(8)])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=4)))
    for number in range(8):
        await run.turn(f"q{number}")
        if number == 1:
            run.agent.messages[2]["metadata"] = {"custom": {"pinned": True}}
    assert "q1" in words_of(run.agent.messages)


# Overflow


async def test_truncation_in_place(scenario: Any) -> None:
    """An overflow that truncates a stored tool result in place: the truncated form is restored."""
    model = ScriptedModel([tools(use("long_answer", {"length": 5000})), overflow(), "ok", "more"])
    run = scenario(agent_of(model))
    await run.turn("go")
    result = run.agent.messages[2]["content"][0]["toolResult"]["content"][0]["text"]
    assert "truncated" in result
    await run.turn("on")


async def test_truncated_images(scenario: Any) -> None:
    """An overflow that replaces images in a stored tool result."""
    model = ScriptedModel([tools(use("picture")), "ok", overflow(), "ok", "more"])
    run = scenario(agent_of(model))
    await run.turn("go")
    await run.turn("on")
    await run.turn("and on")


async def test_overflow_then_trim(scenario: Any) -> None:
    """Overflows that trim, twice in one turn; what is sent again has been stored as trimmed."""
    model = ScriptedModel(["one", "two", "three", overflow(), overflow(), "four"])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=40, should_truncate_results=False)))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    calls: list[int] = []

    def stored_window(messages: list[Any]) -> None:
        found = restored(run.store, run.build).messages
        assert [each["content"] for each in found] == [each["content"] for each in messages]
        calls.append(len(messages))

    model.on_call = stored_window
    await run.turn("d")
    model.on_call = None
    assert calls == sorted(calls, reverse=True)
    assert len(calls) == 3
    assert len(run.store.messages()) == 8


async def test_overflow_that_cannot_be_helped(scenario: Any) -> None:
    """An overflow that nothing can be trimmed for raises, and the session goes on."""
    model = ScriptedModel([overflow(), "one"])
    run = scenario(agent_of(model))
    with pytest.raises(Exception, match=r"trim|too long"):
        await run.turn("a")
    run.check()
    run.restart()
    await run.turn("b")


# Summaries


def summarizing(summaries: ScriptedModel | None, **options: Any) -> Any:
    """Makes a summarizing manager for each process, its summaries written by an agent of their own or by the model."""

    def make() -> SummarizingConversationManager:
        if summaries is None:
            return SummarizingConversationManager(**options)
        agent = Agent(model=summaries, callback_handler=None)
        return SummarizingConversationManager(summarization_agent=agent, **options)

    return make


@pytest.mark.parametrize("by_agent", [True, False])
async def test_summaries(scenario: Any, by_agent: bool) -> None:
    """Several summaries, each of the summary before it, and restarts in between."""
    model = ScriptedModel()
    summaries = ScriptedModel() if by_agent else None
    manager = summarizing(summaries, summary_ratio=0.5, preserve_recent_messages=2)
    run = scenario(agent_of(model, conversation_manager=manager))
    for number in range(3):
        for turn in range(2):
            model.play(f"a{number}.{turn}")
            await run.turn(f"q{number}.{turn}")
        run.restart()
        (summaries or model).play(*([] if summaries is None else [f"summary {number}"]))
        model.play(overflow(), *([] if by_agent else [f"summary {number}"]), f"a{number}.2")
        await run.turn(f"q{number}.2")
        assert f"summary {number}" in words_of(run.agent.messages)[0]
    transcript = words_of(run.store.messages())
    assert [words for words in transcript if words[0] in "qa" and words[1].isdigit()] == [
        f"{letter}{number}.{turn}" for number in range(3) for turn in range(3) for letter in "qa"
    ]


async def test_summary_over_tools(scenario: Any) -> None:
    """A summary whose split may not fall between a tool's use and its result."""
    model = ScriptedModel()
    run = scenario(
        agent_of(model, conversation_manager=summarizing(None, summary_ratio=0.5, preserve_recent_messages=2))
    )
    for number in range(3):
        model.play(*tool_round(f"a{number}"))
        await run.turn(f"q{number}")
    model.play(overflow(), "the summary", "done")
    await run.turn("more")
    model.play(overflow(), "the second summary", "done again")
    await run.turn("and more")


@needs_pins
async def test_summary_with_pins(scenario: Any) -> None:
    """Pinned messages stay before the summary."""
    model = ScriptedModel()
    manager = summarizing(None, summary_ratio=0.8, preserve_recent_messages=1, pin_first=1)
    run = scenario(agent_of(model, conversation_manager=manager))
    for number in range(3):
        model.play(f"a{number}")
        await run.turn(f"q{number}")
    for number in range(3, 5):
        model.play(overflow(), f"summary {number}", f"a{number}")
        await run.turn(f"q{number}")
        run.restart()
    assert words_of(run.agent.messages)[0] == "q0"


async def test_failing_summary(scenario: Any) -> None:
    """A summary that can't be written leaves the history as it was."""
    model = ScriptedModel(["one", overflow()])
    run = scenario(
        agent_of(model, conversation_manager=summarizing(None, summary_ratio=0.5, preserve_recent_messages=10))
    )
    await run.turn("a")
    with pytest.raises(Exception, match="summarize"):
        await run.turn("b")
    run.check()
    model.play("two")
    await run.turn("c")


async def test_proactive_compression(scenario: Any) -> None:
    """A window compressed before a model call, at a share of the model's context window."""
    model = ScriptedModel(["x" * 40 for _ in range(8)], context_window_limit=60)
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=4, proactive_compression=True)))
    for number in range(8):
        await run.turn(f"q{number} " + "y" * 40)
    assert len(run.store.messages()) == 16


# Interventions and context managers


@needs_interventions
@pytest.mark.parametrize("place", ["before_model_call", "after_model_call"])
async def test_guide(scenario: Any, place: str) -> None:
    """An intervention's guide puts a user message into the history without an event."""
    from strands.interventions import Guide, InterventionHandler, Proceed

    guided: list[bool] = []

    def once(self: Any, event: Any, **kwargs: Any) -> Any:
        if len(guided) % 2:
            guided.append(False)
            return Proceed()
        guided.append(True)
        return Guide(feedback="be kind")

    handler = type("Guiding", (InterventionHandler,), {"name": "guiding", place: once})
    model = ScriptedModel([*tool_round("one"), "two", "three", "four", "five", "six"])
    build = agent_of(model, interventions=[handler()])
    run = scenario(build)
    await run.turn("a")
    run.restart()
    await run.turn("b")
    assert any("be kind" in words for words in words_of(run.agent.messages))


@needs_interventions
async def test_denied_invocation(scenario: Any) -> None:
    """An intervention that denies the invocation."""
    from strands.interventions import Deny, InterventionHandler

    class Denying(InterventionHandler):
        name = "denying"

        def before_invocation(self, event: Any, **kwargs: Any) -> Any:
            return Deny(reason="not today")

    run = scenario(agent_of(ScriptedModel(), interventions=[Denying()]))
    await run.turn("a")
    assert roles_of(run.agent.messages) == "a"


@needs_context_manager
async def test_context_manager(scenario: Any) -> None:
    """A context manager that rewrites a large tool result after it was stored."""
    model = ScriptedModel(context_window_limit=200_000)
    run = scenario(agent_of(model, context_manager="auto"))
    for number in range(3):
        model.play(tools(use("long_answer", {"length": 60_000})), f"a{number}")
        await run.turn(f"q{number}")
    assert all(
        len(item["text"]) < 60_000
        for message in run.agent.messages
        for block in message["content"]
        if "toolResult" in block
        for item in block["toolResult"]["content"]
    )


@needs_context_manager
async def test_context_manager_summaries(scenario: Any) -> None:
    """A context manager that summarizes or drops messages as the window fills, and when it overflows."""
    model = ScriptedModel(context_window_limit=1200)
    run = scenario(agent_of(model, context_manager="auto", tools=[]))
    spare = ["a summary of what was said", "x" * 400]
    for number in range(10):
        model.replies.clear()
        model.play(*([overflow()] if number == 7 else []), *(["x" * 400, *spare] * 3))
        await run.turn(f"q{number} " + "y" * 400)


# What the user does to the history between turns


def _append(messages: list[Any]) -> None:
    messages.append(user("mine"))
    messages.append(assistant("and yours"))


def _insert(messages: list[Any]) -> None:
    messages.insert(0, user("first"))
    messages.insert(1, assistant("of all"))


def _insert_in_the_middle(messages: list[Any]) -> None:
    messages[2:2] = [user("in"), assistant("between")]


def _edit(messages: list[Any]) -> None:
    messages[0]["content"][0]["text"] = "edited"
    messages[-1]["content"].append({"text": "added"})


def _replace(messages: list[Any]) -> None:
    messages[1] = assistant("another")


def _pop_first(messages: list[Any]) -> None:
    del messages[:2]


def _pop_last(messages: list[Any]) -> None:
    del messages[-2:]


def _pop_in_the_middle(messages: list[Any]) -> None:
    del messages[2:4]


def _reverse_pairs(messages: list[Any]) -> None:
    messages[:] = messages[2:] + messages[:2]


def _clear(messages: list[Any]) -> None:
    messages.clear()


def _duplicate(messages: list[Any]) -> None:
    messages += messages[:2]


CHANGES = [
    _append,
    _insert,
    _insert_in_the_middle,
    _edit,
    _replace,
    _pop_first,
    _pop_last,
    _pop_in_the_middle,
    _reverse_pairs,
    _clear,
    _duplicate,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("how", ["in place", "rebound", "deep-copied"])
async def test_user_changes(scenario: Any, change: Any, how: str) -> None:
    """Whatever the user makes of `agent.messages` between turns is restored after the next."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three", "four", "five"])))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    messages = run.agent.messages
    if how != "in place":
        messages = copy.deepcopy(messages) if how == "deep-copied" else list(messages)
        run.agent.messages = messages
    change(messages)
    await run.turn("d")
    run.restart()
    await run.turn("e")


@pytest.mark.parametrize("change", CHANGES)
async def test_user_changes_synced(scenario: Any, change: Any) -> None:
    """What the user makes of the history and then syncs is restored, with no turn between."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    change(run.agent.messages)
    run.manager.sync_agent(run.agent)
    run.check()


@pytest.mark.parametrize("change", CHANGES)
async def test_changes_by_a_hook(scenario: Any, change: Any) -> None:
    """What a hook makes of the history right before a model call is restored after the turn."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three", *tool_round("four")])))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    once = iter([True])

    def hook(event: BeforeModelCallEvent) -> None:
        if next(once, False):
            change(event.agent.messages)

    run.agent.hooks.add_callback(BeforeModelCallEvent, hook)
    await run.turn("d")


async def test_new_history_of_equal_content(scenario: Any) -> None:
    """A cleared history that is typed in again, word for word."""
    run = scenario(agent_of(ScriptedModel(["one", "two"])))
    await run.turn("a")
    run.agent.messages[:] = [user("a"), assistant("one")]
    await run.turn("b")


@needs(hasattr(Agent, "load_snapshot"), "snapshots")
async def test_load_snapshot(scenario: Any) -> None:
    """A snapshot loaded into the agent replaces its history, and the next turn stores that."""
    run = scenario(agent_of(ScriptedModel(["one", "two", "three"])))
    await run.turn("a")
    snapshot = run.agent.take_snapshot(preset="session")
    await run.turn("b")
    run.agent.load_snapshot(snapshot)
    await run.turn("c")
    assert words_of(run.agent.messages) == ["a", "one", "c", "three"]


# Conversation managers that changed since


def _kept(store: Store, build: Build) -> Agent:
    return build(store.manager())


async def test_another_conversation_manager(scenario: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A conversation manager of another class: messages restored, its own state fresh, one warning."""
    model = ScriptedModel(["one", "two", "three"])
    run: Scenario = scenario(agent_of(model, conversation_manager=sliding(window_size=4)))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    live = list(run.agent.messages)
    other = agent_of(model, conversation_manager=summarizing(None))
    with caplog.at_level(logging.WARNING):
        agent = _kept(run.store, other)
    warned = [each for each in caplog.records if each.name.startswith("strands_persql")]
    assert [each.levelname for each in warned] == ["WARNING"]
    assert agent.messages == live
    assert agent.conversation_manager.get_state() == SummarizingConversationManager().get_state()
    model.play("four")
    await agent.invoke_async("d")
    assert_same(agent, restored(run.store, other))
    assert_rows_sound(run.store, agent)


async def test_from_summaries_to_a_sliding_window(scenario: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A summary stays in the history when the manager that made it is gone."""
    model = ScriptedModel(["one", "two", overflow(), "the summary", "three", "four"])
    manager = summarizing(None, summary_ratio=0.5, preserve_recent_messages=2)
    run: Scenario = scenario(agent_of(model, conversation_manager=manager))
    for prompt in ("a", "b", "c"):
        await run.turn(prompt)
    live = copy.deepcopy(run.agent.messages)
    other = agent_of(model, conversation_manager=sliding(window_size=20))
    with caplog.at_level(logging.WARNING, logger="strands_persql"):
        agent = _kept(run.store, other)
    assert len([each for each in caplog.records if each.name.startswith("strands_persql")]) == 1
    assert agent.messages == live
    await agent.invoke_async("d")
    assert_same(agent, restored(run.store, other))


async def test_a_smaller_window(scenario: Any) -> None:
    """The same manager with another size takes the state of the old one."""
    model = ScriptedModel([f"a{number}" for number in range(8)])
    run: Scenario = scenario(agent_of(model, conversation_manager=sliding(window_size=8)))
    for number in range(6):
        await run.turn(f"q{number}")
    smaller = agent_of(model, conversation_manager=sliding(window_size=4))
    run.build = smaller
    run.restart()
    await run.turn("q6")
    assert len(run.agent.messages) == 4


@pytest.mark.slow
async def test_reading_only_the_window(store: Store) -> None:
    """A window of 40 messages out of 2,000 stored is restored by one request that answers those 40."""
    history = [message for number in range(1000) for message in (user(f"q{number}"), assistant(f"a{number}"))]
    model = ScriptedModel(["one"])
    build = agent_of(model, messages=history, conversation_manager=sliding(window_size=40))
    agent = build(store.manager())
    await agent.invoke_async("last")
    assert len(store.messages()) == 2002

    database = store.database()
    answered: list[Any] = []
    batch = database.batch

    def counting(statements: Any, **options: Any) -> Any:
        results = batch(statements, **options)
        answered.extend(row for result in results for row in result["data"])
        return results

    database.batch = counting  # type: ignore[method-assign]
    other = build(store.manager(database))
    assert_same(agent, other)
    assert len(database.requests) == 1
    rows = [row for row in answered if "message_id" in row]
    assert len(rows) == 40


async def test_transcript_keeps_what_the_model_forgot(scenario: Any) -> None:
    """`list_messages` answers the transcript, trimmed messages included."""
    model = ScriptedModel([text(f"a{number}") for number in range(5)])
    run = scenario(agent_of(model, conversation_manager=sliding(window_size=2)))
    for number in range(5):
        await run.turn(f"q{number}")
    assert len(run.agent.messages) == 2
    listed = run.manager.list_messages(SESSION, "default")
    assert words_of(each.message for each in listed) == [word for n in range(5) for word in (f"q{n}", f"a{n}")]
    assert [each.message_id for each in listed] == list(range(10))


async def test_histories_that_are_swapped(scenario: Any) -> None:
    """Two histories are swapped on and off one agent: each message is stored once, and the window is the agent's."""
    model = ScriptedModel()
    run = scenario(agent_of(model))
    branches: dict[str, list[Any]] = {"x": [], "y": []}
    for turn in range(3):
        for name in branches:
            run.agent.messages = copy.deepcopy(branches[name])
            model.play(f"{name}{turn} answered")
            await run.turn(f"{name}{turn}")
            branches[name] = copy.deepcopy(run.agent.messages)
    assert len(run.store.messages()) == 12
    run.agent.messages = copy.deepcopy(branches["x"])
    run.agent.messages[1]["content"] = [{"text": "edited meanwhile"}]
    model.play("again")
    await run.turn("once more")
    assert len(run.store.messages()) == 14


async def test_examples_that_are_bound_anew(scenario: Any) -> None:
    """A program that begins each turn with the same examples, which Strands gives fresh ids: they are stored once."""
    model = ScriptedModel()
    run = scenario(agent_of(model))
    for turn in range(3):
        run.agent.messages = [user("example"), assistant("answer")]
        model.play(f"a{turn}")
        await run.turn(f"q{turn}")
    assert words_of(run.store.messages()) == ["example", "answer", "q0", "a0", "q1", "a1", "q2", "a2"]
