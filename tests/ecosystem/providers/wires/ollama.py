"""Ollama's chat: a JSON object a line. A tool call has no id, and comes whole."""

from __future__ import annotations

from typing import Any

from ..endpoint import Answer, words
from . import sse


class Ollama:
    """The lines of an answer."""

    content_type = "application/x-ndjson"
    throttled: tuple[dict[str, str], Any] = ({}, {"error": "server busy, please try again"})

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """Thoughts, text, tool calls, the end with its counts."""
        messages: list[dict[str, Any]] = [{"content": "", "thinking": part} for part in words(answer.thinking)]
        messages += [{"content": part} for part in words(answer.text)]
        messages += [
            {"content": "", "tool_calls": [{"function": {"name": call.name, "arguments": call.input}}]}
            for call in answer.calls
        ]
        lines = [self._line(message, done=False) for message in messages]
        counts = {"prompt_eval_count": answer.tokens[0], "eval_count": answer.tokens[1], "total_duration": 5_000_000}
        end = {**self._line({"content": ""}, done=True), "done_reason": "stop", **counts}
        return [sse.one_line(line).encode() + b"\n" for line in [*lines, end]]

    def _line(self, message: dict[str, Any], *, done: bool) -> dict[str, Any]:
        created = "2026-01-01T00:00:00Z"
        return {"model": "scripted", "created_at": created, "message": {"role": "assistant", **message}, "done": done}
