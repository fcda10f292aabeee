"""What each operation costs: requests and rows, counted by the emulator, as the page on the web service says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strands_persql.web._operations import OPERATIONS

from ..agents.scripted import text
from .conftest import Web

PAGE = Path(__file__).parents[2] / "docs" / "web-service.md"
IMAGE: Any = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n"}}}
BODIES: dict[str, Any] = {"update_session": {"title": "Tea"}, "fork_session": {}, "rewind_session": {"to": 1}}


def table() -> dict[str, list[str]]:
    """The rows of the table: operation → requests, rows read, rows written."""
    section = PAGE.read_text("utf-8").split("## Costs\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


@pytest.mark.slow
async def test_costs_are_as_the_page_says(remote: Web) -> None:
    """Of a session of 10 messages, whose user has 20 sessions and whose database has 40."""
    for number in range(40):
        agent = remote.agent(f"s{number}", *[text("fine")] * 5, user="ada" if number < 20 else "bob")
        for _ in range(5 if number == 3 else 1):
            await agent.invoke_async([{"text": "hello"}, IMAGE])
    ada = remote.as_user("ada")
    # What reads first, the deletion last.
    operations = sorted(OPERATIONS, key=lambda each: (each.writes, each.name == "delete_session"))
    measured = {operation.name: await bill(remote, ada, operation) for operation in operations}
    assert measured == table()


async def bill(remote: Web, ada: Any, operation: Any) -> list[str]:
    """Requests, rows read and rows written of one operation."""
    path = operation.path.replace("{session_id}", "s3").replace("{record_id}", "0").replace("{place}", "1")
    if "search" in operation.name:
        path += "?q=hello"
    remote.emulator.reset()
    if operation.name == "stream_events":
        await ada.head(path)  # the same question as it asks again and again
    else:
        answer = await ada.request(operation.method, path, json=BODIES.get(operation.name))
        assert answer.status_code < 300, answer.text
    billing = remote.emulator.billing
    return [str(billing.requests), str(billing.rows_read), str(billing.rows_written)]
