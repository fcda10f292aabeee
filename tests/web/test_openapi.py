"""The OpenAPI document: valid, whole, true of real answers, and what the page on the web service is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.routing import Mount
from syrupy.assertion import SnapshotAssertion

from strands_persql.web import _app
from strands_persql.web._openapi import document
from strands_persql.web._operations import OPERATIONS

from ..agents.scripted import text, tools, use
from ..databases import local
from . import reference
from .conftest import Web

PAGE = Path(__file__).parents[2] / "docs" / "web-service.md"
DOCUMENT = document(OPERATIONS)
PNG = b"\x89PNG\r\n\x1a\n..."


def test_the_document_is_as_it_was(snapshot: SnapshotAssertion) -> None:
    """What clients rely on changes on purpose alone."""
    assert snapshot == DOCUMENT


def test_the_document_is_valid() -> None:
    """OpenAPI 3.1 throughout: its schemas are JSON Schemas, references lead somewhere, each path names its parts."""
    OpenAPI.model_validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(value: Any) -> list[str]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value["$ref"]] if isinstance(value, dict) and "$ref" in value else []
        return own + [each for item in inner for each in references(item)]

    for name in references(DOCUMENT):
        kind, _, what = name.removeprefix("#/components/").partition("/")
        assert what in DOCUMENT["components"][kind]
    ids = [each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values()]
    assert sorted(ids) == sorted({operation.name for operation in OPERATIONS})
    for operation in OPERATIONS:
        told = DOCUMENT["paths"][operation.path][operation.method.lower()]
        named = {each["name"] for each in told["parameters"] if each["in"] == "path"}
        assert named == {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}
        assert told["summary"].endswith(".") and "default" in told["responses"]
        headers = {each["name"] for each in told["parameters"] if each["in"] == "header"}
        assert ("304" in told["responses"], "412" in told["responses"]) == (
            "If-None-Match" in headers,
            "If-Match" in headers,
        )


async def test_answers_are_as_the_document_says(web: Web) -> None:
    """Each JSON answer has the form that its schema names, problems too."""
    script = [tools(use("add", {"a": 1, "b": 2})), text("3", reasoning="hm"), text("nice")]
    agent = web.agent("s", *script, title="Tea", tags=["a"], metadata={"n": [1, None]})
    agent("1 + 2?")
    document = {"document": {"format": "txt", "name": "note", "source": {"bytes": b"hello"}}}
    agent([{"text": "look"}, {"image": {"format": "png", "source": {"bytes": PNG}}}, document])
    ada = web.as_user("ada")
    bodies: dict[str, Any] = {"update_session": {"title": "x"}, "fork_session": {"at": 1}, "rewind_session": {"to": 3}}
    for operation in sorted(OPERATIONS, key=lambda each: (each.writes, each.name == "delete_session")):
        if operation.name in ("stream_events", "get_media"):
            continue
        path = operation.path.replace("{session_id}", "s") + ("?q=look" if "search" in operation.name else "")
        for user in (ada, web.as_user("bob") if "{" in path or "/s" in path[9:] else ada):
            answer = await user.request(operation.method, path, json=bodies.get(operation.name))
            told = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
            if answer.status_code >= 400:
                schema: Any = {"$ref": "#/components/schemas/Problem"}
            else:
                content = told[str(answer.status_code)].get("content", {})
                assert bool(content) == bool(answer.content)
                assert not content or answer.headers["content-type"].partition(";")[0] in content
                schema = content.get("application/json", {}).get("schema")
            if schema is not None:
                validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
                assert [each.message for each in validator.iter_errors(answer.json())] == [], operation.name


@pytest.mark.parametrize("kind", ["FastAPI", "Starlette", "both"])
async def test_it_is_mounted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a prefix, in FastAPI or Starlette or one in the other, addresses hold the prefix."""
    web = Web(local())
    web.agent("a/b", text("nice"))([{"text": "hi"}, {"image": {"format": "png", "source": {"bytes": PNG}}}])
    app: Any
    if kind == "FastAPI":
        app, prefix = FastAPI(), "/chats"
        app.mount("/chats", web.app)
    elif kind == "Starlette":
        app, prefix = Starlette(routes=[Mount("/my chats", web.app)]), "/my%20chats"
    else:
        app, prefix = FastAPI(), "/api/v1/chats"
        app.mount("/api", Starlette(routes=[Mount("/v1/chats", web.app)]))
    ada = web.as_user("ada", app)
    assert (await ada.get(f"{prefix}/sessions")).json()["sessions"][0]["session_id"] == "a/b"
    page = (await ada.get(f"{prefix}/sessions/a%2Fb/messages")).json()
    address = page["messages"][0]["parts"][1]["url"]
    assert address == f"{prefix}/sessions/a%2Fb/messages/0/media/1"
    assert (await ada.get(address)).content == PNG
    copy = await ada.post(f"{prefix}/sessions/a%2Fb/fork", json={})
    assert copy.headers["location"].startswith(f"{prefix}/sessions/")
    assert (await ada.get(copy.headers["location"])).status_code == 200
    assert (await ada.get(f"{prefix}/openapi.json")).json()["servers"] == [{"url": prefix}]
    assert (await ada.get(prefix)).status_code in (404, 307)
    monkeypatch.setattr(_app, "document", None)  # made once
    assert (await ada.get(f"{prefix}/openapi.json")).status_code == 200
    await web.close()


async def test_a_server_may_tell_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the path as it was sent, or behind one that cuts off a prefix, what has no slash is found still."""
    web = Web(local())
    for name in ("a/b", "a b"):
        web.agent(name, text("nice"))("hi")

    async def cut(scope: Any, receive: Any, send: Any) -> None:
        lesser = {name: value for name, value in scope.items() if name != "raw_path"}
        await web.app({**lesser, "root_path": "/chats"}, receive, send)

    ada = web.as_user("ada", cut)
    assert (await ada.get("/sessions/a%20b")).status_code == 200
    assert (await ada.get("/sessions/a%2Fb")).status_code == 404
    await web.close()


def test_the_page_is_made_of_the_document() -> None:
    """`python -m tests.web.reference` writes it anew."""
    assert reference.between(PAGE.read_text("utf-8")) == reference.reference(DOCUMENT)
