"""Each example, run as a user runs it: offline, in a process of its own, from somewhere else."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from strands_persql import PerSQL
from strands_persql.testing import stored_rows

from ...agents.features import needs
from ...processes import python

EVALS = importlib.util.find_spec("strands_evals") is not None
SNAPSHOTS = importlib.util.find_spec("strands.session.snapshot_session_manager") is not None
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def run(folder: Path, example: str, *arguments: str, logs_tracebacks: bool = False) -> str:
    """What an example prints; `logs_tracebacks` of another package, which are none of its failures."""
    ended = subprocess.run(
        [*python(), str(EXAMPLES / f"{example}.py"), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert logs_tracebacks or "Traceback" not in ended.stderr
    return ended.stdout


def environment() -> dict[str, str]:
    """The environment less the user's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PERSQL_")}
    return {**clean, "PYTHONIOENCODING": "utf-8"}


def conversations(file: Path) -> dict[str, list[str]]:
    """The words of each agent's stored transcript, tool uses as their names."""
    with PerSQL(local=str(file)) as client:
        rows = stored_rows(client.database("local/any"))["messages"]
    said: dict[str, list[str]] = {}
    for row in rows:
        for block in row["data"]["message"]["content"]:
            words = block.get("text") or next(iter(block))
            said.setdefault(row["agent_id"], []).append(words)
    return said


def test_every_example_is_run() -> None:
    """No example is without a test: here, or in tests/packaging (the quickstart and its parts)."""
    here = Path(__file__).read_text(encoding="utf-8")
    here += Path(__file__).with_name("test_serving.py").read_text(encoding="utf-8")
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"quickstart", "providers", "texts"}
    assert {name for name in names if f'"{name}"' not in here and f"'{name}." not in here} == set()


def test_hooks_beside_files(tmp_path: Path) -> None:
    """The mirror answers in SQL, and a session manager restores from it what the files hold."""
    printed = run(tmp_path, "hooks_beside_files", "--folder", str(tmp_path / "folder"))
    assert "- Your name is Ada." in printed
    assert "restores 6 messages from it; the files' own: True." in printed
    assert len(conversations(tmp_path / "folder" / "mirror.db")["default"]) == 6


def test_hooks_beside_files_again(tmp_path: Path) -> None:
    """A second run over the same folder goes on where the first one stopped, and doubles nothing."""
    for number in (1, 2):
        printed = run(tmp_path, "hooks_beside_files", "--folder", str(tmp_path / "folder"))
        assert f"restores {6 * number} messages from it; the files' own: True." in printed


@pytest.mark.slow
def test_graph(tmp_path: Path) -> None:
    """The first process dies in the second node, and the second process runs that one and the third."""
    file = tmp_path / "graph.db"
    printed = run(tmp_path, "graph", "--file", str(file))
    assert "nothing done so far" in printed
    assert "The first process is dead (exit code 9)." in printed
    assert "research done so far" in printed
    assert re.search(r"Process \d+: completed\.", printed)
    stored = conversations(file)
    assert len(stored["research"]) == 2
    assert [words.startswith("You said") for words in stored["research"]] == [False, True]
    assert stored["check"][-1].startswith("You said")
    assert stored["write"][-1].startswith("You said")


def test_swarm(tmp_path: Path) -> None:
    """The desk hands over, the clerk answers, and both runs are stored."""
    file = tmp_path / "swarm.db"
    printed = run(tmp_path, "swarm", "--file", str(file))
    assert printed.count("desk -> clerk: completed") == 2
    assert "clerk: 4 messages stored, 2 of earlier runs" in printed
    assert [words for words in conversations(file)["desk"] if words in ("toolUse", "toolResult")] == [
        "toolUse",
        "toolResult",
    ] * 2


