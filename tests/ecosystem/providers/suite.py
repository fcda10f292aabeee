"""What holds for every provider: the same conversation in one process and over many, and what the provider is sent.

A module of tests derives a class from `Conversations`, with the provider's wire and Strands' model for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from strands import Agent, ModelRetryStrategy, tool
from strands.models import Model
from strands.types.session import encode_bytes_values

from strands_persql import PerSQLSessions

from ...agents.harness import SESSION, Durability, Mode, Scenario, Store, soon
from ...agents.test_remote import Remote
from ...processes import ROOT, python
from ..needed import only_here
from .endpoint import Answer, Call, Endpoint, Wire

only_here()  # the clients leave sockets and transports open, of which Python warns

PNG = b"\x89PNG\r\n\x1a\n\x00\xff\xfe pixels"
IMAGE: Any = {"image": {"format": "png", "source": {"bytes": PNG}}}
DOCUMENT: Any = {"document": {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF-1.7\x00\x80\xff"}}}


@tool
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@tool
def describe(thing: dict[str, Any]) -> dict[str, Any]:
    """Describe a thing, as JSON and as text."""
    return {"status": "success", "content": [{"json": {"seen": thing}}, {"text": f"{len(thing)} properties ✓"}]}


@tool
def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


@dataclass(frozen=True)
class Turn:
    """One prompt, and what the provider says to it.

    Attributes:
        end: How the invocation ends: by itself, with the provider's error, because somebody cancels the agent or leaves
            the stream at the first words, or because its task is cancelled while nothing comes.
    """

    prompt: Any
    answers: tuple[Answer, ...]
    end: Literal["done", "fails", "cancelled", "left", "given up"] = "done"


BOTH = (Call("add", {"a": 1, "b": 2.5}), Call("add", {"b": 4, "a": 3}))
THING = {"name": "Å\u2028\U0001f9ea", "größe": [1.0, 2e-7, None, True]}
TOOLS = (
    Answer(text="Let me see.", thinking="Both at once … ", calls=BOTH),
    Answer(thinking="One fails. ", calls=(Call("fail", {"reason": "no ✗"}),)),
    Answer(calls=(Call("describe", {"thing": THING}),)),
    Answer(text="3.5 and 7, and one thing. ✨"),
)

REFUSED = Answer(fault="throttled")


@dataclass(frozen=True)
class Provider:
    """What a provider's wire, and Strands' model for it, can do.

    Attributes:
        blocks: What a prompt may hold beside text.
        thinks: Strands keeps what the model thought.
        retried: Strands waits and asks again when it is throttled; else the error is the caller's.
        notices: A connection that breaks in an answer is an error; else the answer counts as whole.
        stalls: The first words are heard before the last are sent, and somebody may give up between them.
        counts: Strands keeps how many tokens were used.
    """

    wire: Wire
    blocks: tuple[Any, ...] = (IMAGE, DOCUMENT)
    thinks: bool = True
    retried: bool = True
    notices: bool = True
    stalls: bool = True
    counts: bool = True

    @property
    def conversation(self) -> list[Turn]:
        """Plain turns, tools at once and one after the other, and what a user sends along."""
        return [
            Turn("Hello, \U0001f44b", (Answer(text="Good day. Grüße!", thinking="A greeting … "),)),
            Turn("Add these.", TOOLS),
            Turn([{"text": "Look."}, *self.blocks], (Answer(text="I see.", thinking="Pictures."),)),
            Turn("Once more.", (TOOLS[0], Answer(text="As before."))),
            Turn("Thank you.", (Answer(text="You're welcome."),)),
        ]

    @property
    def trouble(self) -> list[Turn]:
        """Refusals, broken connections, people who leave; each followed by a turn that goes well."""
        fine = Turn("Go on.", (Answer(text="Going on.", thinking="On. "),))
        refused = (
            Turn("Busy?", (REFUSED, REFUSED, Answer(text="Not any more.")))
            if self.retried
            else Turn("Busy?", (REFUSED,), end="fails")
        )
        cut: Literal["done", "fails"] = "fails" if self.notices else "done"
        broken = Answer(text="It breaks here, in the", fault="cut")
        stalled = Answer(text="And then nothing", fault="stalled")
        given_up = [Turn("I give up.", (stalled,), end="given up")] if self.stalls else []
        return [
            refused,
            Turn("Break.", (broken,), end=cut),
            fine,
            Turn("Break amid tools.", (TOOLS[0], Answer(text="So", fault="cut")), end=cut),
            Turn("Stop talking.", (Answer(text="I could go on", thinking="Hm. "),), end="cancelled"),
            fine,
            Turn("I leave.", (Answer(text="Without me?"),), end="left"),
            fine,
            *given_up,
            fine,
        ]


def agent_of(model: Model, session_manager: Any) -> Agent:
    """An agent as each process builds it."""
    return Agent(
        model=model,
        tools=[add, describe, fail],
        system_prompt="You are a scripted model.",
        session_manager=session_manager,
        retry_strategy=ModelRetryStrategy(initial_delay=0, max_delay=0),
        callback_handler=None,
    )


@dataclass
class Conversation:
    """A conversation over a running provider; each agent that is built for it has a model and a client of its own."""

    endpoint: Endpoint
    model: Callable[[str], Model]
    store: Store | None = None
    mode: Mode = "async"

    def build(self, session_manager: Any) -> Agent:
        """An agent with a model of its own."""
        return agent_of(self.model(self.endpoint.url), session_manager)

    async def play(self, turns: list[Turn], *, restarts: bool = False) -> list[bytes]:
        """Have a conversation.

        Args:
            turns: What is said.
            restarts: Each turn is a new process's.

        Returns:
            The bodies of all requests that the provider got.
        """
        if self.store is None:
            agent = self.build(None)
            for turn in turns:
                await self._take(turn, agent)
            return self.endpoint.bodies
        scenario = Scenario(self.store, self.build, self.mode)
        for turn in turns:
            if restarts:
                scenario.restart()
            await self._take(turn, scenario.agent)
            await scenario.manager.aflush()
            scenario.check()
        return self.endpoint.bodies

    async def _take(self, turn: Turn, agent: Agent) -> None:
        self.endpoint.play(*turn.answers)
        if turn.end == "done":
            await self._ask(turn, agent)
        elif turn.end == "fails":
            with pytest.raises(Exception) as raised:
                await self._ask(turn, agent)
            assert not isinstance(raised.value, (AssertionError, IndexError)), raised.value
        elif turn.end == "given up":
            await self._give_up(turn, agent)
        else:
            await self._interrupt(turn, agent)

    async def _ask(self, turn: Turn, agent: Agent) -> None:
        if self.mode == "sync":
            agent(turn.prompt)
        else:
            await agent.invoke_async(turn.prompt)

    async def _interrupt(self, turn: Turn, agent: Agent) -> None:
        events: Any = agent.stream_async(turn.prompt)
        async with contextlib.aclosing(events):
            async for event in events:
                if "data" not in event:
                    continue
                if turn.end == "left":
                    break
                agent.cancel()
        # Up to 1.54, Strands leaves the end of an invocation that is left to the garbage collector.
        del event, events
        gc.collect()
        for _ in range(1000):
            await asyncio.sleep(0)

    async def _give_up(self, turn: Turn, agent: Agent) -> None:
        begun = asyncio.Event()

        async def listen() -> None:
            async for event in agent.stream_async(turn.prompt):
                if "data" in event:
                    begun.set()

        self.endpoint.go_on.clear()
        listening = asyncio.create_task(listen())
        await soon(begun.wait())
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        self.endpoint.go_on.set()


def said(message: dict[str, Any]) -> tuple[str, str, tuple[Call, ...]]:
    """What an assistant's message holds: its thoughts, its text, its tool calls."""
    blocks = message["content"]
    thoughts = [block["reasoningContent"].get("reasoningText", {}) for block in blocks if "reasoningContent" in block]
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    return (
        "".join(thought.get("text", "") for thought in thoughts),
        "".join(block["text"] for block in blocks if "text" in block),
        tuple(Call(use["name"], use["input"]) for use in uses),
    )


