"""Stored sessions as strands-evals takes them: a case for each prompt, and the trace of what the agent did for it.

Source: strands-agents-evals 1.7, `strands_evals/case.py`, `types/trace.py` and `types/evaluation.py`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..database.encoding import mapping
from .transcripts import read_transcript
from .transfer.formats import Call, Said, Step, Turn, result_text, turns

if TYPE_CHECKING:
    from ..database.connector import Connector
    from ..database.tables import Tables
    from .results import TranscriptMessage


class Window(NamedTuple):
    """A window of time; without an end where that is None.

    Attributes:
        since: Its first moment.
        until: The first moment after it.
    """

    since: datetime | None
    until: datetime | None

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(frozen=True)
class Evaluation:
    """Stored prompts, and what the agents did for them.

    Attributes:
        cases: A `Case` for each prompt, in the order of sessions, agents and positions. Its name is
            `<session>/<agent>/<position>`, its input the prompt's text.
        trajectories: What was done in each session: a `Session` with a trace for each prompt.
        done: By the name of its case, what was done for it.
    """

    cases: list[Any] = field(default_factory=lambda: [])
    trajectories: list[Any] = field(default_factory=lambda: [])
    done: dict[str, dict[str, Any]] = field(default_factory=lambda: {}, repr=False)

    def replay(self, case: Any) -> dict[str, Any]:
        """What the agent did for a case, as `Experiment.run_evaluations` takes it of a task: nothing is run anew.

        Args:
            case: One of `cases`.

        Returns:
            `output`, the stored answer; and `trajectory`, a `Session` with the one trace.

        Raises:
            KeyError: It is none of them.
        """
        return self.done[case.name]


def evaluated(
    store: Connector[Tables], session_ids: Sequence[str], agent_id: str | None, window: Window, *, expected: bool
) -> Evaluation:
    """The prompts of some sessions; see `PerSQLSessions.evaluation`."""
    try:
        case: Any = importlib.import_module("strands_evals").Case
        traces: Any = importlib.import_module("strands_evals.types.trace")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Evaluations are cases of strands-evals: pip install strands-agents-evals", name=error.name
        ) from error
    evaluation = Evaluation()
    for session_id in session_ids:
        found: list[Any] = []
        for agent, turn in _turns(store, session_id, agent_id):
            if turn.prompt is None or not window.holds(turn.start):
                continue
            trace = _Trace(traces, session_id, agent, turn).trace()
            name = f"{session_id}/{agent}/{turn.position}"
            evaluation.cases.append(case[str, str](name=name, **_fields(session_id, agent, turn, expected=expected)))
            alone = traces.Session(traces=[trace], session_id=session_id)
            evaluation.done[name] = {"output": turn.answer, "trajectory": alone}
            found.append(trace)
        if found:
            evaluation.trajectories.append(traces.Session(traces=found, session_id=session_id))
    return evaluation


def _fields(session_id: str, agent_id: str, turn: Turn, *, expected: bool) -> dict[str, Any]:
    """The fields of a case, but for its name."""
    wanted: dict[str, Any] = {}
    if expected:
        wanted = {"expected_output": turn.answer, "expected_trajectory": [call.name for call in turn.calls]}
    about = {"agent_id": agent_id, "position": turn.position, "time": turn.start.isoformat()}
    return {"session_id": session_id, "input": turn.asked, "metadata": about, **wanted}


def _turns(store: Connector[Tables], session_id: str, agent_id: str | None) -> Iterator[tuple[str, Turn]]:
    waiting: list[TranscriptMessage] = []
    for page in read_transcript(store, session_id, agent_id, live=False, page_size=100):
        if waiting and page and waiting[0].agent_id != page[0].agent_id:
            yield from ((waiting[0].agent_id, turn) for turn in turns(map(_said, waiting)))
            waiting = []
        waiting += page
    if waiting:
        yield from ((waiting[0].agent_id, turn) for turn in turns(map(_said, waiting)))


def _said(message: TranscriptMessage) -> tuple[int, Said]:
    said = message.message
    content = [mapping(block) for block in said.get("content") or ()]
    return message.message_id or 0, Said(said["role"], content, message.created_at, said.get("metadata") or {})


class _Trace:
    """What an agent did for one prompt."""

    def __init__(self, traces: Any, session_id: str, agent_id: str, turn: Turn) -> None:
        self._types = traces
        self._session_id = session_id
        self._turn = turn
        self._place = (session_id, agent_id, turn.position)
        self._trace_id = self._id(32)
        self._root = self._id(16, "agent")

    def trace(self) -> Any:
        turn = self._turn
        used = dict.fromkeys(call.name for call in turn.calls)
        root = self._types.AgentInvocationSpan(
            span_info=self._info(self._root, turn.start, turn.end),
            user_prompt=turn.asked,
            agent_response=turn.answer,
            available_tools=[self._types.ToolConfig(name=name) for name in used],
        )
        below = [span for step in turn.steps for span in (self._inference(step), *map(self._tool, step.calls))]
        return self._types.Trace(spans=[root, *below], trace_id=self._trace_id, session_id=self._session_id)

    def _inference(self, step: Step) -> Any:
        given = [message for said in step.given for message in self._given(said)]
        answer = self._types.AssistantMessage(
            content=[
                *(self._types.TextContent(text=text) for text in step.said.texts),
                *(
                    self._types.ToolCallContent(name=call.name, arguments=call.given, tool_call_id=call.use_id)
                    for call in step.calls
                ),
            ]
        )
        info = self._info(self._id(16, "chat", step.position), step.start, step.end, self._root)
        return self._types.InferenceSpan(span_info=info, messages=[*given, answer], metadata=dict(step.usage))

    def _tool(self, call: Call) -> Any:
        result = call.result or ""
        return self._types.ToolExecutionSpan(
            span_info=self._info(self._id(16, "tool", call.use_id), call.start, call.end, self._root),
            tool_call=self._types.ToolCall(name=call.name, arguments=call.given, tool_call_id=call.use_id),
            tool_result=self._types.ToolResult(
                content=result, error=result if call.failed else None, tool_call_id=call.use_id
            ),
        )

    def _info(self, span_id: str, start: datetime, end: datetime, parent: str | None = None) -> Any:
        return self._types.SpanInfo(
            trace_id=self._trace_id,
            span_id=span_id,
            session_id=self._session_id,
            parent_span_id=parent,
            start_time=start,
            end_time=end,
        )

    def _id(self, length: int, *more: object) -> str:
        return hashlib.sha256(json.dumps([*self._place, *more]).encode()).hexdigest()[:length]

    def _given(self, said: Said) -> list[Any]:
        content: list[Any] = [self._types.TextContent(text=text) for text in said.texts]
        for result in said.results:
            text = result_text(result)
            error = text if result.get("status") == "error" else None
            use_id = str(result.get("toolUseId", ""))
            content.append(self._types.ToolResultContent(content=text, error=error, tool_call_id=use_id))
        return [self._types.UserMessage(content=content)] if content else []