@needs(SNAPSHOTS, "snapshots of sessions")
def test_one_database(tmp_path: Path) -> None:
    """One file holds a session, a snapshot to go back to, a long tool result, and what a later session remembers."""
    file = tmp_path / "agents.db"
    printed = run(tmp_path, "one_database", "--file", str(file))
    assert "  22:40  night train, platform 0\n" in printed  # out of the middle of what was put aside
    first, second, third = printed.split("\n\n")[:3]
    assert "8,927 characters" in first
    counts = re.findall(r"(\d+) messages", second)
    assert counts == ["12", "14", "12"]
    assert "  0 messages restored." in third
    assert all('Once you told me: "I get seasick, so no ferries."' in part for part in (second, third))
    keys = re.findall(r"^- sessions/(\w+/\w+)/", printed, re.MULTILINE)
    assert keys == ["summer/offloader", "summer/session", "summer/session", "winter/session"]
    memories = "- memories of ada: ['I get seasick, so no ferries.']\n- memories of bob: []\n"
    assert printed.endswith(memories)

    again = run(tmp_path, "one_database", "--file", str(file))  # goes on with what is there, remembers nothing twice
    assert "24 messages restored." in again
    assert again.endswith(memories)


def test_fastapi_app(tmp_path: Path) -> None:
    """Each user has a session, and requests of one user at the same time lose nothing."""
    printed = run(tmp_path, "fastapi_app")
    assert "  200 Your name is Ada." in printed
    assert "  200 Your name is Grace." in printed
    assert "ada's session holds 10 messages." in printed


async def test_fastapi_app_refuses_blanks() -> None:
    """A blank id is a mistake of whoever asks, and so is a blank text, which models refuse."""
    app = importlib.import_module("fastapi_app").create_app(PerSQL(local=":memory:").database("local/users"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
        assert (await client.post("/users/%20/messages", json={"text": "hello"})).status_code == 422
        assert (await client.get("/users/%20/messages")).status_code == 422
        assert (await client.post("/users/ada/messages", json={"text": " "})).status_code == 422
        assert (await client.get("/users/ada/messages")).json() == []


@pytest.mark.slow
def test_fastapi_app_served(tmp_path: Path) -> None:
    """The same over a socket, in two processes one after the other: the second knows what the first was told."""
    file = tmp_path / "users.db"
    for said, answer in [("my name is Ada", "Nice to meet you, Ada."), ("what is my name?", "Your name is Ada.")]:
        command = [
            *python(),
            str(EXAMPLES / "fastapi_app.py"),
            "--serve",
            "--port",
            "0",
            "--file",
            str(file),
        ]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, encoding="utf-8"
        ) as server:
            try:
                assert server.stderr is not None
                running = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
                url = next((match[1] for match in map(running.search, server.stderr) if match), None)
                assert url is not None
                response = httpx.post(f"{url}/users/ada/messages", json={"text": said}, timeout=60)
                assert response.json()["text"] == answer
            finally:
                server.terminate()
                with contextlib.suppress(ValueError):
                    server.communicate(timeout=60)
    assert len(conversations(file)["default"]) == 4


@needs(EVALS, "strands-evals beside it")
def test_score_last_week(tmp_path: Path) -> None:
    """Every stored prompt is scored by the judge, and no agent is run for it."""
    printed = run(tmp_path, "score_last_week", "--file", str(tmp_path / "agents.db"))
    assert "0.5  bob/default/0  'hello': It repeats the prompt." in printed
    assert "0.88 of 1 for 4 prompts in 2 sessions" in printed
    assert {name: len(said) for name, said in conversations(tmp_path / "agents.db").items()} == {"default": 8}


@needs(importlib.util.find_spec("moto") is not None, "moto")
def test_encryption_kms(tmp_path: Path) -> None:
    """The second process remembers, under a key that stays at the service; without it nothing is read."""
    inside = (
        "import runpy, sys, boto3, moto\n"
        "with moto.mock_aws():\n"
        "    kms = boto3.client('kms')\n"
        "    kms.create_alias(AliasName='alias/agents', TargetKeyId=kms.create_key()['KeyMetadata']['KeyId'])\n"
        f"    sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "    sys.argv = ['encryption_kms.py']\n"
        f"    runpy.run_path({str(EXAMPLES / 'encryption_kms.py')!r}, run_name='__main__')\n"
    )
    aws = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    ended = subprocess.run(
        [*python(), "-c", inside],
        cwd=tmp_path,
        env={**environment(), **aws},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Ada" in ended.stdout.split("What is my name?")[1]
    assert "Without the key: Session 'user-42' is encrypted" in ended.stdout
