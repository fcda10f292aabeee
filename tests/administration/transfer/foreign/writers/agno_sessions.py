"""Writes a file of agno: an agent's session, and a team's."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.media import Image
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.team import Team
from dump import dumped

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass
class Scripted(Model):
    """Answers what stands in a list."""

    id: str = "scripted"
    script: list[Any] = field(default_factory=list)

    def invoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        answer = self.script.pop(0)
        if isinstance(answer, str):
            return ModelResponse(role="assistant", content=answer)
        calls = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for number, (name, given) in enumerate(answer)
        ]
        return ModelResponse(role="assistant", tool_calls=calls)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self.invoke(*args, **kwargs)

    def invoke_stream(self, *args: Any, **kwargs: Any) -> Any:
        yield self.invoke(*args, **kwargs)

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> Any:
        yield self.invoke(*args, **kwargs)

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        return response

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return response


def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: 21 °C"


def main(path: Path) -> None:
    """Write the file."""
    db = SqliteDb(db_file=str(path))
    script = [[("weather", {"city": "Zürich"}), ("weather", {"city": "橋本"})], "Both 21 °C.", "A pixel."]
    agent = Agent(
        id="weatherman", model=Scripted(script=script), tools=[weather], db=db, instructions="Be short.",
        add_history_to_context=True, session_state={"unit": "celsius"}, telemetry=False,
    )  # fmt: skip
    agent.run("The weather in Zürich and 橋本?", session_id="agent-1", user_id="ada")
    agent.run("What is it?", session_id="agent-1", user_id="ada", images=[Image(content=base64.b64decode(PIXEL))])
    member = Agent(id="helper", name="helper", model=Scripted(script=["It is 4."]), telemetry=False)
    ask = [("delegate_task_to_member", {"member_id": "helper", "task": "What is 2 + 2?"})]
    team = Team(
        id="team", members=[member], model=Scripted(script=[ask, "Four, says the helper."]), db=db, telemetry=False
    )
    team.run("What is 2 + 2?", session_id="team-1", user_id="ada")


if __name__ == "__main__":
    dumped(main, "agno", "sqlalchemy")
