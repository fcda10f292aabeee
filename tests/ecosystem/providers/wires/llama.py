"""Meta's Llama API."""

from __future__ import annotations

import json
from typing import Any

from ..endpoint import Answer, words
from . import sse


class Llama:
    """The events of a chat completion."""

    content_type = sse.CONTENT_TYPE
    throttled: tuple[dict[str, str], Any] = ({}, {"title": "Too many requests", "status": 429})

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """A start, text, tool calls in parts, the reason to stop, usage."""
        events: list[dict[str, Any]] = [{"event_type": "start", "delta": {"type": "text", "text": ""}}]
        events += [{"event_type": "progress", "delta": {"type": "text", "text": part}} for part in words(answer.text)]
        for place, call in enumerate(answer.calls):
            head = {"type": "tool_call", "id": f"call_{number}_{place}", "function": {"name": call.name}}
            events.append({"event_type": "progress", "delta": head})
            for part in words(json.dumps(call.input, ensure_ascii=False)):
                delta = {"type": "tool_call", "function": {"arguments": part}}
                events.append({"event_type": "progress", "delta": delta})
        reason = "tool_calls" if answer.calls else "stop"
        end = {"event_type": "complete", "delta": {"type": "text", "text": ""}, "stop_reason": reason}
        names = ("num_prompt_tokens", "num_completion_tokens", "num_total_tokens")
        counts = zip(names, (*answer.tokens, sum(answer.tokens)), strict=True)
        metrics = [{"metric": name, "value": value} for name, value in counts]
        usage = {"event_type": "metrics", "delta": {"type": "text", "text": ""}, "metrics": metrics}
        return [sse.data({"id": str(number), "event": event}) for event in [*events, end, usage]]
