"""Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..endpoint import Answer, words
from . import sse


class Anthropic:
    """The events of a message, block by block; a thought has a signature, which must come back as it was."""

    content_type = sse.CONTENT_TYPE
    throttled: tuple[dict[str, str], Any] = (
        {},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many requests"}},
    )

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """Events, each named by its type."""
        return [sse.data(event, event["type"]) for event in self._events(answer, number)]

    def _events(self, answer: Answer, number: int) -> Iterator[dict[str, Any]]:
        message: dict[str, Any] = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": answer.tokens[0], "output_tokens": 1},
        }
        yield {"type": "message_start", "message": message}
        for index, (block, deltas) in enumerate(self._blocks(answer, number)):
            yield {"type": "content_block_start", "index": index, "content_block": block}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        reason = "tool_use" if answer.calls else "end_turn"
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": answer.tokens[1]},
        }
        yield {"type": "message_stop"}

    def _blocks(self, answer: Answer, number: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if answer.thinking:
            thoughts = [{"type": "thinking_delta", "thinking": part} for part in words(answer.thinking)]
            signature = {"type": "signature_delta", "signature": f"c2lnbmF0dXJl{number}"}
            yield {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signature]
        if answer.text:
            yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in words(answer.text)]
        for place, call in enumerate(answer.calls):
            block = {"type": "tool_use", "id": f"toolu_{number}_{place}", "name": call.name, "input": {}}
            arguments = json.dumps(call.input, ensure_ascii=False)
            yield block, [{"type": "input_json_delta", "partial_json": part} for part in words(arguments)]
