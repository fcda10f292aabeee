"""OpenAI's Responses: typed events; the provider may keep the conversation itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..endpoint import Answer, words
from . import sse


class Responses:
    """The events of a response."""

    content_type = sse.CONTENT_TYPE
    throttled: tuple[dict[str, str], Any] = (
        {},
        {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}},
    )

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """Events, each named by its type, and numbered."""
        return [
            sse.data({**event, "sequence_number": place}, event["type"])
            for place, event in enumerate(self._events(answer, number))
        ]

    def _events(self, answer: Answer, number: int) -> Iterator[dict[str, Any]]:
        response: dict[str, Any] = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 0,
            "model": "scripted",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "status": "in_progress",
        }
        yield {"type": "response.created", "response": response}
        place = {"item_id": f"item_{number}", "output_index": 0, "content_index": 0}
        for part in words(answer.thinking):
            yield {"type": "response.reasoning_text.delta", **place, "delta": part}
        for part in words(answer.text):
            yield {"type": "response.output_text.delta", **place, "logprobs": [], "delta": part}
        for index, call in enumerate(answer.calls):
            arguments = json.dumps(call.input, ensure_ascii=False)
            item = {"type": "function_call", "id": f"fc_{number}_{index}", "call_id": f"call_{number}_{index}"}
            added = {**item, "name": call.name, "arguments": "", "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": added}
            of_call = {"item_id": item["id"], "output_index": index}
            for part in words(arguments):
                yield {"type": "response.function_call_arguments.delta", **of_call, "delta": part}
            yield {"type": "response.function_call_arguments.done", **of_call, "arguments": arguments}
        usage = {
            "input_tokens": answer.tokens[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.tokens[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(answer.tokens),
        }
        yield {"type": "response.completed", "response": {**response, "status": "completed", "usage": usage}}
