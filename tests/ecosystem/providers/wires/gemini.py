"""Google's Gemini: parts of a candidate in server-sent events. A tool call comes whole, with a signature."""

from __future__ import annotations

import base64
from typing import Any

from ..endpoint import Answer, words
from . import sse


class Gemini:
    """The events of a generateContent stream."""

    content_type = sse.CONTENT_TYPE
    throttled: tuple[dict[str, str], Any] = (
        {},
        {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}},
    )

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """Thoughts with a signature at their end, text, function calls, the end with its counts."""
        signature = base64.b64encode(f"signature {number}".encode()).decode()
        parts: list[dict[str, Any]] = [{"text": part, "thought": True} for part in words(answer.thinking)]
        if answer.thinking:
            parts.append({"text": "", "thought": True, "thoughtSignature": signature})
        parts += [{"text": part} for part in words(answer.text)]
        for place, call in enumerate(answer.calls):
            function = {"id": f"function_{number}_{place}", "name": call.name, "args": call.input}
            parts.append({"functionCall": function, "thoughtSignature": signature})
        events: list[dict[str, Any]] = [
            {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]} for part in parts
        ]
        counts = {
            "promptTokenCount": answer.tokens[0],
            "candidatesTokenCount": answer.tokens[1],
            "totalTokenCount": sum(answer.tokens),
        }
        end = {"content": {"parts": [], "role": "model"}, "finishReason": "STOP", "index": 0}
        events.append({"candidates": [end], "usageMetadata": counts})
        return [sse.data(event) for event in events]
