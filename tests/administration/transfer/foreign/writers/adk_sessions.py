"""Writes a file of Google's ADK, through its runner and a scripted model.

adk_sessions.py adk.sql             as SqliteSessionService keeps sessions
adk_sessions.py adk_database.sql    as DatabaseSessionService does; up to ADK 1.21 in the older form
"""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from dump import dumped
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import Runner
from google.genai import types

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Scripted(BaseLlm):
    """Answers what stands in a list."""

    script: list[Any]

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncGenerator[LlmResponse, None]:
        usage = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=21, candidates_token_count=4, cached_content_token_count=2, total_token_count=25
        )
        content = types.Content(role="model", parts=self.script.pop(0))
        yield LlmResponse(content=content, usage_metadata=usage)


def weather(city: str) -> dict[str, Any]:
    """The weather of a city."""
    return {"city": city, "degrees": 21}


def call(city: str) -> types.Part:
    return types.Part(function_call=types.FunctionCall(name="weather", args={"city": city}))


async def main(kind: str, path: Path) -> None:
    """Write the file."""
    service: Any
    if kind == "sqlite":
        from google.adk.sessions.sqlite_session_service import SqliteSessionService

        service = SqliteSessionService(str(path))
    else:
        from google.adk.sessions import DatabaseSessionService

        try:
            service = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
        except Exception:
            service = DatabaseSessionService(f"sqlite:///{path}")
    thought = types.Part(text="Two cities.", thought=True, thought_signature=b"signed")
    script = [
        [thought, call("Zürich"), call("橋本")],
        [types.Part(text="Both 21 °C.")],
        [types.Part(text="A pixel.")],
        [types.Part(text="Hello Grace.")],
    ]
    agent = LlmAgent(name="weatherman", model=Scripted(model="scripted", script=script), tools=[weather])
    runner = Runner(agent=agent, app_name="forecast", session_service=service)
    state = {"unit": "celsius", "user:name": "Ada", "app:version": 3}
    await service.create_session(app_name="forecast", user_id="ada", session_id="s-1", state=state)
    await service.create_session(app_name="forecast", user_id="grace", session_id="s-1", state={})
    pixel = types.Part(inline_data=types.Blob(data=base64.b64decode(PIXEL), mime_type="image/png"))
    for user, parts in (
        ("ada", [types.Part(text="The weather in Zürich and 橋本?")]),
        ("ada", [types.Part(text="What is it?"), pixel]),
        ("grace", [types.Part(text="I am Grace.")]),
    ):
        message = types.Content(role="user", parts=parts)
        async for _ in runner.run_async(user_id=user, session_id="s-1", new_message=message):
            pass


if __name__ == "__main__":
    kind = "database" if "database" in Path(sys.argv[1]).name else "sqlite"
    dumped(lambda path: asyncio.run(main(kind, path)), "google-adk", "google-genai")