PLACES = [
    pytest.param("local", "message", "async"),
    pytest.param("local", "overlap", "async", marks=pytest.mark.slow),
    pytest.param("local", "invocation", "sync", marks=pytest.mark.slow),
    pytest.param("remote", "message", "async"),
]


class Conversations:
    """The tests that every provider passes."""

    provider: ClassVar[Provider]

    def model(self, url: str) -> Model:
        """Strands' model for a provider that listens at this address."""
        raise NotImplementedError

    @pytest.fixture
    def talk(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Conversation]]:
        """Begin a conversation with a provider and a database of its own: `talk(place, durability, mode)`."""
        ends = contextlib.ExitStack()

        def begin(
            place: str = "none", durability: Durability = "message", mode: Mode = "async", wire: Wire | None = None
        ) -> Conversation:
            endpoint = ends.enter_context(Endpoint(wire or self.provider.wire))
            store: Store | None = None
            if place != "none":
                path = tmp_path / f"{endpoint.url.rpartition(':')[2]}.db"
                emulator = request.getfixturevalue("emulator") if place == "remote" else None
                store = Remote(path, durability, emulator=emulator) if emulator else Store(path, durability)
                ends.callback(store.close)
            return Conversation(endpoint, self.model, store, mode)

        with ends:
            yield begin

    @pytest.mark.parametrize(("place", "durability", "mode"), PLACES)
    async def test_a_restart_is_not_seen(
        self, talk: Callable[..., Conversation], place: str, durability: Durability, mode: Mode
    ) -> None:
        """After each turn, live == restored; and the provider is sent the same, whether or not processes changed."""
        turns = self.provider.conversation
        alone = await self._alone(talk, turns)
        assert len(alone) == sum(len(turn.answers) for turn in turns)
        assert await talk(place, durability, mode).play(turns, restarts=True) == alone

    @pytest.mark.parametrize(("place", "durability", "mode"), PLACES)
    async def test_trouble(
        self, talk: Callable[..., Conversation], place: str, durability: Durability, mode: Mode
    ) -> None:
        """The same when the provider refuses or breaks off, and when people stop, leave or give up."""
        turns = self.provider.trouble
        alone = await self._alone(talk, turns)
        assert await talk(place, durability, mode).play(turns, restarts=True) == alone

    async def test_what_was_said_is_stored(self, talk: Callable[..., Conversation]) -> None:
        """Thoughts, texts, tool calls, what a prompt holds and the tokens stand in the rows as they came and went."""
        talking = talk("local")
        turns = self.provider.conversation
        await talking.play(turns)
        assert talking.store is not None
        messages = talking.store.messages()
        answers = [answer for turn in turns for answer in turn.answers]
        expected = [(answer.thinking if self.provider.thinks else "", answer.text, answer.calls) for answer in answers]
        assert [said(message) for message in messages if message["role"] == "assistant"] == expected
        assert [
            block for message in messages for block in message["content"] if block.keys() & {"image", "document"}
        ] == [encode_bytes_values(block) for block in self.provider.blocks]
        usage = PerSQLSessions(talking.store.database()).usage(SESSION)
        calls = len(answers) if self.provider.counts else 0
        assert (usage.input_tokens, usage.output_tokens) == (11 * calls, 7 * calls)

    async def test_another_process(self, talk: Callable[..., Conversation]) -> None:
        """A process that was not there asks the provider what this one would have asked."""
        *before, last = self.provider.conversation
        alone = await self._alone(talk, [*before, last])
        talking = talk("local")
        await talking.play(before)
        talking.endpoint.play(*last.answers)
        assert talking.store is not None
        talking.store.close()
        where = [type(self).__module__, type(self).__name__, talking.endpoint.url, str(talking.store.path), last.prompt]
        child = [*python(), "-m", "tests.ecosystem.providers.child", *where]
        done = await asyncio.to_thread(subprocess.run, child, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert talking.endpoint.bodies == alone
        assert talking.store.messages()[-1]["content"][-1] == {"text": last.answers[-1].text}

    async def _alone(self, talk: Callable[..., Conversation], turns: list[Turn]) -> list[bytes]:
        """What the provider is sent by an agent that is never stored."""
        key = (type(self), str(turns))
        if key not in _ALONE:
            _ALONE[key] = await talk().play(turns)
        return _ALONE[key]


_ALONE: dict[tuple[type, str], list[bytes]] = {}
