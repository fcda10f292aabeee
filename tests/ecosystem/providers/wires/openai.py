"""OpenAI's chat completions, which llama.cpp, Mistral and many others speak as well."""

from __future__ import annotations

import json
from typing import Any

from ..endpoint import Answer, words
from . import sse


class OpenAI:
    """Chunks of a chat completion.

    Args:
        whole_calls: A tool call comes in one piece, and usage in the last choice: Mistral's way.
    """

    content_type = sse.CONTENT_TYPE
    throttled: tuple[dict[str, str], Any] = (
        {},
        {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}},
    )

    def __init__(self, *, whole_calls: bool = False) -> None:
        self._whole_calls = whole_calls

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """Role, reasoning, text, tool calls in parts, the reason to stop, usage, the end."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": part} for part in words(answer.thinking)]
        deltas += [{"content": part} for part in words(answer.text)]
        for index, call in enumerate(answer.calls):
            arguments = json.dumps(call.input, ensure_ascii=False)
            head = {"index": index, "id": f"call_{number}_{index}", "type": "function"}
            if self._whole_calls:
                function = {"name": call.name, "arguments": arguments}
                deltas.append({"content": "", "tool_calls": [{**head, "function": function}]})
                continue
            deltas.append({"tool_calls": [{**head, "function": {"name": call.name, "arguments": ""}}]})
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in words(arguments)]
        usage = dict(
            zip(
                ("prompt_tokens", "completion_tokens", "total_tokens"),
                (*answer.tokens, sum(answer.tokens)),
                strict=True,
            )
        )
        reason = "tool_calls" if answer.calls else "stop"
        end = self._choice(number, {"content": ""}, reason)
        chunks = [self._choice(number, delta) for delta in deltas]
        chunks += [{**end, "usage": usage}] if self._whole_calls else [end, {**end, "choices": [], "usage": usage}]
        return [*map(sse.data, chunks), b"data: [DONE]\n\n"]

    def _choice(self, number: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "scripted",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
