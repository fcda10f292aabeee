"""What an agent did for one prompt after the other: its model's answers, and the tools that it called. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from ....database.encoding import mapping
from .._items import Document
from ._content import Said, result_text

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass
class Call:
    """A tool use, and its result.

    Attributes:
        use_id: The id of the tool use.
        name: The tool.
        given: What it was given.
        start: When the model asked for it.
        end: When its result was stored; the same as `start` where it has none.
        result: Its result as text; None where it has none.
        failed: Whether that is an error.
        content: Its result's content blocks.
    """

    use_id: str
    name: str
    given: Document
    start: datetime
    end: datetime
    result: str | None = None
    failed: bool = False
    content: list[Document] = field(default_factory=lambda: [])

    @property
    def block(self) -> Document:
        """Its result as a content block."""
        status = "error" if self.failed else "success"
        return {"toolResult": {"toolUseId": self.use_id, "status": status, "content": self.content}}


@dataclass
class Step:
    """One answer of the model.

    Attributes:
        position: The message's position in the transcript.
        said: The answer.
        given: The messages that the model had not seen before.
        calls: The tools that it asked for.
        start: When it was asked, as far as the stored times tell.
        end: When the answer was stored.
    """

    position: int
    said: Said
    given: list[Said]
    start: datetime
    end: datetime
    calls: list[Call] = field(default_factory=lambda: [])

    @property
    def usage(self) -> Document:
        """The tokens of the call, as Strands counts them; empty where nothing tells."""
        return mapping(self.said.metadata.get("usage"))


@dataclass
class Turn:
    """A prompt, and what the agent did for it.

    Attributes:
        position: The position of its first message.
        prompt: The prompt; None of a transcript that begins with an answer.
        steps: The answers of the model.
        start: When it began.
        end: When its last message was stored.
    """

    position: int
    prompt: Said | None
    start: datetime
    end: datetime
    steps: list[Step] = field(default_factory=lambda: [])

    @property
    def asked(self) -> str:
        """The prompt's text."""
        return "" if self.prompt is None else "\n".join(self.prompt.texts)

    @property
    def answer(self) -> str:
        """The text of the last answer."""
        return "\n".join(self.steps[-1].said.texts) if self.steps else ""

    @property
    def calls(self) -> list[Call]:
        """The tools that were called, in order."""
        return [call for step in self.steps for call in step.calls]


def begins_turn(said: Said) -> bool:
    """Whether a message is a prompt: the user's, and not the results of tools."""
    return said.role != "assistant" and not said.results


def turns(messages: Iterable[tuple[int, Said]]) -> Iterator[Turn]:
    """The turns of an agent's transcript, each as soon as it is whole.

    Args:
        messages: Its messages, with their positions.
    """
    turn: Turn | None = None
    given: list[Said] = []
    last = EPOCH
    for position, said in messages:
        at = max(_time(said.at, last), last)
        if turn is None or begins_turn(said):
            if turn is not None:
                yield turn
            turn = Turn(position, said if begins_turn(said) else None, at, at)
            given = []
        turn.end = last = at
        if said.role != "assistant":
            given.append(said)
            _note_results(turn, said, at)
            continue
        step = Step(position, said, given, max(_asked(said, at), turn.start), at)
        step.calls = [
            Call(str(use.get("toolUseId", "")), str(use.get("name", "")), mapping(use.get("input")), at, at)
            for use in said.uses
        ]
        turn.steps.append(step)
        given = []
    if turn is not None:
        yield turn


def _note_results(turn: Turn, said: Said, at: datetime) -> None:
    open_calls = {call.use_id: call for call in turn.calls if call.result is None}
    for result in said.results:
        call = open_calls.get(str(result.get("toolUseId")))
        if call is not None:
            call.result, call.failed, call.end = result_text(result), result.get("status") == "error", at
            call.content = [mapping(block) for block in cast("list[Any]", result.get("content") or [])]


def _asked(said: Said, at: datetime) -> datetime:
    """When the model was asked, where the message tells how long it took."""
    latency = mapping(said.metadata.get("metrics")).get("latencyMs")
    if isinstance(latency, (int, float)) and 0 <= latency < 86_400_000:
        return at - timedelta(milliseconds=latency)
    return at


def _time(text: str, fallback: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return fallback
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
