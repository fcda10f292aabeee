"""Amazon Bedrock's ConverseStream: JSON events in the binary frames of AWS' event streams.

A frame is its length and that of its headers (4 bytes each), a CRC of these, the headers, the payload, a CRC of all:
https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from ..endpoint import Answer, words

AMID = "Throttled here"
"""The text of an answer that ends with a refusal in the middle of its stream."""


def frame(payload: Any, headers: dict[str, str]) -> bytes:
    """One frame with a JSON payload."""
    body = json.dumps(payload).encode()
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(body), len(head))
    frame = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + body
    return frame + struct.pack("!I", zlib.crc32(frame))


class Bedrock:
    """The events of a ConverseStream.

    Args:
        guardrail: A guardrail blocks what the user said in an answer whose text this is.
    """

    content_type = "application/vnd.amazon.eventstream"
    throttled: tuple[dict[str, str], Any] = (
        {"x-amzn-ErrorType": "ThrottlingException"},
        {"message": "Too many requests, please wait before trying again."},
    )

    def __init__(self, *, guardrail: str | None = None) -> None:
        self._guardrail = guardrail

    def pieces(self, answer: Answer, number: int) -> list[bytes]:
        """A frame an event."""
        frames = [
            frame(value, {":event-type": name, ":content-type": "application/json", ":message-type": "event"})
            for event in self._events(answer, number)
            for name, value in event.items()
        ]
        if answer.text != AMID:
            return frames
        refusal = {":exception-type": "throttlingException", ":content-type": "application/json"}
        return [*frames[:2], frame({"message": "Too many requests"}, {**refusal, ":message-type": "exception"})]

    def _events(self, answer: Answer, number: int) -> Iterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant"}}
        for index, (start, deltas) in enumerate(self._blocks(answer, number)):
            if start:
                yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
            for delta in deltas:
                yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
            yield {"contentBlockStop": {"contentBlockIndex": index}}
        blocked = answer.text == self._guardrail
        reason = "guardrail_intervened" if blocked else "tool_use" if answer.calls else "end_turn"
        yield {"messageStop": {"stopReason": reason}}
        tokens = {"inputTokens": answer.tokens[0], "outputTokens": answer.tokens[1], "totalTokens": sum(answer.tokens)}
        metadata: dict[str, Any] = {"usage": tokens, "metrics": {"latencyMs": 5}}
        if blocked:
            topic = {"topics": [{"name": "secrets", "type": "DENY", "action": "BLOCKED", "detected": True}]}
            metadata["trace"] = {"guardrail": {"inputAssessment": {"guard": {"topicPolicy": topic}}}}
        yield {"metadata": metadata}

    def _blocks(self, answer: Answer, number: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if answer.thinking:
            thoughts: list[dict[str, Any]] = [{"text": part} for part in words(answer.thinking)]
            yield {}, [{"reasoningContent": part} for part in [*thoughts, {"signature": f"c2lnbmF0dXJl{number}"}]]
            yield {}, [{"reasoningContent": {"redactedContent": base64.b64encode(b"\x00\xff hidden").decode()}}]
        if answer.text:
            yield {}, [{"text": part} for part in words(answer.text)]
        for place, call in enumerate(answer.calls):
            arguments = words(json.dumps(call.input, ensure_ascii=False))
            start = {"toolUse": {"toolUseId": f"tooluse_{number}_{place}", "name": call.name}}
            yield start, [{"toolUse": {"input": part}} for part in arguments]
